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
    attends to nothing (zeros, then the output bias) where PyTorch's gives NaN.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.heads = heads
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

    def _heads(self, x: Tensor) -> Tensor:
        """Query, key and value, (3, B, heads, L, D/heads): each head has its own subspace."""
        return self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)


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
    """Pre-norm block: attention, then a two-layer perceptron, each added to its own input.

    Equal to `torch.nn.TransformerEncoderLayer(norm_first=True, activation="gelu")`.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        checks.within("[0, 1]", dropout=dropout)
        self.norm1 = nn.LayerNorm(dim)
        self.attention = MultiHeadAttention(dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) bool -> (B, L, D)."""
        x = x + self.dropout(self.attention(self.norm1(x), mask))
        return x + self.dropout(self.mlp(self.norm2(x)))


class TransformerEncoder(nn.Module):
    """Pre-norm blocks and a last normalisation; masked positions come out as zeros.

    Equal to `torch.nn.TransformerEncoder` of such layers with a final norm. Without positions in
    its input it cannot know order: permuting the vectors permutes what comes out.

    Args:
        dim: size D of a vector.
        depth: number of blocks.
        heads: attention heads; must divide `dim`.
        dropout: probability of dropping a coordinate of each block's two branches.
    """

    def __init__(self, dim: int, depth: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        checks.at_least(1, depth=depth)
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) bool, True = real -> (B, L, D)."""
        mask = real(x, mask)
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x).masked_fill(~mask.unsqueeze(-1), 0)

    def attention(self, x: Tensor, mask: Tensor) -> list[Tensor]:
        """What each block attends to: its weights (B, heads, L, L), the first block's first."""
        weights = []
        for block in self.blocks:
            weights.append(block.attention.weights(block.norm1(x), mask))
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
