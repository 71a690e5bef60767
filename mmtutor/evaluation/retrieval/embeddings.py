"""How two modalities fill the space that they share.

Knows vectors (N, D). Does not know what they embed or how they were trained. In float64. All raise
TypeError or ValueError for what is no matrix of finite numbers.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks


def alignment(one: Tensor, other: Tensor, power: float = 2.0) -> float:
    """Mean distance of the two of a pair, row i with row i, to `power`, on the unit sphere.

    0 is best, and what a collapsed space gets too: read it together with `uniformity`.
    Source: Wang and Isola (2020), section 4.1.1.
    """
    checks.shaped(one=(one, "N D"), other=(other, "N D"))
    checks.finite(one=one, other=other)
    checks.within("(0, inf)", power=power)
    return (_unit(one) - _unit(other)).norm(dim=1).pow(power).mean().item()


def uniformity(x: Tensor, t: float = 2.0) -> float:
    """log of the mean of exp(-t |a - b|^2) over pairs of rows of `x` (N, D), on the unit sphere.

    0 for a collapsed space; the lower, the more evenly the sphere is filled. Needs memory for
    N (N - 1) / 2 distances. Source: Wang and Isola (2020), section 4.1.2.
    Raises ValueError for fewer than two rows.
    """
    checks.shaped(x=(x, "N D"))
    checks.finite(x=x)
    checks.within("(0, inf)", t=t)
    if len(x) < 2:
        raise ValueError("x must have at least two rows, for uniformity is about pairs, got 1")
    return F.pdist(_unit(x)).pow(2).mul(-t).exp().mean().log().item()


def modality_gap(one: Tensor, other: Tensor) -> float:
    """Distance of the centres of two modalities (N, D) and (M, D) on the unit sphere, in [0, 2].

    Two encoders with random weights already have one: each maps into a narrow cone of its own.
    Source: Liang et al. (2022), section 2.
    """
    checks.shaped(one=(one, "N D"), other=(other, "M D"))
    checks.finite(one=one, other=other)
    return (_unit(one).mean(0) - _unit(other).mean(0)).norm().item()


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x.detach().double(), dim=1, eps=1e-300)
