"""Late fusion: every modality decides alone, and the decisions are averaged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded
from mmtutor.fusion.base import Fusion, mean_of_present, there


class Late(Fusion):
    """The mean of the scores that each modality's own head gives; `out_dim` is the classes.

    Nothing needs to follow but a softmax. An absent modality has no vote.

    Args:
        hidden: size of the middle layer of each head.
    """

    def __init__(self, dims: dict[str, int], out_dim: int, hidden: int = 16) -> None:
        super().__init__(dims, out_dim)
        checks.at_least(1, hidden=hidden)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, out_dim))
            for dim in self.dims.values()
        )

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim): the mean score of the modalities that are there."""
        return mean_of_present(self.scores(encoded), there(encoded))

    def scores(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, M, out_dim): what each modality says by itself."""
        pairs = zip(self.heads, encoded.values(), strict=True)
        return torch.stack([head(code.pooled()) for head, code in pairs], dim=1)
