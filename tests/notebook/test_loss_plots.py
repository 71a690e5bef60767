"""The plots of losses draw what they were given."""

import pytest
import torch

from mmtutor.notebook import loss_plots
from mmtutor.notebook.loss_plots import bars, dots, fitted_lines, landscape, panels

X = torch.tensor([0.0, 1.0, 2.0])


def bowl(point):
    return point[0] ** 2 + 3 * point[1] ** 2


def test_every_panel_has_a_curve_and_a_scale_of_its_own():
    figure = panels({"A": [3.0, 2.0], "B": [30.0, 20.0]})
    assert [axis.get_title() for axis in figure.axes] == ["A", "B"]
    assert figure.axes[0].get_ylim()[1] < 5 < figure.axes[1].get_ylim()[1]
    assert figure.axes[0].get_ylim()[0] == 0


def test_bars_stand_side_by_side():
    axis = bars({"a": X, "b": 2 * X}, ["u", "v", "w"], "p").axes[0]
    heights = [bar.get_height() for bar in axis.patches]
    assert heights == [0, 1, 2, 0, 2, 4]
    assert [text.get_text() for text in axis.get_xticklabels()] == ["u", "v", "w"]
    assert axis.patches[0].get_x() + axis.patches[0].get_width() == pytest.approx(
        axis.patches[3].get_x()
    )


def test_dots_show_every_value_and_chance():
    axis = dots({"a": [0.1, 0.2], "b": [0.5]}, "R@5", chance=0.05).axes[0]
    assert [list(line.get_xdata()) for line in axis.lines[:2]] == [[0.1, 0.2], [0.5]]
    assert list(axis.lines[2].get_xdata()) == [0.05, 0.05]
    assert axis.yaxis_inverted()


def test_lines_are_drawn_through_the_points():
    axis = fitted_lines(X, X + 1, {"first": (0.0, 0.0), "fit": (1.0, 1.0)}).axes[0]
    assert list(axis.lines[1].get_ydata()) == [1, 3]
    assert list(axis.lines[2].get_ydata()) == [1, 2, 3]


def test_the_grid_holds_the_loss():
    x, y, z = loss_plots.grid(bowl, (-1, 1), (-2, 2))
    torch.testing.assert_close(z, x**2 + 3 * y**2)
    assert x[0, 0] == -1
    assert x[0, -1] == 1
    assert y[-1, 0] == 2


@pytest.mark.parametrize("solid", [True, False])
def test_a_landscape_shows_paths_from_above(solid):
    path = torch.tensor([[1.0, 1.0], [0.5, 0.2], [0.0, 0.0]])
    figure = landscape(bowl, (-1, 1), (-2, 2), {"sgd": path}, ("w", "b"), solid=solid)
    assert len(figure.axes) == 1 + solid
    plan = figure.axes[-1]
    assert plan.get_xlabel() == "w"
    assert plan.lines[0].get_xydata().tolist() == path.tolist()
    assert plan.get_xlim() == (-1, 1)


def test_a_plateau_can_be_drawn():
    figure = landscape(lambda point: torch.relu(point[0]), (-1, 1), (-1, 1))
    assert len(figure.axes) == 2
