"""An encoder of ready-made vectors: each token by itself, through two layers.

Knows vectors and their places in a sequence. Tokens do not see each other here: what needs several
of them is left to what comes after.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, real


class TokenMLP(nn.Module):
    """A linear layer, a learned vector for the place, ReLU, and a linear layer.

    Args:
        modality: the batch key that holds the vectors.
        in_dim: size of a vector.
        dim: size D of a token.
        hidden: size of the middle layer.
        max_length: longest sequence there is a place for.
    """

    def __init__(
        self, modality: str, in_dim: int, dim: int, hidden: int = 32, max_length: int = 16
    ) -> None:
        super().__init__()
        checks.at_least(1, in_dim=in_dim, dim=dim, hidden=hidden, max_length=max_length)
        self.modality, self.dim = modality, dim
        self.first = nn.Linear(in_dim, hidden)
        self.position = nn.Parameter(torch.randn(max_length, hidden) * 0.02)
        self.second = nn.Linear(hidden, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, L, in_dim) and mask (B, L) bool, True = real -> tokens (B, L, D), zeros at padding.

        Raises ValueError for another size of vectors, or a sequence longer than `max_length`.
        """
        checks.shaped(**{self.modality: (x, f"B L {self.first.in_features}")})
        if x.shape[1] > len(self.position):
            longest = len(self.position)
            raise ValueError(f"{self.modality}: {x.shape[1]} vectors; max_length is {longest}")
        tokens = self.second((self.first(x) + self.position[: x.shape[1]]).relu())
        if mask is None:
            return Encoded(tokens, real(tokens))
        mask = real(tokens, mask)
        return Encoded(tokens.masked_fill(~mask.unsqueeze(-1), 0), mask)
