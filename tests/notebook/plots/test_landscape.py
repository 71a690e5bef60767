"""The landscape is the loss, and the paths over it are those that were given."""

import torch

from mmtutor.notebook.plots import landscape
from mmtutor.notebook.plots.landscape import _evaluated


def bowl(point):
    return point[0] ** 2 + 3 * point[1] ** 2


def test_the_grid_holds_the_loss():
    x, y, z = _evaluated(bowl, (-1, 1), (-2, 2))
    torch.testing.assert_close(z, x**2 + 3 * y**2)
    assert x[0, 0] == -1
    assert x[0, -1] == 1
    assert y[-1, 0] == 2


def test_a_landscape_shows_paths_from_above():
    path = torch.tensor([[1.0, 1.0], [0.5, 0.2], [0.0, 0.0]])
    figure = landscape(bowl, (-1, 1), (-2, 2), {"sgd": path}, ("w", "b"))
    relief, plan = figure.axes
    assert relief.get_zlabel() == "loss"
    assert relief.get_zlim()[1] >= 13  # the loss at the corners
    assert plan.get_xlabel() == "w"
    assert plan.lines[0].get_xydata().tolist() == path.tolist()
    assert [line.get_xydata().tolist()[0] for line in plan.lines[1:]] == [[1, 1], [0, 0]]
    assert plan.get_xlim() == (-1, 1)
    assert [text.get_text() for text in plan.get_legend().get_texts()] == ["sgd"]


def test_a_plateau_can_be_drawn():
    figure = landscape(lambda point: torch.relu(point[0]), (-1, 1), (-1, 1))
    assert len(figure.axes) == 2
