import torch
from torch import nn

from mmtutor.encoders.transformer import MultiHeadAttention, TransformerBlock

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
