"""Fusions by attention: over modalities, across tokens, through a bottleneck, in a single stream.

Scores are computed in float32 at least.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, narrow, real, wide
from mmtutor.encoders.transformer import (
    TransformerBlock,
    TransformerEncoder,
    attention_weights,
    check_heads,
)
from mmtutor.fusion.base import Fusion, Projected, mean_of_present, there


class Attention(Fusion):
    """Modality attention: a weighted mean whose weights depend on the example.

    a = softmax over m of w' tanh(U h_m), where h_m = W_m x_m, and z = sum_m a_m h_m: the additive
    score of Bahdanau et al. (2015). Each head has a w, and weighs its own part of the coordinates.
    An absent modality has weight 0.

    Args:
        heads: number of weightings; must divide `out_dim`. With a single one and a linear layer
            behind it, the sign of a score is that of a sum over modalities: it cannot see synergy.
    """

    def __init__(self, dims: dict[str, int], out_dim: int, heads: int = 4) -> None:
        super().__init__(dims, out_dim)
        check_heads(out_dim, heads)
        self.project = Projected(self.dims, out_dim)
        self.hidden = nn.Linear(out_dim, out_dim)
        self.score = nn.Linear(out_dim, heads, bias=False)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, D): each head's weighted mean of its own part of the vectors."""
        h = self.project(encoded)  # [B, M, D]
        weights = self._weights(h, there(encoded)).transpose(1, 2)  # [B, M, heads]
        parts = h.unflatten(-1, (weights.shape[-1], -1))  # [B, M, heads, D/heads]
        return (weights.unsqueeze(-1) * parts).sum(dim=1).flatten(1)

    def weights(self, encoded: dict[str, Encoded], present: Tensor | None = None) -> Tensor:
        """(B, heads, M) in [0, 1]: what each head thinks of each modality; sums over M are 1."""
        encoded = self._checked(encoded, present)
        return self._weights(self.project(encoded), there(encoded))

    def _weights(self, h: Tensor, present: Tensor) -> Tensor:
        scores = wide(self.score(self.hidden(h).tanh())).transpose(1, 2)  # [B, heads, M]
        keep = present.unsqueeze(1)
        scores = scores.masked_fill(~keep, torch.finfo(scores.dtype).min)
        return scores.softmax(dim=-1).masked_fill(~keep, 0).to(h.dtype)


class MultiHeadCrossAttention(nn.Module):
    """Attention whose queries are one sequence and whose keys and values are another.

    softmax(Q K' / sqrt(d)) V in several heads (Vaswani et al. 2017, section 3.2). Equal to
    `torch.nn.MultiheadAttention` of the same weights, but a row without any key to look at attends
    to nothing (zeros, then the output bias).
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key_value = nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D) looks at context (B, S, D) where mask (B, S) is True -> (B, L, D)."""
        mask = _checked(self.query.in_features, x, context, mask)[:, None, None]
        query, (key, value) = self._query(x), self._key_value(context)
        read = attention_weights(query, key, mask) @ value
        return self.out(narrow(read.transpose(1, 2).flatten(2), x.dtype))

    def weights(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """(B, heads, L, S): row = who looks, column = at whom."""
        mask = _checked(self.query.in_features, x, context, mask)[:, None, None]
        return attention_weights(self._query(x), self._key_value(context)[0], mask)

    def _query(self, x: Tensor) -> Tensor:
        """(B, heads, L, D/heads)."""
        return wide(self.query(x)).unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def _key_value(self, context: Tensor) -> Tensor:
        """(2, B, heads, S, D/heads)."""
        both = self.key_value(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        return wide(both)


def _checked(dim: int, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
    """The mask of the context, (B, S) bool."""
    checks.shaped(x=(x, f"B L? {dim}"), context=(context, f"B S? {dim}"))
    checks.floating(x=x, context=context)
    return real(context, checks.as_mask(mask=mask))


class CrossAttentionBlock(nn.Module):
    """`TransformerBlock`, but its keys and values come from another sequence (pre-norm)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.norm1, self.norm_context = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = MultiHeadCrossAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor, context: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), context (B, S, D), mask (B, S) of the context -> (B, L, D)."""
        mask = _checked(self.norm2.weight.shape[0], x, context, mask)
        x = x + self.attention(self.norm1(x), self.norm_context(context), mask)
        return x + self.mlp(self.norm2(x))


class CrossAttention(Fusion):
    """The tokens of each modality look at the tokens of all others; then the mean of everything.

    Queries are a modality's own tokens, keys and values those of the others, all projected to one
    size; one block, the same for all modalities. The order of the keys is irrelevant. An absent
    modality is neither query nor key.

    Args:
        heads: attention heads; must divide `out_dim`.
    """

    def __init__(self, dims: dict[str, int], out_dim: int, heads: int = 4) -> None:
        super().__init__(dims, out_dim)
        if len(dims) < 2:
            raise ValueError(f"dims must be of two modalities or more, got {dims}")
        self.project = nn.ModuleList(nn.Linear(dim, out_dim) for dim in self.dims.values())
        self.block = CrossAttentionBlock(out_dim, heads)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, D): the mean of all present modalities after each has looked at the others."""
        pairs = zip(self.project, encoded.values(), strict=True)
        codes = [Encoded(linear(code.tokens), code.mask) for linear, code in pairs]
        read = [self._read(codes, m) for m in range(len(codes))]
        return mean_of_present(torch.stack(read, dim=1), there(encoded))

    def _read(self, codes: list[Encoded], m: int) -> Tensor:
        """Modality m's mean token after its tokens have looked at the others, (B, D)."""
        others = codes[:m] + codes[m + 1 :]
        context = torch.cat([code.tokens for code in others], dim=1)
        mask = torch.cat([code.mask for code in others], dim=1)
        return Encoded(self.block(codes[m].tokens, context, mask), codes[m].mask).pooled()


class Bottleneck(Fusion):
    """Modalities exchange what they know through a few shared tokens (Nagrani et al. 2021).

    In every layer each modality's tokens and the shared ones go through a Transformer block of the
    modality's own; the shared tokens are then the mean over modalities (their eq. 8 and 9). The
    result is the mean shared token. After one layer it is a mean of unimodal codes; modalities
    first meet in the second. An absent modality is left out of the means.

    Args:
        heads: attention heads; must divide `out_dim`.
        bottlenecks: number of shared tokens.
        depth: number of layers.
    """

    def __init__(
        self,
        dims: dict[str, int],
        out_dim: int,
        heads: int = 4,
        bottlenecks: int = 4,
        depth: int = 2,
    ) -> None:
        super().__init__(dims, out_dim)
        checks.at_least(1, bottlenecks=bottlenecks, depth=depth)
        self.project = nn.ModuleList(nn.Linear(dim, out_dim) for dim in self.dims.values())
        self.shared = nn.Parameter(torch.randn(bottlenecks, out_dim) * 0.02)
        self.layers = nn.ModuleList(
            nn.ModuleList(TransformerBlock(out_dim, heads) for _ in dims) for _ in range(depth)
        )

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, D): the mean of the shared tokens after the last layer."""
        present = there(encoded)
        pairs = zip(self.project, encoded.values(), strict=True)
        tokens = [linear(code.tokens) for linear, code in pairs]
        shared = self.shared.expand(len(present), -1, -1)  # [B, bottlenecks, D]
        for blocks in self.layers:
            views = []
            for m, (block, code) in enumerate(zip(blocks, encoded.values(), strict=True)):
                mask = torch.cat([code.mask, code.mask.new_ones(shared.shape[:2])], dim=1)
                joint = block(torch.cat([tokens[m], shared], dim=1), mask)
                tokens[m], view = joint.split([tokens[m].shape[1], shared.shape[1]], dim=1)
                views.append(view)
            shared = mean_of_present(torch.stack(views, dim=1), present)
        return shared.mean(dim=1)


class SingleStream(Fusion):
    """All tokens of all modalities in one sequence, through one Transformer.

    Each modality is projected to one size, and a learned vector is added that says which modality a
    token is of. A learned class token stands in front; what it has become is the result, as
    in VisualBERT (Li et al. 2019) and ViLT (Kim et al. 2021). The order of a modality's tokens is
    irrelevant. An absent modality is masked.

    Args:
        heads: attention heads; must divide `out_dim`.
        depth: number of blocks. In the first each token looks at all others; the class token looks
            at what they found from the second on.
    """

    def __init__(self, dims: dict[str, int], out_dim: int, heads: int = 4, depth: int = 2) -> None:
        super().__init__(dims, out_dim)
        self.project = nn.ModuleList(nn.Linear(dim, out_dim) for dim in self.dims.values())
        self.segments = nn.Parameter(torch.randn(len(dims), out_dim) * 0.02)
        self.class_token = nn.Parameter(torch.randn(1, out_dim) * 0.02)
        self.encoder = TransformerEncoder(out_dim, depth, heads)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, D): the class token after the last block."""
        return self.encoder(*self.sequence(encoded))[:, 0]

    def sequence(self, encoded: dict[str, Encoded]) -> Encoded:
        """(B, 1 + N, D) and its mask: the class token, then all modalities in sorted order."""
        codes = [*encoded.values()]
        start = self.class_token.expand(len(codes[0].tokens), 1, -1)
        parts = zip(self.project, codes, self.segments, strict=True)
        tokens = [linear(code.tokens) + segment for linear, code, segment in parts]
        mask = [real(start), *(code.mask for code in codes)]
        return Encoded(torch.cat([start, *tokens], dim=1), torch.cat(mask, dim=1))
