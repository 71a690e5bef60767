import pytest
import torch

from mmtutor.encoders import SmallCNN
from mmtutor.encoders.image import with_coordinates


def test_tokens_are_the_grid_row_by_row():
    encoded = SmallCNN(24, width=8)(torch.rand(2, 3, 64, 32))
    assert encoded.tokens.shape == (2, 4 * 2, 24)
    assert encoded.mask.shape == (2, 8)
    assert encoded.mask.all()


def test_patch_sets_how_much_a_token_covers():
    assert SmallCNN(8, width=4, patch=2)(torch.rand(1, 3, 32, 32)).tokens.shape == (1, 16, 8)


def test_coordinates_run_from_left_to_right_and_from_top_to_bottom():
    place = with_coordinates(torch.zeros(1, 1, 2, 3))[0, 1:]
    assert place[0].tolist() == [[-1, 0, 1], [-1, 0, 1]]
    assert place[1].tolist() == [[-1, -1, -1], [1, 1, 1]]


@pytest.mark.parametrize("coordinates", [True, False])
def test_pooled_features_tell_where_a_dot_is_by_the_coordinates(coordinates):
    """The dots are too far from every border to be told apart by its padding."""
    torch.manual_seed(0)
    images = torch.zeros(2, 3, 192, 192)
    images[0, :, 80:88, 80:88] = images[1, :, 96:104, 96:104] = 1  # one token further
    encoder = SmallCNN(16, width=8, coordinates=coordinates).eval()
    with torch.no_grad():
        one, other = encoder(images).pooled()
    difference = (one - other).abs().max() / one.abs().max()
    assert difference > 1e-4 if coordinates else difference < 1e-6


@pytest.mark.parametrize("size", [32, 64])
def test_every_parameter_gets_a_gradient(size):
    encoder = SmallCNN(16, width=8)
    encoder(torch.rand(2, 3, size, size)).pooled().square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
