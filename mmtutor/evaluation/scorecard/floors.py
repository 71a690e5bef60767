"""Noise floors: what a measure would be by luck alone.

Knows scores of examples and which of them belong together. Does not know models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.scorecard.measures import DRAWS


def _luck(
    effects: Tensor,
    reduce: Callable[[Tensor], Tensor] | None = None,
    groups: Tensor | None = None,
    level: float = 0.95,
) -> float:
    """What a statistic is by luck alone: this quantile of it where the true effect is nothing.

    `effects` (N,) or (N, K) are what each example adds to K sums, deviations that are 0 on average
    if there is nothing to be found. The sign of each example is turned at random, with `groups`
    (N,) int64 those of a group together, and `reduce` makes (R,) statistics of the sums (R, K);
    by default there is one sum, and it is the statistic.

    Source: the wild bootstrap (Liu 1988), by clusters as Cameron, Gelbach and Miller (2008).
    """
    checks.shaped(effects=(effects, "N | N K"), groups=(groups, f"{len(effects)} | None"))
    checks.finite(effects=effects)
    checks.within("(0, 1)", level=level)
    effects = effects.double().reshape(len(effects), -1)
    if groups is not None:
        place = groups.unique(return_inverse=True)[1]
        blank = effects.new_zeros(int(place.max()) + 1, effects.shape[1])
        effects = blank.index_add_(0, place, effects)
    sums = _signs(DRAWS, len(effects)) @ effects
    return (sums.sum(dim=1) if reduce is None else reduce(sums)).quantile(level).item()


@lru_cache(2)  # most floors of a card are of the same examples
def _signs(draws: int, n: int) -> Tensor:
    """(draws, n) float64 of -1 and 1."""
    signs = torch.randint(2, (draws, n), generator=torch.Generator().manual_seed(0))
    return 2 * signs.double() - 1


def _above(scores: Tensor, baseline: Tensor, groups: Tensor | None = None) -> float:
    """What mean of `scores` (N,) a model that is no better than `baseline` (N,) gets by luck.

    At least one right answer, so that none at all is never above it.
    """
    gain = _luck((scores - baseline).double() / len(scores), groups=groups)
    return max(baseline.double().mean().item() + gain, 1 / len(scores))


def _range(values: Tensor) -> Tensor:
    """(R, K) -> (R,), from the least to the largest."""
    return values.amax(dim=1) - values.amin(dim=1)


def _by_chance(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """How often two lists of answers agree if neither has to do with the other."""
    here, there = Counter(one), Counter(other)
    return sum(here[each] * there[each] for each in here) / len(one) / len(other)
