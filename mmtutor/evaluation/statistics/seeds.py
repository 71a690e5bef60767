"""How sure a difference between two ways of training is, when each was trained from a few seeds.

Knows one number for each seed. Does not know what was trained or measured; for how sure one model's
score is, see `intervals.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from mmtutor.evaluation.statistics.intervals import (
    Interval,
)

# 97.5 % quantiles of Student's t distribution with 1, 2, 3, ... degrees of freedom.
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def paired_interval(one: Sequence[float], other: Sequence[float]) -> Interval:
    """Mean of `one` - `other`, seed by seed, with Student's 95 % interval for 2 to 10 seeds.

    Pairing takes out what the seed does to both. The interval is wide on purpose: three seeds say
    little about how seeds differ. Raises ValueError for unequal or unsuitable numbers of seeds.
    """
    n = len(one)
    if n != len(other) or not 2 <= n <= len(STUDENT) + 1:
        raise ValueError(f"expected 2 to 10 seeds on both sides, got {n} and {len(other)}")
    difference = torch.tensor(one, dtype=torch.float64) - torch.tensor(other, dtype=torch.float64)
    half = STUDENT[n - 2] * difference.std().item() / n**0.5
    mean = difference.mean().item()
    return Interval(mean, mean - half, mean + half)
