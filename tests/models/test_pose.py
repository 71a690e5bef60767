import pytest
import torch

from mmtutor.models.pose import (
    PoseNetwork,
    _PoseOutput,
    _to_pixels,
    argmax_joints,
    soft_argmax_joints,
    to_cells,
)


def peak(row, column):
    maps = torch.full((1, 1, 4, 6), -50.0)
    maps[0, 0, row, column] = 50
    return _PoseOutput(maps, 2)


@pytest.mark.parametrize("decode", [argmax_joints, soft_argmax_joints])
def test_the_middle_of_a_cell_is_the_middle_of_its_pixels(decode):
    """Cell (1, 3) holds pixels 2 and 3 down, 6 and 7 across."""
    assert decode(peak(1, 3)).tolist() == [[[6.5, 2.5]]]
    assert decode(peak(0, 0)).tolist() == [[[0.5, 0.5]]]


def test_between_two_hills_the_soft_argmax_is_in_the_valley():
    maps = torch.full((1, 1, 1, 9), -50.0)
    maps[..., 0] = maps[..., 8] = 10
    output = _PoseOutput(maps, 1)
    assert soft_argmax_joints(output)[0, 0, 0].item() == pytest.approx(4)
    assert argmax_joints(output)[0, 0, 0].item() == 0


def test_pixels_and_cells_are_inverse():
    places = torch.rand(3, 2) * 40
    torch.testing.assert_close(_to_pixels(to_cells(places, 2), 2), places)


def test_a_map_for_each_joint_at_half_size_and_gradients_everywhere():
    torch.manual_seed(0)
    network = PoseNetwork(5, width=4)
    output = network({"image": torch.rand(2, 3, 32, 48)})
    assert output.heatmaps.shape == (2, 5, 16, 24)
    soft_argmax_joints(output).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())
    with pytest.raises(KeyError, match="lacks image"):
        network({"video": torch.rand(1)})
