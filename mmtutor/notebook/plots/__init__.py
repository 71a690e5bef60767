"""About a dozen drawings that every chapter uses. Each takes finished numbers and returns a figure.

What only one page draws stands in that page, on `panels`. Matplotlib is imported when drawing.
"""

from mmtutor.notebook.plots.bars import bars, dots
from mmtutor.notebook.plots.diagrams import schematic
from mmtutor.notebook.plots.flow import colour_wheel, flow_colours
from mmtutor.notebook.plots.grid import image_grid, image_rows, map_grid
from mmtutor.notebook.plots.heatmap import arithmetic, heatmap, spectrograms
from mmtutor.notebook.plots.landscape import landscape
from mmtutor.notebook.plots.lines import curves, learning_curve, small_multiples
from mmtutor.notebook.plots.media import animation, gallery, pieces_in_boxes, players
from mmtutor.notebook.plots.panels import panels
