"""Grids show every picture that they were given, where it belongs."""

import pytest
import torch

from mmtutor.notebook import gallery, image_grid
from mmtutor.notebook.plots import image_rows, map_grid


def pictures(figure):
    return [axis.images[0].get_array() for axis in figure.axes if axis.images]


def test_the_grid_shows_every_picture_with_its_title():
    images = [torch.full((3, 4, 4), value) for value in (0.0, 0.5, 1.0)]
    figure = image_grid(images, ["a", "b", "c"], columns=2)
    drawn = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in drawn] == ["a", "b", "c"]
    assert [int(axis.images[0].get_array()[0, 0, 0]) for axis in drawn] == [0, 128, 255]


def test_grey_pictures_get_three_equal_channels():
    (shown,) = pictures(image_grid([torch.tensor([[0.0, 0.2, 1.0]])]))
    assert shown[0].tolist() == [[0] * 3, [51] * 3, [255] * 3]


def test_when_stretched_each_uses_the_whole_range():
    maps = torch.stack([torch.tensor([[0.0, 5.0]]), torch.tensor([[-1.0, -1.0]])])
    first, second = pictures(image_grid(maps, stretch=True))
    assert first[0, :, 0].tolist() == [0, 255]
    assert (second == 0).all()


@pytest.mark.parametrize("plot", [image_grid, gallery])
def test_titles_must_match(plot):
    with pytest.raises(ValueError, match="not empty, got 1 and 2 elements"):
        plot([torch.zeros(3, 4, 4)], ["a", "b"])
    with pytest.raises(ValueError, match="images must be not empty"):
        plot([])


def test_rows_may_be_of_unequal_length():
    images = list(torch.arange(3, dtype=torch.uint8).view(3, 1, 1, 1).expand(3, 3, 4, 4))
    figure = image_rows({"one": images, "two": images[1:2]}, ["a", "b", "c"])
    assert [bool(axis.images) for axis in figure.axes] == [True] * 4 + [False] * 2
    assert [int(shown[0, 0, 0]) for shown in pictures(figure)] == [0, 1, 2, 1]
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", "c", "", "", ""]
    assert [figure.axes[k].get_ylabel() for k in (0, 3)] == ["one", "two"]


def test_a_row_a_picture_and_a_column_a_method():
    images, maps = (
        torch.rand(2, 3, 8, 8),
        {"size": torch.rand(2, 8, 8), "sign": torch.randn(2, 8, 8)},
    )
    masks = torch.zeros(2, 8, 8, dtype=torch.bool)
    masks[0, 2:4, 2:4] = True
    figure = map_grid(images, maps, ["first", "second"], masks)
    titles = [axis.get_title() for axis in figure.axes]
    assert titles == ["first", "size", "sign", "second", "", ""]
    drawn = [axis.images[0] for axis in figure.axes]
    assert drawn[4].get_array().tolist() == maps["size"][1].tolist()
    assert drawn[1].get_clim() == (0, maps["size"][0].max().item())
    peak = maps["sign"][1].abs().max().item()
    assert drawn[5].get_clim() == (-peak, peak)
    assert [len(axis.collections) for axis in figure.axes] == [0, 1, 1, 0, 0, 0]


def test_a_map_of_zeros_can_be_drawn():
    figure = map_grid(torch.rand(1, 3, 8, 8), {"flat": torch.zeros(1, 8, 8)})
    assert figure.axes[1].images[0].get_clim() == (0, 1)
