"""Fusions that stack or pool one vector for each modality.

The first four are sums: no term of theirs depends on two modalities at once. The maximum and the
convolution are not.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded
from mmtutor.fusion.base import Fusion, Projected, mean_of_present, there


class Concat(Fusion):
    """The vectors side by side, then a linear layer. An absent modality is a vector of zeros."""

    def __init__(self, dims: dict[str, int], out_dim: int) -> None:
        super().__init__(dims, out_dim)
        self.out = nn.Linear(sum(dims.values()), out_dim)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim)."""
        return self.out(torch.cat([code.pooled() for code in encoded.values()], dim=-1))


class Sum(Fusion):
    """The sum of the projected vectors. An absent modality adds nothing."""

    def __init__(self, dims: dict[str, int], out_dim: int) -> None:
        super().__init__(dims, out_dim)
        self.project = Projected(self.dims, out_dim)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim)."""
        return self.project(encoded).sum(dim=1)


class Mean(Sum):
    """The mean of the projected vectors of the modalities that are there."""

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim)."""
        return mean_of_present(self.project(encoded), there(encoded))


class Weighted(Sum):
    """A weighted mean of the projected vectors, with the same weights for every example.

    z = sum_m a_m W_m x_m, where the weights a are positive and sum to 1. Where modalities are
    absent, the weights of the others are divided by their sum.

    Args:
        weights: the weights by modality, not negative, scaled to sum to 1; None learns them.
    """

    def __init__(
        self, dims: dict[str, int], out_dim: int, weights: dict[str, float] | None = None
    ) -> None:
        super().__init__(dims, out_dim)
        if weights is None:
            self.logits = nn.Parameter(torch.zeros(len(self.dims)))
            return
        checks.instance(dict, weights=weights)
        if weights.keys() != self.dims.keys() or not any(weights.values()):
            expected = ", ".join(self.dims)
            raise ValueError(
                f"weights must be one for each of {expected}, not all 0, got {weights}"
            )
        checks.within("[0, inf)", **{f"weights[{m!r}]": share for m, share in weights.items()})
        fixed = torch.tensor([float(weights[name]) for name in self.dims])
        self.register_buffer("fixed", fixed / fixed.sum())

    def weights(self) -> Tensor:
        """(M,), sum 1."""
        return self.fixed if hasattr(self, "fixed") else self.logits.softmax(dim=0)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim): the weighted mean of the modalities that are there."""
        weights = self.weights() * there(encoded)  # [B, M]
        total = weights.sum(dim=1, keepdim=True)
        weights = weights / total.masked_fill(total == 0, 1)
        return (weights.unsqueeze(-1) * self.project(encoded)).sum(dim=1)


class Max(Sum):
    """The largest of the projected vectors in each coordinate, among the modalities present."""

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim); zeros where no modality is there."""
        present = there(encoded)
        vectors = self.project(encoded).masked_fill(~present.unsqueeze(-1), -torch.inf)
        return vectors.amax(dim=1).masked_fill(~present.any(dim=1, keepdim=True), 0)


class Convolution(Fusion):
    """The projected vectors as the rows of a small picture, and a convolution over it.

    A kernel sees a window of neighbouring coordinates of all modalities at once; the channels that
    it gives are rectified, then pooled into one by learned weights. An absent modality is a row of
    zeros.

    Args:
        channels: kernels of the convolution.
        kernel: coordinates in a window; odd.
    """

    def __init__(
        self, dims: dict[str, int], out_dim: int, channels: int = 8, kernel: int = 3
    ) -> None:
        super().__init__(dims, out_dim)
        checks.at_least(1, channels=channels, kernel=kernel)
        if kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {kernel}")
        self.project = Projected(self.dims, out_dim)
        self.convolution = nn.Conv1d(len(dims), channels, kernel, padding=kernel // 2)
        self.pool = nn.Conv1d(channels, 1, 1)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim)."""
        maps = self.convolution(self.project(encoded)).relu()  # [B, M, D] -> [B, channels, D]
        return self.pool(maps).squeeze(1)
