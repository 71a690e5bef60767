"""Two lists of numbers, pair by pair: how far apart they are, and whether they agree in order.

Knows numbers; does not know what was scored or trained. The statistics are scipy's.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import stats
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_statistic


def paired_interval(one: Sequence[float], other: Sequence[float]) -> Interval:
    """Mean of `one` - `other`, seed by seed, with Student's 95 % interval for 2 to 10 seeds.

    Pairing takes out what the seed does to both. The interval is wide on purpose: three seeds say
    little about how seeds differ. Raises ValueError for unequal or unsuitable numbers of seeds.
    """
    one, other = checks.listed((float, int), one=one), checks.listed((float, int), other=other)
    seeds = checks.same_length(one=one, other=other)
    if not 2 <= seeds <= 10:
        raise ValueError(f"one and other must be of 2 to 10 seeds, got {seeds}")
    checks.finite(one=one, other=other)
    difference = np.subtract(one, other)
    half = stats.t.ppf(0.975, seeds - 1) * stats.sem(difference)
    return Interval(*(float(difference.mean() + side * half) for side in (0, -1, 1)))


def kendall_tau(
    scores: Tensor, truth: Tensor, groups: Tensor | None = None, resamples: int = 1_000
) -> Interval:
    """Kendall's tau-b of `scores` (N,) and `truth` (N,), with its 95 % interval by the bootstrap.

    1 where both put all pairs in the same order, 0 where they have nothing in common; a constant
    has no tau and gives 0. `groups` (N,) int64: captions of one image rise and fall together.
    Source: Kendall (1945), The treatment of ties in ranking problems.

    Raises ValueError for other shapes, fewer than two examples or scores that are not finite.
    """
    checks.shaped(scores=(scores, "N"), truth=(truth, "N"))
    checks.at_least(2, **{"len(scores)": len(scores)})
    checks.finite(scores=scores, truth=truth)
    pair = torch.stack([scores.double(), truth.double()]).detach().cpu().numpy()

    def tau(weights: Tensor) -> Tensor:
        drawn = (np.repeat(pair, row, axis=1) for row in weights.long().numpy())
        found = [stats.kendalltau(*both).statistic for both in drawn]
        return torch.tensor(found, dtype=torch.float64).nan_to_num(0)

    return bootstrap_statistic(tau, len(scores), resamples, groups=groups)
