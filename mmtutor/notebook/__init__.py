"""What only a notebook needs: the first lines, source shown in place, plots and answer checks."""

from mmtutor.notebook.checks import check, fails
from mmtutor.notebook.plots import curves, gallery, image_grid, learning_curve, similarity_heatmap
from mmtutor.notebook.setup import default_preset, setup
from mmtutor.notebook.show import show
