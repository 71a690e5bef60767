"""Fairness: does a model serve groups alike, and modalities?

Knows answers, right answers and groups of examples; and scores of a model that was shown some of
its modalities. Does not know models, nor which difference between groups is unjust: the definitions
below exclude one another where groups differ (Kleinberg et al. 2017; Chouldechova 2017), and a
number cannot choose between them.

Two things are called fairness and kept apart here. Groups: people, or images, of different kinds
(`group_gaps`). Modalities: how much of the score each contributes (`modality_values`); a model that
reads nothing but text treats nobody unfairly by that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import compress
from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_draws, percentile_interval
from mmtutor.explain.coalitions import CoalitionGame
from mmtutor.explain.shapley import shapley_values


class _Gap(NamedTuple):
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


class _GroupGaps(NamedTuple):
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
    accuracy_gap: _Gap
    opportunity_gap: _Gap
    odds_gap: _Gap
    parity_gap: _Gap


def group_gaps(
    predicted: Tensor,
    label: Tensor,
    group: Tensor,
    names: Iterable[str] | None = None,
    resamples: int = 2000,
) -> _GroupGaps:
    """How differently a classifier treats groups, each number with an interval.

    Every class counts as the positive one in turn (one against the rest), and the worst is
    reported. A rate that a group has no example for is left out. Equal opportunity and equalised
    odds: Hardt, Price and Srebro (2016); demographic parity: Dwork et al. (2012).

    Intervals: 95 %, by the percentile bootstrap over examples.

    Args:
        predicted, label: (N,) int64 classes.
        group: (N,) int64, at least two different numbers.
        names: of the groups, in the order of their numbers.

    Raises:
        ValueError: the shapes do not fit, there is no example, one group only, or a wrong number of
            names.
    """
    predicted, label, group, present = _checked(predicted, label, group)
    names = [str(g) for g in present] if names is None else checks.listed(str, names=names)
    if len(set(names)) != len(present) or len(names) != len(present):
        raise ValueError(f"names must name each of {len(present)} groups once, got {names}")
    checks.at_least(1, resamples=resamples)
    n, generator = len(label), torch.Generator().manual_seed(0)

    def with_chance(weights: Tensor) -> Tensor:
        """The rates of weighted examples: their own, and with the group labels dealt out anew."""
        order = torch.rand(weights.shape, generator=generator).argsort(dim=1)
        own = _rates(predicted, label, group.expand_as(order), weights)
        return torch.cat([own, _rates(predicted, label, group[order], torch.ones_like(weights))], 1)

    own, shuffled = bootstrap_draws(with_chance, n, resamples).chunk(2, dim=1)
    *accuracy, worst = map(percentile_interval, own.T[:-4])
    chance = shuffled[1:, -4:].nanquantile(0.95, dim=0).tolist()
    gaps = map(percentile_interval, own.T[-4:])
    found = (_Gap(*gap, luck) for gap, luck in zip(gaps, chance, strict=True))
    return _GroupGaps(dict(zip(names, accuracy, strict=True)), worst, *found)


def implied_false_positive_rate(prevalence: float, precision: float, recall: float) -> float:
    """The false positive rate that the other three force (Chouldechova 2017, eq. 2.6).

    Two groups with equal precision and recall but unequal prevalence have unequal false positive
    rates, unless the classifier is perfect: all definitions of fairness cannot hold at once.
    Raises ValueError unless prevalence is in [0, 1), precision in (0, 1] and recall in [0, 1].
    """
    checks.within("[0, 1)", prevalence=prevalence)
    checks.within("(0, 1]", precision=precision)
    checks.within("[0, 1]", recall=recall)
    return float(prevalence / (1 - prevalence) * (1 - precision) / precision * recall)


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
    checks.instance(Mapping, scores=scores)
    for shown, score in scores.items():
        checks.instance(Set, **{f"the key {shown!r} of scores": shown})
        checks.within("(-inf, inf)", **{f"scores[{set(shown)}]": score})
    names = sorted(frozenset().union(*scores))
    if not names:
        raise ValueError("scores must hold a set with a modality, got none")

    def play(present: Tensor) -> Tensor:
        shown = [frozenset(compress(names, row)) for row in present.tolist()]
        if missing := [sorted(s) for s in shown if s not in scores]:
            raise ValueError(f"scores must have every set of modalities, got none of {missing[0]}")
        return torch.tensor([scores[s] for s in shown], dtype=torch.float64)

    game = CoalitionGame(play, tuple(names), torch.ones(1, len(names), dtype=torch.bool))
    return dict(zip(names, shapley_values(game)[0].tolist(), strict=True))


def balance(shares: Mapping[str, float]) -> float:
    """How evenly modalities contribute, in [0, 1]: the smallest share over the largest.

    A modality that adds nothing, or harms, makes it 0. Even is not better: a question about the
    image needs the image. Raises ValueError for fewer than two modalities.
    """
    checks.instance(Mapping, shares=shares)
    for name, share in shares.items():
        checks.within("(-inf, inf)", **{f"shares[{name!r}]": share})
    if len(shares) < 2:
        raise ValueError(f"shares must be of two modalities or more, got {len(shares)}")
    low, high = min(shares.values()), max(shares.values())
    return max(low, 0.0) / high if high > 0 else 0.0


def _checked(
    predicted: Tensor, label: Tensor, group: Tensor
) -> tuple[Tensor, Tensor, Tensor, list[int]]:
    """The examples on the CPU, numbered from 0 on, and the numbers that their groups had."""
    arguments = {"predicted": predicted, "label": label, "group": group}
    checks.shaped(**{name: (value, "N") for name, value in arguments.items()})
    arguments["group"] = group.where(group >= 0, 0)  # any whole numbers
    checks.indices(None, **arguments)
    present, dense = group.cpu().unique(return_inverse=True)
    if len(present) < 2:
        raise ValueError(f"group must have two numbers, for a gap, got {present.item()} alone")
    answers = torch.stack([predicted, label]).cpu().unique(return_inverse=True)[1]
    return *answers, dense, present.tolist()


def _rates(predicted: Tensor, label: Tensor, group: Tensor, weights: Tensor) -> Tensor:
    """(R, G + 5): the accuracy of each group, the worst, and the four gaps of `_GroupGaps`.

    NaN where there is no example. `predicted` and `label` (N,), `group` and `weights` (R, N).
    """
    groups, classes = int(group.max()) + 1, int(max(predicted.max(), label.max())) + 1

    def count(which: Tensor, of: Tensor) -> Tensor:
        tally = torch.zeros(len(weights), groups * classes, dtype=torch.float64)
        return tally.scatter_add_(1, group * classes + which, of).view(-1, groups, classes)

    right, of_class = count(label, weights * (predicted == label)), count(label, weights)
    answered = count(predicted, weights)  # [R, G, C], like both
    total = of_class.sum(dim=2)  # [R, G]
    accuracy = right.sum(dim=2) / total
    opportunity = _spread(right / of_class).amax(dim=1)
    false_alarm = _spread((answered - right) / (total.unsqueeze(2) - of_class)).amax(dim=1)
    odds = torch.maximum(opportunity, false_alarm)
    parity = _spread(answered / total.unsqueeze(2)).amax(dim=1)
    columns = [_low(accuracy), _spread(accuracy), opportunity, odds, parity]
    return torch.cat([accuracy, torch.stack(columns, dim=1)], dim=1)


def _spread(rate: Tensor) -> Tensor:
    """Largest less smallest of the groups (dim 1), NaN left out; 0 if fewer than two are left."""
    spread = rate.nan_to_num(nan=-torch.inf).amax(dim=1) - _low(rate)
    return torch.where(spread.isfinite(), spread, 0.0)


def _low(rate: Tensor) -> Tensor:
    return rate.nan_to_num(nan=torch.inf).amin(dim=1)
