"""The shared plots draw what they were given."""

import pytest
import torch

from mmtutor.notebook import gallery, image_grid, learning_curve, similarity_heatmap
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
