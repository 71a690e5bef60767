import pytest
import torch
from torch import nn

from mmtutor.encoders import SmallTransformer
from mmtutor.encoders.text import MultiHeadAttention, TransformerBlock

MASK = torch.tensor([[True] * 5, [True, True, True, False, False], [True] + [False] * 4])


def copy_attention(ours: MultiHeadAttention, theirs: nn.MultiheadAttention) -> None:
    theirs.load_state_dict(
        {
            "in_proj_weight": ours.qkv.weight,
            "in_proj_bias": ours.qkv.bias,
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )


def gradients_on_real_tokens(forward, x, mask):
    x = x.clone().requires_grad_()
    out = forward(x)[mask]
    (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    return out.detach(), x.grad


def test_attention_equals_torch():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    copy_attention(ours, theirs)
    x = torch.randn(3, 5, 12)
    out, grad = gradients_on_real_tokens(lambda x: ours(x, MASK), x, MASK)
    expected, expected_grad = gradients_on_real_tokens(
        lambda x: theirs(x, x, x, key_padding_mask=~MASK, need_weights=False)[0], x, MASK
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.qkv.weight.grad, theirs.in_proj_weight.grad, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.out.weight.grad, theirs.out_proj.weight.grad, rtol=0, atol=1e-5)


def test_block_equals_torch():
    torch.manual_seed(0)
    ours = TransformerBlock(12, 3)
    theirs = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    copy_attention(ours.attention, theirs.self_attn)
    for mine, other in (
        (ours.norm1, theirs.norm1),
        (ours.norm2, theirs.norm2),
        (ours.mlp[0], theirs.linear1),
        (ours.mlp[2], theirs.linear2),
    ):
        nn.init.normal_(mine.bias)
        other.load_state_dict(mine.state_dict())
    x = torch.randn(3, 5, 12)
    out, grad = gradients_on_real_tokens(lambda x: ours(x, MASK), x, MASK)
    expected, expected_grad = gradients_on_real_tokens(
        lambda x: theirs(x, src_key_padding_mask=~MASK), x, MASK
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-5)


def test_fully_masked_row_attends_to_nothing():
    attention = MultiHeadAttention(8, 2)
    x = torch.randn(1, 3, 8, requires_grad=True)
    out = attention(x, torch.zeros(1, 3, dtype=torch.bool))
    out.sum().backward()
    torch.testing.assert_close(out, attention.out.bias.expand(1, 3, 8))
    assert x.grad.abs().sum() == 0


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
