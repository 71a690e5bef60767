"""The scorecard: seven standards, an interval on every cell, and never a sum.

Knows measures, how they are resampled and how models are ranked by one of them. Does not know what
is measured: that is `standards.py`.

Every statistic is computed from the weights of the examples: all 1 for the estimate, and how often
each example was drawn for a bootstrap resample. Models that answered the same suite are resampled
alike, so that their differences are paired.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.statistics.bootstrap import (
    Interval,
    Statistic,
    bootstrap_draws,
    percentile_interval,
)
from mmtutor.files import atomic_file

Better = Literal["high", "low"]

DRAWS = 1_000


class Measure(NamedTuple):
    """One cell of a scorecard.

    Attributes:
        interval: the estimate with its 95 % interval; a count has no doubt, and bounds like itself.
        better: whether "high" or "low" is good.
        unit: what it is counted in; "share" is a number in [0, 1].
        draws: (R,) float64, the statistic of resample r of the examples, which are the same for
            every model that answered the suite; None for what is no statistic of examples.
        floor: the noise floor. Luck alone, where there is no skill (an accuracy) or no fault (a
            gap), stays on its own side of it in 95 of 100 data sets; None for a cost.
    """

    interval: Interval
    better: Better
    unit: str
    draws: Tensor | None = None
    floor: float | None = None

    @property
    def flagged(self) -> bool:
        """Whether the estimate is on the bad side of the noise floor: no skill, or a fault."""
        sign = 1 if self.better == "high" else -1
        return self.floor is not None and sign * (self.interval.estimate - self.floor) < -1e-9


Measures = dict[str, Measure | str]  # a measure, or what it would take


@dataclass(frozen=True)
class Scorecard:
    """What one model scored: `measures[standard][name]`.

    Attributes:
        left_out: what could not be measured, and what the data or the model would need for it.
        errors: some of the wrong answers, the surest first: `row`, `question`, `said`, `right`,
            `sure`, and `image`, a tensor, which is not written to JSON.
    """

    model: str
    measures: Mapping[str, Mapping[str, Measure]]
    left_out: Mapping[str, str] = field(default_factory=dict)
    errors: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        """Raise TypeError where a name or a measure is something else."""
        checks.instance(str, model=self.model)
        checks.instance(Mapping, measures=self.measures)
        for standard, cells in self.measures.items():
            checks.instance(Mapping, **{f"measures[{standard!r}]": cells})
            checks.listed(Measure, **{f"measures[{standard!r}]": list(cells.values())})

    def __getitem__(self, name: tuple[str, str]) -> Measure:
        """The measure (standard, name). Raises KeyError naming those that there are."""
        known = [(standard, cell) for standard, cells in self.measures.items() for cell in cells]
        if name not in known:
            raise KeyError(f"no measure with standard and name {name!r}; there are {known}")
        return self.measures[name[0]][name[1]]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: estimate, low, high, better, unit and floor of each measure, and the rest."""
        return {
            "model": self.model,
            "left_out": dict(self.left_out),
            "errors": [{k: v for k, v in e.items() if k != "image"} for e in self.errors],
            "standards": {
                standard: {name: _plain(measure) for name, measure in measures.items()}
                for standard, measures in self.measures.items()
            },
        }


def measure(
    statistic: Statistic,
    n: int,
    better: Better = "high",
    groups: Tensor | None = None,
    resamples: int = DRAWS,
    floor: float | None = None,
) -> Measure:
    """A measure of n examples, from a function of their weights (R, n).

    With `groups` (n,) int64, such as the image of each question, whole groups are drawn.

    The interval is that of the percentiles, widened where it would not hold the estimate: a gap
    between groups, which is never below zero, is larger in resamples than in the sample.
    """
    checks.at_least(1, n=n)
    checks.one_of(get_args(Better), better=better)
    draws = bootstrap_draws(statistic, n, resamples, groups=groups)
    estimate, low, high = percentile_interval(draws)
    interval = Interval(estimate, min(low, estimate), max(high, estimate))
    return Measure(interval, better, "share", draws[1:], floor)


def constant_measure(value: float, better: Better, unit: str) -> Measure:
    """A measure that has no doubt, such as a number of parameters."""
    checks.within("(-inf, inf)", value=value)
    checks.one_of(get_args(Better), better=better)
    checks.instance(str, unit=unit)
    value = value if isinstance(value, int | float) else float(value)  # not NumPy's, for JSON
    return Measure(Interval(value, value, value), better, unit)


def significantly_better(one: Measure, other: Measure) -> bool:
    """Whether the 95 % interval of the paired difference lies on `one`'s side of zero.

    Where draws cannot be paired, the two intervals must not overlap.
    """
    checks.instance(Measure, one=one, other=other)
    if one.better != other.better:
        raise ValueError(f"one and other must be better alike, got {one.better}, {other.better}")
    sign = 1 if one.better == "high" else -1
    if one.draws is not None and other.draws is not None:
        checks.shaped(**{"one.draws": (one.draws, "R"), "other.draws": (other.draws, "R")})
        return bool((sign * (one.draws - other.draws)).nanquantile(0.025) > 0)
    ours, theirs = (sorted(sign * bound for bound in m.interval[1:]) for m in (one, other))
    return ours[0] > theirs[1]


def ranks(cards: Sequence[Scorecard], standard: str, name: str) -> dict[str, int]:
    """The rank of each model by one measure: 1 + how many others are significantly better.

    Models that the suite cannot tell apart share a rank. Ranks of different measures are not added:
    there is no rate of exchange between, say, accuracy and fairness.

    Raises ValueError if two cards have one name.
    """
    names = [card.model for card in _cards(cards)]
    if len(set(names)) < len(names):
        raise ValueError(f"cards must each have a name of their own, got {names}")
    cells = {card.model: card[standard, name] for card in cards}
    return {
        model: 1 + sum(significantly_better(other, cell) for other in cells.values())
        for model, cell in cells.items()
    }


def last(cards: Sequence[Scorecard], standard: str, name: str) -> str | None:
    """The model than which every other is significantly better by this measure, if there is one."""
    found = ranks(cards, standard, name)
    worst = [model for model, rank in found.items() if rank == len(cards)]
    return worst[0] if worst else None


def write(cards: Sequence[Scorecard], path: str | Path) -> None:
    """One JSON file with all cards, written whole or not at all; what is not a number is null."""
    checks.instance((str, Path), path=path)
    cards = _cards(cards)
    record = {"cards": [card.to_dict() for card in cards]}
    with atomic_file(Path(path)) as file:
        file.write(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False).encode())


def read(path: str | Path) -> list[Scorecard]:
    """The cards that `write` wrote, without their draws. Raises ValueError for another file."""
    checks.instance((str, Path), path=path)
    try:
        return [
            Scorecard(
                card["model"],
                {
                    standard: {name: _measure(cell) for name, cell in measures.items()}
                    for standard, measures in card["standards"].items()
                },
                card.get("left_out", {}),
                card.get("errors", []),
            )
            for card in json.loads(Path(path).read_text(encoding="utf-8"))["cards"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"path must be a file of scorecards, got {path}: {error!r}") from None


def _cards(cards: Sequence[Scorecard]) -> list[Scorecard]:
    cards = checks.listed(Scorecard, cards=cards)
    checks.same_length(cards=cards)
    return cards


def _plain(cell: Measure) -> dict[str, Any]:
    bounds = {k: v if math.isfinite(v) else None for k, v in cell.interval._asdict().items()}
    return bounds | {"better": cell.better, "unit": cell.unit, "floor": cell.floor}


def _measure(cell: dict[str, Any]) -> Measure:
    bounds = (cell[name] for name in Interval._fields)
    interval = Interval(*(math.nan if bound is None else bound for bound in bounds))
    return Measure(interval, cell["better"], cell["unit"], floor=cell.get("floor"))
