import math

import pytest
import torch
from torch import nn

from mmtutor.encoders.transformer import (
    MultiHeadAttention,
    TransformerBlock,
    TransformerEncoder,
    attention_weights,
    rotary,
    sinusoidal_positions,
)

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


@pytest.mark.parametrize("norm_first", [True, False])
def test_block_equals_torch(norm_first):
    torch.manual_seed(0)
    ours = TransformerBlock(12, 3, norm_first=norm_first)
    theirs = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=norm_first
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


def test_encoder_equals_torch():
    torch.manual_seed(0)
    ours = TransformerEncoder(12, 2, 3).eval()
    layer = nn.TransformerEncoderLayer(
        12, 3, 48, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    theirs = nn.TransformerEncoder(layer, 2, nn.LayerNorm(12), enable_nested_tensor=False).eval()
    for mine, other in zip(ours.blocks, theirs.layers, strict=True):
        copy_attention(mine.attention, other.self_attn)
        other.linear1.load_state_dict(mine.mlp[0].state_dict())
        other.linear2.load_state_dict(mine.mlp[2].state_dict())
    for x, mask in ((torch.randn(3, 5, 12), MASK), (torch.randn(1, 1, 12), MASK[:1, :1])):
        out, grad = gradients_on_real_tokens(lambda x, mask=mask: ours(x, mask), x, mask)
        expected, expected_grad = gradients_on_real_tokens(
            lambda x, mask=mask: theirs(x, src_key_padding_mask=~mask), x, mask
        )
        torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
        torch.testing.assert_close(grad, expected_grad, rtol=0, atol=1e-5)


def test_attention_weights_equal_torchs_and_ignore_padding():
    torch.manual_seed(0)
    ours, theirs = MultiHeadAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    copy_attention(ours, theirs)
    x = torch.randn(3, 5, 12)
    weights = ours.weights(x, MASK)
    _, expected = theirs(x, x, x, key_padding_mask=~MASK, average_attn_weights=False)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(weights.sum(-1), torch.ones(3, 3, 5))
    assert (weights * ~MASK[:, None, None]).sum() == 0


def test_a_causal_mask_equals_torchs():
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 5, 6).unbind()
    keep = torch.ones(5, 5, dtype=torch.bool).tril()
    ours = attention_weights(query, key, keep) @ value
    expected = nn.functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("norm_first", "turned"), [(True, False), (False, True)])
def test_the_encoder_reports_the_weights_it_used(norm_first, turned):
    torch.manual_seed(0)
    encoder = TransformerEncoder(12, 2, 3, norm_first=norm_first, rotary=turned).eval()
    x = torch.randn(3, 5, 12)
    seen = []
    for block in encoder.blocks:
        block.attention.register_forward_hook(
            lambda layer, inputs, out: seen.append(layer.weights(*inputs))
        )
    encoder(x, MASK)
    reported = encoder.attention(x, MASK)
    assert len(reported) == 2
    for weights, used in zip(reported, seen[:2], strict=True):
        torch.testing.assert_close(weights, used)


def test_rotary_positions_equal_those_of_llama():
    from transformers.models.llama.modeling_llama import (
        LlamaConfig,
        LlamaRotaryEmbedding,
        apply_rotary_pos_emb,
    )

    config = LlamaConfig(hidden_size=32, num_attention_heads=4)
    query, key = torch.randn(2, 3, 4, 9, 8)
    places = torch.arange(5, 14).expand(3, 9)
    cos, sin = LlamaRotaryEmbedding(config)(query, places)
    expected = apply_rotary_pos_emb(query, key, cos, sin)
    for x, turned in zip((query, key), expected, strict=True):
        torch.testing.assert_close(rotary(x, start=5), turned, rtol=0, atol=1e-5)
    cached = torch.cat([rotary(query[..., :6, :], 5), rotary(query[..., 6:, :], 11)], dim=-2)
    torch.testing.assert_close(cached, rotary(query, 5), rtol=0, atol=1e-5)


def test_rotary_scores_depend_on_the_distance_alone():
    torch.manual_seed(0)
    query, key = torch.randn(2, 8)
    turned = rotary(query.expand(12, 8)) @ rotary(key.expand(12, 8)).T  # [12, 12]
    for distance in (-5, 0, 3):
        along = turned.diagonal(distance)
        torch.testing.assert_close(along, along[:1].expand_as(along), rtol=0, atol=1e-5)
    assert turned[0].std() > 0.1
    torch.testing.assert_close(rotary(query.expand(12, 8)).norm(dim=-1), query.norm().expand(12))
    assert rotary(query.half().expand(12, 8)).dtype == torch.float16


def test_rotary_needs_pairs():
    with pytest.raises(ValueError, match="even number of entries, got 3"):
        rotary(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="heads of an even size, got 12 / 4"):
        MultiHeadAttention(12, 4, rotary=True)


def test_sinusoidal_positions_by_hand():
    positions = sinusoidal_positions(50, 6)
    assert positions.shape == (50, 6)
    assert positions[0].tolist() == [0, 1, 0, 1, 0, 1]
    angle = 7 / 10_000 ** (2 / 6)
    assert positions[7, 2].item() == pytest.approx(math.sin(angle), abs=1e-6)
    assert positions[7, 3].item() == pytest.approx(math.cos(angle), abs=1e-6)
    torch.testing.assert_close(sinusoidal_positions(50, 5), positions_of_width(50, 5))


def positions_of_width(length: int, dim: int) -> torch.Tensor:
    """The formula of the paper, entry by entry."""
    table = torch.empty(length, dim)
    for p in range(length):
        for k in range(dim):
            angle = p / 10_000 ** ((k - k % 2) / dim)
            table[p, k] = math.cos(angle) if k % 2 else math.sin(angle)
    return table
