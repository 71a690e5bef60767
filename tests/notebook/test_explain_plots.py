import torch

from mmtutor.notebook.explain_plots import feature_maps, map_grid, part_scores


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
    assert drawn[1].get_clim() == (0, maps["size"][0].max().item())
    peak = maps["sign"][1].abs().max().item()
    assert drawn[5].get_clim() == (-peak, peak)
    assert [len(axis.collections) for axis in figure.axes] == [0, 1, 1, 0, 0, 0]


def test_a_map_of_zeros_can_be_drawn():
    figure = map_grid(torch.rand(1, 3, 8, 8), {"flat": torch.zeros(1, 8, 8)})
    assert figure.axes[1].images[0].get_clim() == (0, 1)


def test_bars_have_the_names_and_colours_of_their_parts():
    figure = part_scores({"a": (["x", "y"], torch.tensor([1.0, -2]))}, "gain")
    (axis,) = figure.axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["x", "y"]
    assert [bar.get_width() for bar in axis.patches] == [1, -2]
    assert axis.patches[0].get_facecolor() != axis.patches[1].get_facecolor()


def test_every_channel_is_shown():
    figure = feature_maps(torch.rand(5, 4, 4), columns=3)
    assert sum(bool(axis.images) for axis in figure.axes) == 5
