"""The Transformer encoder, with its attention written out; every modality's encoder may use it.

Knows sequences of vectors with a mask (Vaswani et al. 2017). Knows nothing of what a vector stands
for: words, image patches and sound frames become vectors elsewhere.
"""

import math

import torch
from torch import Tensor, nn


class MultiHeadAttention(nn.Module):
    """Scaled dot-product self-attention in several heads (Vaswani et al. 2017, section 3.2).

    Equal to `torch.nn.MultiheadAttention` of the same weights, but a row whose keys are all padding
    attends to nothing (zeros, then the output bias) where PyTorch's gives NaN.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if dim % heads:
            raise ValueError(f"dim must be a multiple of heads, got dim={dim} and heads={heads}")
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) bool, True = a key that may be attended to -> (B, L, D)."""
        batch, length, dim = x.shape
        qkv = self.qkv(x).view(batch, length, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # each [B, heads, L, D/heads]
        keep = mask[:, None, None, :]  # [B, 1, 1, L]
        scores = query @ key.transpose(-2, -1) / math.sqrt(dim // self.heads)  # [B, heads, L, L]
        scores = scores.masked_fill(~keep, torch.finfo(scores.dtype).min)
        weights = scores.softmax(dim=-1).masked_fill(~keep, 0).to(value.dtype)
        attended = (weights @ value).transpose(1, 2).reshape(batch, length, dim)
        return self.out(attended)


class TransformerBlock(nn.Module):
    """Pre-norm block: attention, then a two-layer perceptron, each added to its own input.

    Equal to `torch.nn.TransformerEncoderLayer(norm_first=True, activation="gelu")`.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
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
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, L, D), mask (B, L) bool, True = real -> (B, L, D)."""
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x).masked_fill(~mask.unsqueeze(-1), 0)
