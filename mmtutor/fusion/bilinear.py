"""Fusions that multiply: gates, the outer product, and the outer product at low rank.

Products are computed in float32 at least, and what overflows a narrower type becomes its largest
number.
"""

from __future__ import annotations

import math
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, narrow, wide
from mmtutor.fusion.base import Fusion, Projected


class Gated(Fusion):
    """Each modality's vector times a gate that all modalities set together.

    z = sum_m sigmoid(V_m [x_1 ... x_M]) * tanh(W_m x_m): the gated multimodal unit (Arevalo et al.
    2017, section 3.1; for two modalities they tie the gates to 1 - each other). An absent modality
    adds nothing.
    """

    def __init__(self, dims: dict[str, int], out_dim: int) -> None:
        super().__init__(dims, out_dim)
        self.project = Projected(self.dims, out_dim)
        self.gate = nn.Linear(sum(dims.values()), len(dims) * out_dim)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim): the sum of the gated vectors."""
        return (self.gates(encoded) * self.project(encoded).tanh()).sum(dim=1)

    def gates(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, M, out_dim) in (0, 1): how far each coordinate of each modality is let through."""
        together = torch.cat([code.pooled() for code in encoded.values()], dim=-1)
        return self.gate(together).sigmoid().unflatten(-1, (len(self.dims), -1))


class Bilinear(Fusion):
    """A weight for every product of coordinates, one of each modality.

    The outer product of the vectors, each with a 1 appended so that the vectors themselves, and
    products of fewer modalities, are among the products: tensor fusion (Zadeh et al. 2017, section
    4.2), followed by a linear layer. With two modalities z_k = [x; 1]' W_k [y; 1]. The weights
    number out_dim times the product of all (D + 1). An absent modality leaves the products of the
    others.
    """

    def __init__(self, dims: dict[str, int], out_dim: int) -> None:
        super().__init__(dims, out_dim)
        products = math.prod(dim + 1 for dim in dims.values())
        self.weight = nn.Parameter(torch.randn(out_dim, products) / math.sqrt(products))

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim): a linear function of all products."""
        product = reduce(_outer, (_with_one(code.pooled()) for code in encoded.values()))
        return narrow(F.linear(product, wide(self.weight)), self.weight.dtype)


class LowRankTensor(Fusion):
    """`Bilinear` whose weight is a sum of `rank` products of vectors, so that it is never formed.

    z = sum_r prod_m F_m,r [x_m; 1]: low-rank multimodal fusion (Liu et al. 2018, eq. 7 and 8). The
    weights number rank * out_dim times the *sum* of all (D + 1). With two modalities, rank
    min(D_1, D_2) + 1 can be any `Bilinear`.

    Args:
        rank: how many products are summed.
    """

    def __init__(self, dims: dict[str, int], out_dim: int, rank: int = 4) -> None:
        super().__init__(dims, out_dim)
        checks.at_least(1, rank=rank)
        scale = rank ** (-0.5 / len(dims))
        self.factors = nn.ParameterList(
            torch.randn(rank, out_dim, dim + 1) * scale / math.sqrt(dim + 1)
            for dim in self.dims.values()
        )

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim): the sum over the ranks of a product over the modalities."""
        pairs = zip(self.factors, encoded.values(), strict=True)
        read = [
            torch.einsum("rod,bd->bro", wide(factor), _with_one(code.pooled()))
            for factor, code in pairs
        ]
        product = math.prod(read)  # [B, rank, out]
        return narrow(product.sum(dim=1), self.factors[0].dtype)

    def weight(self) -> Tensor:
        """The weight that `Bilinear` would need to do the same: (out_dim, prod (D + 1))."""
        flat = (factor.flatten(0, 1) for factor in self.factors)  # [rank * out, D + 1]
        return reduce(_outer, flat).unflatten(0, (-1, self.out_dim)).sum(dim=0)


def _with_one(x: Tensor) -> Tensor:
    """Append a 1 to each row, in float32 at least: (B, D) -> (B, D + 1)."""
    return F.pad(wide(x), (0, 1), value=1.0)


def _outer(x: Tensor, y: Tensor) -> Tensor:
    """Every product of a row of x with the same row of y: (B, D), (B, E) -> (B, D * E)."""
    return (x.unsqueeze(2) * y.unsqueeze(1)).flatten(1)
