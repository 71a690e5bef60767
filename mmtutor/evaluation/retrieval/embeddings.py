"""How two modalities fill the space that they share.

Knows vectors (N, D). Does not know what they embed or how they were trained. In float64.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def alignment(one: Tensor, other: Tensor, power: float = 2.0) -> float:
    """Mean distance of the two of a pair, row i with row i, to `power`, on the unit sphere.

    0 is best, and what a collapsed space gets too: read it together with `uniformity`.
    Source: Wang and Isola (2020), section 4.1.1.
    """
    _check(one, other)
    if one.shape != other.shape:
        raise ValueError(f"pairs need equal shapes, got {tuple(one.shape)}, {tuple(other.shape)}")
    return (_unit(one) - _unit(other)).norm(dim=1).pow(power).mean().item()


def uniformity(x: Tensor, t: float = 2.0) -> float:
    """log of the mean of exp(-t |a - b|^2) over pairs of rows of `x` (N, D), on the unit sphere.

    0 for a collapsed space; the lower, the more evenly the sphere is filled. Needs memory for
    N (N - 1) / 2 distances. Source: Wang and Isola (2020), section 4.1.2.
    Raises ValueError for fewer than two rows.
    """
    _check(x, x)
    if len(x) < 2:
        raise ValueError("uniformity is about pairs: it needs two rows")
    return F.pdist(_unit(x)).pow(2).mul(-t).exp().mean().log().item()


def modality_gap(one: Tensor, other: Tensor) -> float:
    """Distance of the centres of two modalities (N, D) and (M, D) on the unit sphere, in [0, 2].

    Two encoders with random weights already have one: each maps into a narrow cone of its own.
    Source: Liang et al. (2022), section 2.
    """
    _check(one, other)
    return (_unit(one).mean(0) - _unit(other).mean(0)).norm().item()


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.detach().double(), dim=1, eps=1e-300)


def _check(one: Tensor, other: Tensor) -> None:
    if one.ndim != 2 or other.ndim != 2 or one.shape[1] != other.shape[1]:
        raise ValueError(
            f"expected (N, D) and (M, D), got {tuple(one.shape)} and {tuple(other.shape)}"
        )
    if 0 in one.shape or 0 in other.shape:
        raise ValueError(f"nothing to compare: {tuple(one.shape)} and {tuple(other.shape)}")
