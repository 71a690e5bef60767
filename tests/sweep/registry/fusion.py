"""`mmtutor.fusion`: padding, other examples, absent modalities and the order change nothing.

Values by hand stand in `tests/fusion`; here each example is fused again alone, cut to its real
tokens, with the modalities in another order.
"""

from __future__ import annotations

from random import Random
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from mmtutor.encoders import Encoded
from mmtutor.fusion import FUSIONS, MultiHeadCrossAttention
from mmtutor.fusion.attention import CrossAttentionBlock
from mmtutor.fusion.base import mean_of_present
from tests.sweep.entries import Entry, entry
from tests.sweep.kinds import (
    Sizes,
    constantly,
    count,
    floats,
    generator,
    given,
    masks,
    option,
    optional,
)

DIMS = {"image": 3, "audio": 2}  # not in sorted order
OUT = 4


def codes(random: Random, sizes: Sizes) -> dict[str, Encoded]:
    """Tokens of both modalities, with padding anywhere."""
    drawn = generator(random)
    found = {}
    for name, dim in DIMS.items():
        tokens = torch.rand(sizes["B"], sizes[name], dim, generator=drawn) * 4 - 2
        mask = torch.rand(sizes["B"], sizes[name], generator=drawn) < 0.6
        mask[:, 0] = True
        found[name] = Encoded(tokens, mask)
    return found


def changed(tokens=None, mask=None):
    """A spoil of the picture's tokens or of their mask."""

    def spoil(random: Random, encoded: dict[str, Encoded]) -> dict[str, Encoded]:
        old = encoded["image"]
        new = Encoded(
            tokens(old.tokens) if tokens else old.tokens, mask(old.mask) if mask else old.mask
        )
        return {**encoded, "image": new}

    return spoil


ENCODED = given(
    codes,
    {
        "no mapping": constantly(None, "abc", 3, [1], torch.zeros(2, 3)),
        "one less": lambda random, e: {"image": e["image"]},
        "one more": lambda random, e: e | {"words": e["audio"]},
        "another": lambda random, e: {"image": e["image"], "words": e["audio"]},
        "a tensor": lambda random, e: e | {"image": e["image"].tokens},
        "a tuple": lambda random, e: e | {"image": tuple(e["image"])},
        "no tokens": changed(lambda x: None),
        "listed tokens": changed(lambda x: x.tolist()),
        "another size": changed(lambda x: x[..., :2]),
        "one size": changed(lambda x: x[..., :1]),
        "one axis more": changed(lambda x: x.unsqueeze(1)),
        "one axis less": changed(lambda x: x[:, 0]),
        "integers": changed(lambda x: x.long()),
        "complex": changed(lambda x: x.to(torch.complex64)),
        "another batch": changed(lambda x: x[:1], lambda m: m[:1]),
        "no example": lambda random, e: {
            n: Encoded(c.tokens[:0], c.mask[:0]) for n, c in e.items()
        },
        "no mask": changed(mask=lambda m: None),
        "short mask": changed(mask=lambda m: m[:, :1]),
        "long mask": changed(mask=lambda m: torch.cat([m, m], 1)),
        "mask of another axis": changed(mask=lambda m: m.unsqueeze(-1)),
        "floating mask": changed(mask=lambda m: m * 0.5),
        "mask of two": changed(mask=lambda m: m.long() * 2),
        "mask of minus one": changed(mask=lambda m: -m.long()),
    },
)
ENCODED = ENCODED.__class__(
    ENCODED.good,
    ENCODED.bad,
    {
        "0 and 1": changed(mask=lambda m: m.long()),
        "uint8": changed(mask=lambda m: m.to(torch.uint8)),
        "array": changed(mask=lambda m: m.numpy()),
        "list": changed(mask=lambda m: m.tolist()),
        "padded on the left": changed(lambda x: x.flip(1), lambda m: m.flip(1)),
        "padded with NaN": lambda random, e: {
            n: Encoded(c.tokens.masked_fill(~c.mask[..., None], torch.nan), c.mask)
            for n, c in e.items()
        },
        "another order": lambda random, e: dict(reversed(e.items())),
    },
)
PRESENT = optional(
    masks("B 2", least=0).but(
        fewer=lambda random, x: x[:-1] if len(x) > 1 else x.repeat(2, 1),
        turned=lambda random, x: torch.ones(len(x) + 3, len(x)).bool(),
    )
)
SIZED = given(
    lambda random, sizes: dict(DIMS),
    {
        "no mapping": constantly(None, "abc", 3, [3, 2], 0.5),
        "empty": constantly({}),
        "zero": constantly({"image": 0, "audio": 2}),
        "negative": constantly({"image": 3, "audio": -2}),
        "broken": constantly({"image": 3, "audio": 2.5}),
        "words": constantly({"image": 3, "audio": "2"}),
        "none": constantly({"image": 3, "audio": None}),
    },
)
# OUT and the heads are fixed: what is drawn must divide
OUT_DIM = count(OUT, OUT).but(**{"too small": constantly(0, -1, -1000)})
HEADS = (
    option(1, 2, 4)
    .without("typo")
    .but(
        **{
            "no divisor": constantly(3, 5, 8),
            "too small": constantly(0, -1),
            "broken": constantly(1.5),
        }
    )
)


def alone(name: str, options: tuple[str, ...]):
    """Whether each example, cut to what is real and present, is fused into the same vector."""

    def holds(value: Tensor, a: SimpleNamespace) -> bool:
        torch.manual_seed(0)
        fusion = FUSIONS[name](a.dims, a.out_dim, **{o: getattr(a, o) for o in options})
        order = sorted(a.dims)
        for i, vector in enumerate(value):
            one = {}
            for m, code in reversed(a.encoded.items()):
                there = a.present is None or a.present[i, order.index(m)]
                real = code.tokens[i : i + 1, code.mask[i] & bool(there)]
                one[m] = Encoded(real, torch.ones(real.shape[:2], dtype=torch.bool))
            if not torch.allclose(fusion(one)[0], vector, atol=1e-5):
                return False
        return value.shape[1] == a.out_dim

    return holds


def fusion(name: str, **options) -> Entry:
    return entry(
        FUSIONS[name],
        dims=SIZED,
        out_dim=OUT_DIM,
        **options,
        then={"encoded": ENCODED, "present": PRESENT},
        holds=alone(name, tuple(options)),
    )


SHARES = given(
    lambda random, sizes: {"image": random.uniform(0.1, 1), "audio": random.uniform(0.1, 1)},
    {
        "no mapping": constantly("abc", 3, [1, 2]),
        "one less": constantly({"image": 1.0}),
        "another": constantly({"image": 1.0, "words": 1.0}),
        "negative": constantly({"image": 1.0, "audio": -0.5}),
        "nothing": constantly({"image": 0.0, "audio": 0.0}),
        "NaN": constantly({"image": 1.0, "audio": float("nan")}),
        "words": constantly({"image": 1.0, "audio": "1"}),
    },
)

EDGES = given(
    lambda random, sizes: random.sample([("image", "audio"), ("audio", "image")], 1),
    {
        "no list": constantly("image", 3, {"image": "audio"}),
        "words": constantly(["image", "audio"]),
        "another": constantly([("image", "words")]),
        "with itself": constantly([("image", "image")]),
        "one": constantly([("image",)]),
        "three": constantly([("image", "audio", "image")]),
    },
)


def _cross_attention(dim, heads, x, context, mask):
    torch.manual_seed(0)
    return MultiHeadCrossAttention(dim, heads)(x, context, mask)


def _as_torch(value: Tensor, a: SimpleNamespace) -> bool:
    """PyTorch's own attention with the same weights."""
    torch.manual_seed(0)
    ours = MultiHeadCrossAttention(a.dim, a.heads)
    theirs = torch.nn.MultiheadAttention(a.dim, a.heads, batch_first=True)
    theirs.in_proj_weight.data = torch.cat([ours.query.weight, ours.key_value.weight])
    theirs.in_proj_bias.data = torch.cat([ours.query.bias, ours.key_value.bias])
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    expected, _ = theirs(a.x, a.context, a.context, key_padding_mask=~a.mask)
    return torch.allclose(value, expected, atol=1e-5)


def _block(dim, heads, x, context, mask):
    torch.manual_seed(0)
    return CrossAttentionBlock(dim, heads)(x, context, mask)


def _in_parts(value: Tensor, a: SimpleNamespace) -> bool:
    """Attention to what was normalised, then the perceptron, each added."""
    torch.manual_seed(0)
    block = CrossAttentionBlock(a.dim, a.heads)
    x = a.x + block.attention(block.norm1(a.x), block.norm_context(a.context), a.mask)
    return torch.allclose(value, x + block.mlp(block.norm2(x)), atol=1e-6)


# The weights are of float32, and PyTorch's own refusal of another type is left to stand.
TOKENS = {
    "x": floats("B L D", nan="propagates").without("double", "half"),
    # NaN where the mask hides it is not read
    "context": floats("B S D").without("double", "half", "NaN", "infinite"),
    "mask": masks("B S").without("length"),
}
DIM = count(OUT, OUT).but(**{"too small": constantly(0, -1, -1000)})
ATTENTION = {"dim": DIM, "heads": HEADS, **TOKENS, "with_sizes": {"D": OUT}}


def _mean(value: Tensor, a: SimpleNamespace) -> bool:
    rows = [
        np.mean(
            [v.numpy() for v, p in zip(row, there, strict=True) if p] or [row[0].numpy() * 0], 0
        )
        for row, there in zip(a.vectors, a.present, strict=True)
    ]
    return np.allclose(value, np.stack(rows), atol=1e-5)


ENTRIES = [
    fusion("concat"),
    fusion("mean"),
    fusion("sum"),
    fusion("weighted", weights=optional(SHARES)),
    fusion("late", hidden=count(1, 8)),
    fusion("max"),
    fusion(
        "convolution",
        channels=count(1, 4),
        kernel=option(1, 3, 5)
        .without("typo")
        .but(even=constantly(2, 4), **{"too small": constantly(0, -1)}, broken=constantly(1.5)),
    ),
    fusion("gated"),
    fusion("bilinear"),
    fusion("low_rank_tensor", rank=count(1, 4)),
    fusion("attention", heads=HEADS),
    fusion("cross_attention", heads=HEADS),
    fusion("bottleneck", heads=HEADS, bottlenecks=count(1, 3), depth=count(1, 2)),
    fusion("single_stream", heads=HEADS, depth=count(1, 2)),
    fusion("graph", edges=optional(EDGES), rounds=count(1, 3)),
    fusion("product"),
    fusion("film"),
    entry(_cross_attention, of=MultiHeadCrossAttention, **ATTENTION, holds=_as_torch),
    entry(_block, of=CrossAttentionBlock, **ATTENTION, holds=_in_parts),
    entry(
        mean_of_present,
        # NaN of what is absent is not read
        vectors=floats("B M D").without("NaN", "infinite", "one axis more", "one axis less"),
        present=masks("B M", least=0),
        holds=_mean,
    ),
]
OF_FUSIONS = "what fusions share: it gets what `Fusion.forward` has checked"
EXEMPT = {
    "mmtutor.fusion.base.Fusion": "what all fusions are made of; each has an entry",
    "mmtutor.fusion.base.Projected": OF_FUSIONS,
    "mmtutor.fusion.base.there": OF_FUSIONS,
}
