"""What only a notebook needs: the first lines, source shown in place, plots and answer checks."""

from mmtutor.notebook.checks import check, fails
from mmtutor.notebook.plots import curves, gallery, heatmap, image_grid, learning_curve
from mmtutor.notebook.setup import default_preset, setup
from mmtutor.notebook.show import show
from mmtutor.notebook.tables import percent, table
