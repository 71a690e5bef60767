"""The shared plots draw what they were given."""

import pytest
import torch

from mmtutor.evaluation.statistics.intervals import Interval
from mmtutor.notebook import curves, gallery, image_grid, learning_curve, similarity_heatmap
from mmtutor.training import History


def test_the_grid_shows_every_picture_with_its_title():
    images = [torch.full((3, 4, 4), value) for value in (0.0, 0.5, 1.0)]
    figure = image_grid(images, ["a", "b", "c"], columns=2)
    drawn = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in drawn] == ["a", "b", "c"]
    assert [int(axis.images[0].get_array()[0, 0, 0]) for axis in drawn] == [0, 128, 255]


def test_the_gallery_escapes_its_captions_and_keeps_chinese():
    shown = gallery([torch.zeros(3, 4, 4, dtype=torch.uint8)] * 2, ["<b>", "红色的圆"]).data
    assert shown.count("<img") == 2
    assert "&lt;b&gt;" in shown
    assert "红色的圆" in shown


def test_curves_are_named_references_dashed_and_axes_scaled():
    x = torch.tensor([0.0, 1.0, 2.0])
    axis = curves(x, {"a": x, "b": (2 * x).tolist()}, "x", "y", "y", dashed=["b"], marker="o").axes[
        0
    ]
    assert [line.get_label() for line in axis.lines] == ["a", "b"]
    assert [line.get_linestyle() for line in axis.lines] == ["-", "--"]
    assert list(axis.lines[1].get_ydata()) == [0, 2, 4]
    assert list(axis.lines[0].get_xdata()) == [0, 1, 2]
    assert axis.lines[0].get_marker() == "o"
    assert (axis.get_xscale(), axis.get_yscale()) == ("linear", "log")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]


def test_intervals_are_drawn_as_bands():
    half = Interval(0.5, 0.4, 0.6)
    axis = curves([0, 1], {"sum": [half, half], 2: [half, half]}, "x", "y", legend=False).axes[0]
    assert len(axis.lines) == len(axis.collections) == 2
    assert axis.lines[0].get_ydata().tolist() == pytest.approx([0.5, 0.5])
    assert axis.collections[0].get_datalim(axis.transData).intervaly == pytest.approx([0.4, 0.6])
    assert axis.get_legend() is None


@pytest.mark.parametrize("plot", [image_grid, gallery])
def test_titles_must_match(plot):
    with pytest.raises(ValueError, match="got 2 titles for 1 images"):
        plot([torch.zeros(3, 4, 4)], ["a", "b"])
    with pytest.raises(ValueError, match="no images"):
        plot([])


def test_the_running_mean_of_a_constant_is_that_constant():
    figure = learning_curve(History(loss=[2.0] * 5))
    raw, smooth = figure.axes[0].lines
    assert list(raw.get_ydata()) == [2.0] * 5
    assert list(smooth.get_ydata()) == pytest.approx([2.0] * 5)


def test_the_heatmap_names_rows_and_columns():
    axis = similarity_heatmap(torch.eye(2), ["q1", "q2"], ["g1", "g2"]).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["q1", "q2"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["g1", "g2"]
