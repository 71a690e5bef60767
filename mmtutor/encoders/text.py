"""A small Transformer text encoder, trained from scratch, with its attention written out.

Knows token ids and padding; knows nothing of words (that is `mmtutor.data.tokenizer`), of images or
of losses.
"""

import math

import torch
from torch import Tensor, nn

from mmtutor.encoders.base import Encoded


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


class SmallTransformer(nn.Module):
    """Token and learned position embeddings, then pre-norm blocks and a last normalisation.

    Padding never changes the tokens that are real, and comes out as zeros.

    Args:
        vocab_size: number of token ids; ids lie in [0, vocab_size).
        dim: size D of a token.
        depth: number of blocks.
        heads: attention heads; must divide `dim`.
        max_length: longest sequence there is a position for.
        dropout: probability of dropping a coordinate of each block's two branches.
    """

    modality = "tokens"

    def __init__(
        self,
        vocab_size: int,
        dim: int = 128,
        depth: int = 2,
        heads: int = 4,
        max_length: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.embedding = nn.Embedding(vocab_size, dim)
        self.position = nn.Parameter(torch.randn(max_length, dim) * 0.02)
        self.blocks = nn.ModuleList(TransformerBlock(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Token ids (B, L) int64 and mask (B, L) bool, True = real -> tokens (B, L, D).

        Raises:
            ValueError: a sequence is longer than `max_length`, or an id has no embedding (looked at
                on a CPU only, for a GPU would have to be waited for).
        """
        self._check(x)
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        hidden = self.embedding(x) + self.position[: x.shape[1]]  # [B, L, D]
        for block in self.blocks:
            hidden = block(hidden, mask)
        return Encoded(self.norm(hidden).masked_fill(~mask.unsqueeze(-1), 0), mask)

    def _check(self, ids: Tensor) -> None:
        longest, size = len(self.position), self.embedding.num_embeddings
        if ids.shape[1] > longest:
            raise ValueError(f"sequence of {ids.shape[1]} tokens; max_length is {longest}")
        if ids.device.type == "cpu" and ids.numel() and int(ids.max()) >= size:
            raise ValueError(f"token id {int(ids.max())} is outside the vocabulary of {size}")
