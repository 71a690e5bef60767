import pytest
import torch
from torch import nn

from mmtutor.encoders import CellCNN, EdgeCNN, Encoded, EncodeUniqueImages, SmallCNN
from mmtutor.encoders.image import with_coordinates

SIDE, CELL = 48, 16
BEFORE, AFTER = 4, 1  # pixels beside its cell that a token sees: left and above, right and below


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


def test_an_edge_cnn_gives_a_token_for_each_patch_of_eight_pixels_and_learns_in_every_weight():
    encoder = EdgeCNN(8, width=4)
    tokens, mask = encoder(torch.rand(2, 3, 16, 24))
    assert tokens.shape == (2, 2 * 3, 8)
    assert mask.shape == (2, 6)
    assert mask.all()
    (tokens * torch.randn(tokens.shape)).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())


def cell_cnn() -> CellCNN:
    """Untrained, in evaluation mode, with batch statistics that are not those of the start."""
    torch.manual_seed(0)
    encoder = CellCNN(8, width=4)
    encoder(torch.rand(16, 3, SIDE, SIDE))
    return encoder.eval()


def test_a_token_ends_with_the_place_of_its_cell():
    encoder = cell_cnn()
    tokens, mask = encoder(torch.rand(2, 3, SIDE, SIDE))
    assert tokens.shape == (2, 9, encoder.dim)
    assert mask.all()
    assert tokens[0, :, -2:].tolist() == [[x, y] for y in (-3, 0, 3) for x in (-3, 0, 3)]


@pytest.mark.parametrize("cell", range(9))
def test_a_token_sees_its_cell_and_a_thin_edge_of_its_neighbours(cell):
    image = torch.rand(32, 3, SIDE, SIDE, requires_grad=True)
    token = cell_cnn()(image).tokens[:, cell]
    (token * torch.randn(token.shape)).sum().backward()
    seen = image.grad.abs().sum(dim=(0, 1)) > 0  # [48, 48] by any picture
    expected = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    row, column = (CELL * i for i in divmod(cell, 3))
    rows, columns = (slice(max(i - BEFORE, 0), i + CELL + AFTER) for i in (row, column))
    expected[rows, columns] = True
    assert seen.equal(expected)


def test_what_changes_well_inside_a_cell_changes_its_token_alone():
    encoder, image = cell_cnn(), torch.rand(1, 3, SIDE, SIDE)
    inside = slice(CELL + AFTER, 2 * CELL - BEFORE)  # of the middle cell
    other = image.clone()
    other[:, :, inside, inside] = 1 - other[:, :, inside, inside]
    with torch.no_grad():
        change = (encoder(other).tokens - encoder(image).tokens).abs().amax(dim=2).squeeze(0)
    assert (change > 0).tolist() == [i == 4 for i in range(9)]


class Counting(SmallCNN):
    seen = 0

    def forward(self, x, mask=None):
        self.seen += len(x)
        return super().forward(x, mask)


def test_a_picture_is_encoded_once_where_it_stands_several_times():
    torch.manual_seed(0)
    encoder = Counting(8, 4).eval()
    pictures = torch.rand(3, 3, 32, 32)[[0, 0, 1, 1, 1, 2, 0]]
    with torch.no_grad():
        expected = encoder(pictures)
        encoder.seen = 0
        found = EncodeUniqueImages(encoder).eval()(pictures)
    assert encoder.seen == 4
    torch.testing.assert_close(found.tokens, expected.tokens, rtol=0, atol=1e-6)
    assert found.mask.equal(expected.mask)


def test_gradients_of_equal_pictures_are_not_thrown_together():
    encoder = EncodeUniqueImages(SmallCNN(8, 4)).eval()
    pictures = torch.rand(1, 3, 32, 32).repeat(2, 1, 1, 1).requires_grad_()
    encoder(pictures).tokens.square().sum().backward()
    torch.testing.assert_close(pictures.grad[0], pictures.grad[1])
    assert pictures.grad.abs().sum() > 0


class Plain(nn.Module):
    """Without batch statistics, which count a picture as often as it stands there."""

    modality, dim = "image", 5

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 5, 4, 4)

    def forward(self, x, mask=None):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        return Encoded(tokens, torch.ones(tokens.shape[:2]) > 0)


def test_encoding_once_trains_as_encoding_every_time_does():
    torch.manual_seed(0)
    encoder, pictures = Plain(), torch.rand(3, 3, 8, 8)[[0, 0, 1, 1, 1, 2, 0]]
    weight = torch.randn(7, 4, 5)
    gradients = []
    for way in (encoder, EncodeUniqueImages(encoder)):
        (way(pictures).tokens * weight).sum().backward()
        gradients.append(encoder.patches.weight.grad.clone())
        encoder.zero_grad()
    torch.testing.assert_close(gradients[1], gradients[0])
