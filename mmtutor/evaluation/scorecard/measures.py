"""The scorecard: seven standards, an interval on every cell, and never a sum.

Knows measures, how they are resampled and how models are ranked by one of them. Does not know what
is measured: that is `standards.py`.

Every statistic is computed from the weights of the examples: all 1 for the estimate, and how often
each example was drawn for a bootstrap resample. Models that sat the same exam are resampled alike,
so that their differences are paired.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from mmtutor.evaluation.statistics.bootstrap import Interval
from mmtutor.files import atomic_file

RESAMPLES = 1_000
TAILS = torch.tensor([0.025, 0.975], dtype=torch.float64)
STANDARDS = (
    "accuracy",
    "diversity",
    "consistency",
    "efficiency",
    "interpretability",
    "robustness",
    "fairness",
)

Better = Literal["high", "low"]
Statistic = Callable[[Tensor], Tensor]  # weights (R, N) float64 -> (R,)


class Measure(NamedTuple):
    """One cell of a scorecard.

    Attributes:
        interval: the estimate with its 95 % interval; a count has no doubt, and bounds like itself.
        better: whether "high" or "low" is good.
        unit: what it is counted in; "share" is a number in [0, 1].
        draws: (R,) float64, the statistic of resample r of the examples, which are the same for
            every model that sat the exam; None for what is no statistic of examples.
    """

    interval: Interval
    better: Better
    unit: str
    draws: Tensor | None = None


@dataclass(frozen=True)
class Scorecard:
    """What one model scored: `measures[standard][name]`, in the order of STANDARDS."""

    model: str
    measures: Mapping[str, Mapping[str, Measure]]

    def __getitem__(self, name: tuple[str, str]) -> Measure:
        """The measure (standard, name)."""
        standard, measure = name
        return self.measures[standard][measure]

    def to_dict(self) -> dict[str, Any]:
        """For JSON: estimate, low, high, better and unit of each measure."""
        return {
            "model": self.model,
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
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Measure:
    """A measure of n examples, from a function of their weights (R, n).

    With `groups` (n,) int64, such as the picture of each question, whole groups are drawn.

    The interval is that of the percentiles, widened where it would not hold the estimate: a gap
    between groups, which is never below zero, is larger in resamples than in the sample.
    """
    group = torch.arange(n) if groups is None else groups.unique(return_inverse=True)[1]
    weights = drawn(int(group.max()) + 1, resamples, seed)[:, group]
    found = statistic(torch.cat([torch.ones(1, n, dtype=torch.float64), weights]))
    estimate, (low, high) = found[0].item(), found[1:].nanquantile(TAILS).tolist()
    interval = Interval(estimate, min(low, estimate), max(high, estimate))
    return Measure(interval, better, "share", found[1:])


def exact(value: float, better: Better, unit: str) -> Measure:
    """A measure that has no doubt, such as a number of parameters."""
    return Measure(Interval(value, value, value), better, unit)


def drawn(n: int, resamples: int = RESAMPLES, seed: int = 0) -> Tensor:
    """(R, n) float64: how often each of n examples is drawn in each resample of size n."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randint(n, (resamples, n), generator=generator)
    return torch.zeros(resamples, n, dtype=torch.float64).scatter_add_(
        1, rows, torch.ones(resamples, n, dtype=torch.float64)
    )


def surely_better(one: Measure, other: Measure) -> bool:
    """Whether the 95 % interval of the paired difference lies on `one`'s side of zero.

    Where draws cannot be paired, the two intervals must not overlap.
    """
    sign = 1 if one.better == "high" else -1
    if one.draws is not None and other.draws is not None:
        return bool((sign * (one.draws - other.draws)).nanquantile(TAILS[0]) > 0)
    ours, theirs = (sorted(sign * bound for bound in m.interval[1:]) for m in (one, other))
    return ours[0] > theirs[1]


def ranks(cards: Sequence[Scorecard], standard: str, name: str) -> dict[str, int]:
    """The rank of each model by one measure: 1 + how many others are surely better.

    Models that the exam cannot tell apart share a rank. Ranks of different measures are not added:
    there is no rate of exchange between, say, accuracy and fairness.

    Raises ValueError if two cards have one name.
    """
    names = [card.model for card in cards]
    if len(set(names)) < len(names):
        raise ValueError(f"every card needs a name of its own, got {names}")
    cells = {card.model: card[standard, name] for card in cards}
    return {
        model: 1 + sum(surely_better(other, cell) for other in cells.values())
        for model, cell in cells.items()
    }


def last(cards: Sequence[Scorecard], standard: str, name: str) -> str | None:
    """The model than which every other is surely better by this measure; None if there is none."""
    found = ranks(cards, standard, name)
    worst = [model for model, rank in found.items() if rank == len(cards)]
    return worst[0] if worst else None


def write(cards: Sequence[Scorecard], path: str | Path) -> None:
    """One JSON file with all cards, written whole or not at all; what is not a number is null."""
    record = {"cards": [card.to_dict() for card in cards]}
    with atomic_file(Path(path)) as file:
        file.write(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False).encode())


def read(path: str | Path) -> list[Scorecard]:
    """The cards that `write` wrote, without their draws. Raises ValueError for another file."""
    record = json.loads(Path(path).read_text(encoding="utf-8"))
    if "cards" not in record:
        raise ValueError(f"{path} has no entry 'cards': it is no file of scorecards")
    return [
        Scorecard(
            card["model"],
            {
                standard: {name: _measure(cell) for name, cell in measures.items()}
                for standard, measures in card["standards"].items()
            },
        )
        for card in record["cards"]
    ]


def _plain(cell: Measure) -> dict[str, Any]:
    bounds = {k: v if math.isfinite(v) else None for k, v in cell.interval._asdict().items()}
    return bounds | {"better": cell.better, "unit": cell.unit}


def _measure(cell: dict[str, Any]) -> Measure:
    bounds = (cell[name] for name in Interval._fields)
    interval = Interval(*(math.nan if bound is None else bound for bound in bounds))
    return Measure(interval, cell["better"], cell["unit"])
