import pytest
import torch
from torch import nn

from mmtutor.encoders import SmallTransformer


def test_padding_never_changes_a_result():
    torch.manual_seed(0)
    encoder = SmallTransformer(20, 16, depth=2, heads=4, max_length=9)
    short = torch.tensor([[3, 4, 5]])
    padded = torch.tensor([[3, 4, 5, 0, 0, 17]])
    mask = torch.tensor([[True, True, True, False, False, False]])
    alone, among = encoder(short), encoder(padded, mask)
    torch.testing.assert_close(among.tokens[:, :3], alone.tokens)
    torch.testing.assert_close(among.pooled(), alone.pooled())
    assert among.tokens[:, 3:].abs().sum() == 0


def test_row_of_padding_alone_pools_to_zeros():
    encoder = SmallTransformer(20, 16)
    encoded = encoder(torch.zeros(1, 4, dtype=torch.long), torch.zeros(1, 4, dtype=torch.bool))
    encoded.pooled().sum().backward()
    assert encoded.pooled().tolist() == [[0.0] * 16]
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


def test_word_order_matters():
    torch.manual_seed(0)
    encoder = SmallTransformer(20, 16)
    nn.init.normal_(encoder.position)
    one, other = encoder(torch.tensor([[2, 3, 4]])).pooled(), encoder(torch.tensor([[4, 3, 2]]))
    assert (one - other.pooled()).abs().max() > 1e-3


def test_bad_input_is_named():
    encoder = SmallTransformer(20, 16, max_length=4)
    with pytest.raises(ValueError, match=r"5 tokens.*max_length is 4"):
        encoder(torch.ones(1, 5, dtype=torch.long))
    with pytest.raises(ValueError, match=r"20 is outside the vocabulary of 20"):
        encoder(torch.tensor([[1, 20]]))
    with pytest.raises(ValueError, match="multiple of heads"):
        SmallTransformer(20, 10, heads=4)
