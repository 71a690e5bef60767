"""The Transformer encoder, with its attention written out; every modality's encoder may use it.

Knows sequences of vectors with a mask (Vaswani et al. 2017). Knows nothing of what a vector stands
for: words, image patches and sound frames become vectors elsewhere.
"""

import math

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import real, wide


def check_heads(dim: int, heads: int) -> None:
    """ValueError unless `dim` numbers can be dealt out evenly to `heads`."""
    checks.at_least(1, dim=dim, heads=heads)
    if dim % heads:
        raise ValueError(f"heads must divide dim = {dim}, got {heads}")


class MultiHeadAttention(nn.Module):
    """Scaled dot-product self-attention in several heads (Vaswani et al. 2017, section 3.2).

    Equal to `torch.nn.MultiheadAttention` of the same weights, but a row whose keys are all padding
    attends to nothing (zeros, then the output bias) where PyTorch's gives NaN. With `rotary`,
    queries and keys are turned by their places; a head's size must then be even.
    """

    def __init__(self, dim: int, heads: int, rotary: bool = False) -> None:
        super().__init__()
        check_heads(dim, heads)
        if rotary and dim // heads % 2:
            raise ValueError(f"rotary needs heads of an even size, got {dim} / {heads}")
        self.heads, self.rotary = heads, rotary
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) bool, True = a key that may be attended to -> (B, L, D)."""
        query, key, value = self._heads(x)
        attended = attention_weights(query, key, real(x, mask)[:, None, None]) @ value
        return self.out(attended.transpose(1, 2).flatten(2))  # [B, heads, L, D/heads] -> [B, L, D]

    def weights(self, x: Tensor, mask: Tensor) -> Tensor:
        """The weights of every head (B, heads, L, L): row = who looks, column = at whom."""
        query, key, _ = self._heads(x)
        return attention_weights(query, key, real(x, mask)[:, None, None])

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each (B, heads, L, D/heads): each head has its own subspace."""
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.rotary:
            query, key = rotary(query), rotary(key)
        return query, key, value


def attention_weights(query: Tensor, key: Tensor, keep: Tensor) -> Tensor:
    """softmax(Q K^T / sqrt(d)) over the keys to keep (Vaswani et al. 2017, eq. 1).

    Args:
        query, key: (..., L, d) and (..., S, d).
        keep: bool, broadcastable to (..., L, S), True where a query may look at a key.

    Returns:
        (..., L, S) in [0, 1]; a row sums to 1, or to 0 where there is no key to look at. Scores
        are computed in float32 at least, for in half precision they overflow.
    """
    keep = checks.as_mask(keep=keep)
    scores = wide(query) @ wide(key).transpose(-2, -1) / math.sqrt(query.shape[-1])
    scores = scores.masked_fill(~keep, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1).masked_fill(~keep, 0).to(query.dtype)


class TransformerBlock(nn.Module):
    """Attention, then a two-layer perceptron, each added to its own input.

    Equal to `torch.nn.TransformerEncoderLayer(activation="gelu")` of the same `norm_first`: each
    branch reads a normalised input (pre-norm), or each sum is normalised, as in BERT (post-norm).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        dropout: float = 0.0,
        norm_first: bool = True,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        checks.within("[0, 1]", dropout=dropout)
        self.norm_first = norm_first
        self.norm1 = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads, rotary)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) bool -> (B, L, D)."""
        if not self.norm_first:
            x = self.norm1(x + self.dropout(self.attention(x, mask)))
            return self.norm2(x + self.dropout(self.mlp(x)))
        x = x + self.dropout(self.attention(self.norm1(x), mask))
        return x + self.dropout(self.mlp(self.norm2(x)))


class TransformerEncoder(nn.Module):
    """Blocks, and a normalisation of what they leave as it is; masked positions come out as zeros.

    Pre-norm blocks are followed by it, equal to `torch.nn.TransformerEncoder` with a final norm;
    post-norm blocks are preceded by it, as in BERT. Without positions it cannot know order:
    permuting the vectors permutes what comes out.

    Args:
        dim: size D of a vector.
        depth: number of blocks.
        heads: attention heads; must divide `dim`.
        dropout: probability of dropping a coordinate of each block's two branches.
        norm_first, rotary: as in a block and in its attention.
    """

    def __init__(
        self,
        dim: int,
        depth: int,
        heads: int,
        dropout: float = 0.0,
        norm_first: bool = True,
        rotary: bool = False,
    ) -> None:
        super().__init__()
        checks.at_least(1, depth=depth)
        block = dim, heads, dropout, norm_first, rotary
        self.norm_first = norm_first
        self.blocks = nn.ModuleList(TransformerBlock(*block) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) bool, True = real -> (B, L, D)."""
        mask = real(x, mask)
        if not self.norm_first:
            x = self.norm(x)
        for block in self.blocks:
            x = block(x, mask)
        if self.norm_first:
            x = self.norm(x)
        return x.masked_fill(~mask.unsqueeze(-1), 0)

    def attention(self, x: Tensor, mask: Tensor) -> list[Tensor]:
        """What each block attends to: its weights (B, heads, L, L), the first block's first."""
        weights = []
        x = x if self.norm_first else self.norm(x)
        for block in self.blocks:
            seen = block.norm1(x) if self.norm_first else x
            weights.append(block.attention.weights(seen, mask))
            x = block(x, mask)
        return weights


def sinusoidal_positions(length: int, dim: int) -> Tensor:
    """Positions as sines and cosines of many wavelengths (Vaswani et al. 2017, section 3.5).

    Entry 2i of position p is sin(p / 10000^(2i / dim)), entry 2i + 1 the cosine of the same angle.

    Returns:
        (length, dim) float32 in [-1, 1].
    """
    checks.at_least(1, length=length, dim=dim)
    position = torch.arange(length, dtype=torch.float64).unsqueeze(1)  # [L, 1]
    wavelengths = 10_000 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)  # [ceil(dim / 2)]
    angles = position / wavelengths
    waves = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return waves[:, :dim].float()


def rotary(x: Tensor, start: int = 0, base: float = 10_000.0) -> Tensor:
    """Rotary positions (Su et al. 2021), in the layout of Llama: vectors turned by their places.

    The pair of entries i and i + d/2 at place p is turned by the angle p / base^(2i / d). The dot
    product of two turned vectors then depends on how far apart they stand, not on where.

    Args:
        x: queries or keys (..., L, d) floating point, d even.
        start: the place of the first vector.
        base: sets the slowest rotation.

    Returns:
        (..., L, d) of the same lengths.
    """
    length, dim = x.shape[-2:]
    if dim % 2:
        raise ValueError(f"x must have an even number of entries, got {dim}")
    place = torch.arange(start, start + length, device=x.device)  # [L]
    return turned(x, *turns(place, dim, base))


def turns(place: Tensor, dim: int, base: float = 10_000.0) -> Tensor:
    """Cosines and sines of the angles by which `rotary` turns: place (L,) -> (2, L, dim / 2)."""
    angle = place.unsqueeze(1) / base ** (torch.arange(0, dim, 2, device=place.device) / dim)
    return torch.stack([angle.cos(), angle.sin()])


def turned(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Entries i and i + d/2 of x (..., d) turned; cosines and sines broadcast to (..., d / 2)."""
    first, second = wide(x).chunk(2, dim=-1)  # [..., d / 2]
    pair = first * cos - second * sin, second * cos + first * sin
    return torch.cat(pair, dim=-1).to(x.dtype)
