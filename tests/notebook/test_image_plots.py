"""The plots of the image chapter draw what they were given."""

import pytest
import torch

from mmtutor.notebook.image_plots import (
    data_need,
    feature_maps,
    filter_grid,
    heat_maps,
    number_squares,
)


def pictures(figure):
    return [axis.images[0].get_array() for axis in figure.axes if axis.images]


def test_in_a_filter_grey_is_zero_and_the_strongest_weight_is_full():
    kernels = torch.zeros(2, 3, 1, 3)
    kernels[0, :, 0] = torch.tensor([-2.0, 0.0, 1.0])
    first, second = pictures(filter_grid(kernels))
    assert first[0, :, 0].tolist() == [0, 128, 191]
    assert (second == 128).all()
    with pytest.raises(ValueError, match=r"\(N, 3, k, k\), got \(2, 4, 3, 3\)"):
        filter_grid(torch.zeros(2, 4, 3, 3))


def test_each_feature_map_uses_the_whole_range():
    maps = torch.stack([torch.tensor([[0.0, 5.0]]), torch.tensor([[-1.0, -1.0]])])
    first, second = pictures(feature_maps(maps))
    assert first[0, :, 0].tolist() == [0, 255]
    assert (second == 0).all()


def test_heat_maps_have_titles_and_boxes_around_their_middle():
    figure = heat_maps({"a": torch.zeros(9, 9), "b": torch.zeros(5, 5)}, boxes=[3, 1])
    assert [axis.get_title() for axis in figure.axes] == ["a", "b"]
    box = figure.axes[0].patches[0]
    assert (box.get_x(), box.get_y(), box.get_width()) == (2.5, 2.5, 3)  # pixels 3, 4, 5


def test_number_squares_write_every_number():
    figure = number_squares({"x": torch.tensor([[1.0, 0.25]])})
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "0.25"]


def test_data_need_draws_means_and_every_seed():
    axis = data_need({"cnn": {10: [0.2, 0.4], 100: [0.5, 0.7]}}, chance=0.1).axes[0]
    line, *dots = axis.lines
    assert line.get_ydata() == pytest.approx([0.3, 0.6])
    assert list(dots[0].get_ydata()) == [0.2, 0.4]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["10", "100"]
