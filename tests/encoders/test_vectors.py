import pytest
import torch

from mmtutor.encoders.vectors import TokenMLP


def test_padding_and_neighbours_change_nothing():
    torch.manual_seed(0)
    encoder, x = TokenMLP("a", 4, 5, hidden=6), torch.randn(2, 3, 4)
    tokens, mask = encoder(x)
    assert tokens.shape == (2, 3, 5)
    assert mask.all()
    keep = torch.tensor([[True, True, False, False]] * 2)
    padded = encoder(torch.nn.functional.pad(x, (0, 0, 0, 1)), keep)
    torch.testing.assert_close(padded.tokens[:, :2], tokens[:, :2])
    assert (padded.tokens[:, 2:] == 0).all()
    torch.testing.assert_close(encoder(x[:, :1]).tokens, tokens[:, :1])


def test_it_knows_the_place():
    encoder = TokenMLP("a", 4, 5)
    tokens = encoder(torch.ones(1, 2, 4)).tokens[0]
    assert not torch.allclose(tokens[0], tokens[1])


def test_wrong_shapes_are_named():
    encoder = TokenMLP("a", 4, 5, max_length=2)
    with pytest.raises(ValueError, match=r"a must be \(B, L, 4\)"):
        encoder(torch.ones(1, 2, 3))
    with pytest.raises(ValueError, match="a: 3 vectors; max_length is 2"):
        encoder(torch.ones(1, 3, 4))
