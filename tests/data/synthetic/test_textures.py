import pytest
import torch

from mmtutor.data.synthetic.textures import _texture, pair, photograph_pair


def test_brightness_is_constant_along_the_flow():
    """The second picture is evaluated where the flow of the first leads: exactly the same value."""
    moved = pair(32, shift=(2.0, -3.0), seed=1)
    assert torch.equal(moved.flow[:, 4, 7], torch.tensor([2.0, -3.0]))
    torch.testing.assert_close(moved.second[:-3, 2:], moved.first[3:, :-2])
    quarter = pair(32, angle=90.0)  # clockwise as seen: the right side goes down
    torch.testing.assert_close(quarter.second, quarter.first.rot90(-1), atol=1e-5, rtol=0)
    torch.testing.assert_close(quarter.flow[:, 0, 31], torch.tensor([0.0, 31.0]))


def test_zoom_moves_things_away_from_the_middle():
    grown = pair(33, zoom=1.5)
    assert grown.flow[:, 16, 16].abs().max() < 1e-6
    torch.testing.assert_close(grown.flow[:, 16, 32], torch.tensor([8.0, 0.0]))
    torch.testing.assert_close(grown.second[16, 19], grown.first[16, 18])


def test_textures_are_in_range_and_seeded():
    place = torch.rand(2, 5, 5, dtype=torch.float64) * 100
    assert 0 <= _texture(place, (8, 24), 0).min() < _texture(place, (8, 24), 0).max() <= 1
    assert not torch.equal(_texture(place, (8, 24), 0), _texture(place, (8, 24), 1))


def test_a_photograph_moves_by_whole_fine_pixels():
    picture = torch.randint(256, (3, 40, 48), dtype=torch.uint8)
    first, second, flow = photograph_pair(picture, (2, -4), 2)
    assert first.shape == second.shape == flow.shape[1:] == (16, 20)
    torch.testing.assert_close(second[:-2, 1:], first[2:, :-1])
    assert torch.equal(flow[:, 0, 0], torch.tensor([1.0, -2.0]))
    with pytest.raises(ValueError, match=r"\(40, 48\) is too small"):
        photograph_pair(picture, (20, 0), 2)
