"""Fusions in which one modality says how another is read: the product, and FiLM.

Both compute in float32 at least, for products of half-precision numbers overflow.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.encoders.base import Encoded, narrow, wide
from mmtutor.fusion.base import Fusion, Projected, there


class Product(Fusion):
    """The product of the projected vectors, coordinate by coordinate.

    z = prod_m LayerNorm(W_m x_m): the fusion of the first visual question answering models, which
    scaled the picture's vector to length one (Antol et al. 2015, "norm I"). Here every factor is
    normalised, for a product of small numbers is tiny and learns slowly. An absent modality is left
    out of the product.
    """

    def __init__(self, dims: dict[str, int], out_dim: int) -> None:
        super().__init__(dims, out_dim)
        self.project = Projected(self.dims, out_dim)

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim): the product of the factors that are there."""
        vectors = self.project(encoded)  # [B, M, D]
        factors = F.layer_norm(wide(vectors), vectors.shape[-1:])
        absent = ~there(encoded).unsqueeze(-1)
        return narrow(factors.masked_fill(absent, 1).prod(dim=1), vectors.dtype)


class FiLM(Fusion):
    """Each token of a modality is scaled and shifted as the other modalities say, then rectified.

    z = sum_m mean_n relu((1 + a_m) * W_m x_m,n + b_m), where the scale a_m and the shift b_m are a
    linear function of the other modalities' mean tokens: feature-wise linear modulation (Perez et
    al. 2018), once, after the encoders. So a question can switch features of the picture on and off
    before anything is averaged. An absent modality adds nothing and, for the others, is a vector of
    zeros.
    """

    def __init__(self, dims: dict[str, int], out_dim: int) -> None:
        super().__init__(dims, out_dim)
        total = sum(dims.values())
        self.maps = nn.ModuleDict({m: nn.Linear(dim, out_dim) for m, dim in self.dims.items()})
        self.conditions = nn.ModuleDict(
            {m: nn.Linear(total - dim, 2 * out_dim) for m, dim in self.dims.items() if total > dim}
        )

    def fuse(self, encoded: dict[str, Encoded]) -> Tensor:
        """(B, out_dim): the sum of the modulated modalities."""
        vectors = {name: code.pooled() for name, code in encoded.items()}
        total: Tensor | float = 0.0
        for name, (tokens, mask) in encoded.items():
            x = wide(self.maps[name](tokens))  # [B, N, D]
            others = [vector for other, vector in vectors.items() if other != name]
            if others:
                scale, shift = self.conditions[name](torch.cat(others, dim=-1)).chunk(2, dim=-1)
                x = (1 + wide(scale).unsqueeze(1)) * x + wide(shift).unsqueeze(1)
            total = total + Encoded(x.relu(), mask).pooled()
        return narrow(total, tokens.dtype)
