"""Fairness: does a model serve groups alike, and modalities?

Knows answers, right answers and groups of examples; and scores of a model that was shown some of
its modalities. Does not know models, nor which difference between groups is unjust: the definitions
below exclude one another where groups differ (Kleinberg et al. 2017; Chouldechova 2017), and a
number cannot choose between them.

Two things are called fairness and kept apart here. Groups: people, or pictures, of different kinds
(`group_gaps`). Modalities: how much of the score each contributes (`modality_values`); a model that
reads nothing but text treats nobody unfairly by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from math import comb
from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor.evaluation.statistics.intervals import Interval, rounds


class Gap(NamedTuple):
    """A largest difference between groups, with its bootstrap interval, and what luck gives.

    A largest difference is above 0 by luck alone, so its interval never holds 0: it is `chance`
    that the estimate must exceed.

    Attributes:
        estimate, low, high: in [0, 1].
        chance: 95 % of the gaps that appear when the group labels are shuffled lie below.
    """

    estimate: float
    low: float
    high: float
    chance: float

    @property
    def found(self) -> bool:
        """Whether luck alone would rarely give such a gap."""
        return self.estimate > self.chance


class GroupGaps(NamedTuple):
    """What `group_gaps` found. Gaps are of the two groups that differ most.

    Attributes:
        accuracy: of each group, by name.
        worst: the lowest accuracy of a group.
        accuracy_gap: of accuracy.
        opportunity_gap: of the true positive rate of a class, for the class that is worst.
        odds_gap: of the true or false positive rate (equalised odds).
        parity_gap: of how often a class is answered, right or not (demographic parity).
    """

    accuracy: dict[str, Interval]
    worst: Interval
    accuracy_gap: Gap
    opportunity_gap: Gap
    odds_gap: Gap
    parity_gap: Gap


def group_gaps(
    predicted: Tensor,
    label: Tensor,
    group: Tensor,
    names: Iterable[str] | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> GroupGaps:
    """How differently a classifier treats groups, each number with an interval.

    Every class counts as the positive one in turn (one against the rest), and the worst is
    reported. A rate that a group has no example for is left out. Equal opportunity and equalised
    odds: Hardt, Price and Srebro (2016); demographic parity: Dwork et al. (2012).

    Intervals: percentile bootstrap over examples.

    Args:
        predicted, label: (N,) int64 classes.
        group: (N,) int64, at least two different numbers.
        names: of the groups, in the order of their numbers.

    Raises:
        ValueError: the shapes do not fit, there is no example, one group only, or a wrong number of
            names.
    """
    sample, present = _checked(predicted, label, group)
    names = [str(g) for g in present] if names is None else list(names)
    if len(names) != len(present):
        raise ValueError(f"got {len(names)} names for {len(present)} groups")
    generator = torch.Generator().manual_seed(seed)
    here = _statistics(sample, torch.arange(len(label))[None])
    drawn = _bootstrap(sample, resamples, generator)
    luck = _shuffled(sample, resamples // 4, generator)
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)

    def interval(name: str, column: int | None = None) -> Interval:
        one, many = here[name], drawn[name]
        if column is not None:
            one, many = one[:, column], many[:, column]
        return Interval(one.item(), *many.nanquantile(tails).tolist())

    def gap(name: str) -> Gap:
        return Gap(*interval(name), luck[name].nanquantile(tails.new_tensor(level)).item())

    accuracy = {name: interval("accuracy", g) for g, name in enumerate(names)}
    gaps = (gap(name) for name in ("accuracy_gap", "opportunity_gap", "odds_gap", "parity_gap"))
    return GroupGaps(accuracy, interval("worst"), *gaps)


def implied_false_positive_rate(prevalence: float, precision: float, recall: float) -> float:
    """The false positive rate that the other three force (Chouldechova 2017, eq. 2.6).

    Two groups with equal precision and recall but unequal prevalence have unequal false positive
    rates, unless the classifier is perfect: all definitions of fairness cannot hold at once.
    Raises ValueError unless prevalence is in [0, 1), precision in (0, 1] and recall in [0, 1].
    """
    if not (0 <= prevalence < 1 and 0 < precision <= 1 and 0 <= recall <= 1):
        raise ValueError(f"got {prevalence}, {precision}, {recall}: they are no such rates")
    return prevalence / (1 - prevalence) * (1 - precision) / precision * recall


def modality_values(scores: Mapping[frozenset[str], float]) -> dict[str, float]:
    """What each modality adds to a score: its Shapley value, in the unit of the score.

    The mean, over all orders in which the modalities could be given to the model, of what the score
    gains when this one comes (Shapley 1953). The values sum to the score with all modalities less
    that with none.

    Args:
        scores: the score with each set of modalities, the empty one included; what a model is shown
            instead of an absent modality (another example's, the mean) is part of the measure.

    Raises:
        ValueError: a set of modalities is missing.
    """
    everything = frozenset().union(*scores)
    subsets = [
        frozenset(s) for k in range(len(everything) + 1) for s in combinations(everything, k)
    ]
    if missing := [sorted(s) for s in subsets if s not in scores]:
        raise ValueError(f"no score for the modalities {missing[0]}")
    count = len(everything)
    return {
        name: sum(
            (scores[s | {name}] - scores[s]) / (count * comb(count - 1, len(s)))
            for s in subsets
            if name not in s
        )
        for name in sorted(everything)
    }


def balance(shares: Mapping[str, float]) -> float:
    """How evenly modalities contribute, in [0, 1]: the smallest share over the largest.

    A modality that adds nothing, or harms, makes it 0. Even is not better: a question about the
    picture needs the picture. Raises ValueError for fewer than two modalities.
    """
    if len(shares) < 2:
        raise ValueError(f"there is nothing to balance in {len(shares)} modality")
    low, high = min(shares.values()), max(shares.values())
    return max(low, 0.0) / high if high > 0 else 0.0


class _Answers(NamedTuple):
    """Examples, each (N,) int64: what was answered, what was right, and the group, from 0 on."""

    predicted: Tensor
    label: Tensor
    group: Tensor


def _checked(predicted: Tensor, label: Tensor, group: Tensor) -> tuple[_Answers, list[int]]:
    """The examples on the CPU, and the numbers that their groups had."""
    if predicted.ndim != 1 or not predicted.shape == label.shape == group.shape or not len(label):
        shapes = ", ".join(str(tuple(x.shape)) for x in (predicted, label, group))
        raise ValueError(f"expected predicted, label and group of one shape (N,), got {shapes}")
    present, dense = group.cpu().unique(return_inverse=True)
    if len(present) < 2:
        raise ValueError(f"all examples are in group {present.item()}: there is no gap to measure")
    answers = torch.stack([predicted, label]).cpu().unique(return_inverse=True)[1]
    return _Answers(*answers, dense), present.tolist()


def _bootstrap(sample: _Answers, resamples: int, generator: torch.Generator) -> dict[str, Tensor]:
    """`_statistics` of R resamples of N examples each, drawn with replacement."""
    n = len(sample.label)
    return _joined(
        _statistics(sample, torch.randint(n, (rows, n), generator=generator))
        for rows in rounds(resamples, n)
    )


def _shuffled(sample: _Answers, times: int, generator: torch.Generator) -> dict[str, Tensor]:
    """`_statistics` after dealing the group labels out anew."""
    n = len(sample.label)
    everyone = torch.arange(n)
    return _joined(
        _statistics(
            sample,
            everyone.expand(rows, -1),
            sample.group[torch.rand(rows, n, generator=generator).argsort(dim=1)],
        )
        for rows in rounds(times, n)
    )


def _joined(parts: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    parts = list(parts)
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def _statistics(sample: _Answers, rows: Tensor, group: Tensor | None = None) -> dict[str, Tensor]:
    """The rates of R samples, each (R,) or (R, G); NaN where there is no example.

    Args:
        rows: (R, N) int64, the examples of each sample.
        group: (R, N) int64 instead of their own.
    """
    group = sample.group[rows] if group is None else group
    predicted, label = sample.predicted[rows], sample.label[rows]
    groups, classes = int(sample.group.max()) + 1, int(max(predicted.max(), label.max())) + 1

    def count(which: Tensor, of: Tensor) -> Tensor:
        tally = torch.zeros(len(rows), groups * classes, dtype=torch.float64)
        tally.scatter_add_(1, group * classes + which, of.double())
        return tally.view(len(rows), groups, classes)

    everyone = torch.ones_like(rows)
    right, of_class = count(label, predicted == label), count(label, everyone)  # [R, G, C]
    answered = count(predicted, everyone)
    total = of_class.sum(dim=2)  # [R, G]
    accuracy = right.sum(dim=2) / total
    true_positive = right / of_class
    false_positive = (answered - right) / (total.unsqueeze(2) - of_class)
    opportunity, false_alarm = _widest(true_positive), _widest(false_positive)
    return {
        "accuracy": accuracy,
        "worst": _low(accuracy, dim=1),
        "accuracy_gap": _spread(accuracy, dim=1),
        "opportunity_gap": opportunity,
        "odds_gap": torch.maximum(opportunity, false_alarm),
        "parity_gap": _widest(answered / total.unsqueeze(2)),
    }


def _widest(rate: Tensor) -> Tensor:
    """(R, G, C) -> (R,): the gap between groups of the class in which it is largest."""
    return _spread(rate, dim=1).amax(dim=1)


def _spread(rate: Tensor, dim: int) -> Tensor:
    """Largest less smallest along `dim`, NaN left out; 0 if fewer than two are left."""
    high = rate.nan_to_num(nan=-torch.inf).amax(dim=dim)
    spread = high - _low(rate, dim)
    return torch.where(spread.isfinite(), spread, 0.0)


def _low(rate: Tensor, dim: int) -> Tensor:
    return rate.nan_to_num(nan=torch.inf).amin(dim=dim)
