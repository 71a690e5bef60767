import matplotlib as mpl
import pytest
import torch

from mmtutor.notebook import joint_plots


@pytest.fixture(autouse=True)
def no_window():
    mpl.use("agg")


def test_scores_have_a_panel_for_each_column_and_a_row_for_each_way():
    scores = {"alone": {"colour": [0.5, 0.7]}, "joint": {"colour": [0.2, 0.4], "place": [1.0]}}
    figure = joint_plots.score_dots(scores, {"colour": 0.1, "place": 0.2})
    first, second = figure.axes
    assert [first.get_title(), second.get_title()] == ["colour", "place"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["joint", "alone"]
    means = [line.get_xdata()[0] for line in first.lines if line.get_marker() == "|"]
    assert means == pytest.approx([0.3, 0.6])


def test_courses_draw_each_seed_and_the_mean():
    (axis,) = joint_plots.courses({"a": [[0.0, 2.0], [2.0, 4.0]]}, "cosine").axes
    assert len(axis.lines) == 4  # two seeds, their mean, and zero
    assert list(axis.lines[2].get_ydata()) == [1.0, 3.0]
    assert axis.get_ylabel() == "cosine"


def test_fronts_band_and_arrows_draw_what_they_are_given():
    points = {"60°": torch.tensor([[0.0, 1.0], [1.0, 0.0]])}
    (axis,) = joint_plots.fronts(points, points).axes
    assert len(axis.lines) == 2
    x = torch.tensor([0.0, 1.0])
    (axis,) = joint_plots.band([0, 1], x, x - 1, x + 1, xlabel="angle").axes
    assert axis.get_xlabel() == "angle"
    figure = joint_plots.arrows({"one": {"a": x}, "two": {"b": x, "c": -x}})
    assert [len(axis.texts) for axis in figure.axes] == [2, 4]
