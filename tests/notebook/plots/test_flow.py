import torch

from mmtutor.notebook.plots import colour_wheel, flow_colours


def test_colours_name_directions():
    def colour(u, v):
        return flow_colours(torch.tensor([u, v]).view(2, 1, 1), 1.0).flatten().tolist()

    assert colour(0.0, 0.0) == [1, 1, 1]
    assert colour(1.0, 0.0) == [1, 0, 0]
    assert colour(9.0, 0.0) == [1, 0, 0]  # longer than the longest
    assert colour(-1.0, 0.0) == [0, 1, 1]
    assert colour(0.5, 0.0) == [1, 0.5, 0.5]
    wheel = colour_wheel(9)
    assert wheel[:, 4, 8].tolist() == [1, 0, 0]
    assert wheel[:, 0, 0].tolist() == [1, 1, 1]


def test_hues_turn_with_the_clock():
    down = flow_colours(torch.tensor([0.0, 2.0]).view(2, 1, 1)).flatten()  # y points down
    torch.testing.assert_close(down, torch.tensor([0.5, 1, 0]))
