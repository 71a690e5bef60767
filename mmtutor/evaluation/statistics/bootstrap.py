"""How sure a number is: the percentile bootstrap of any statistic that takes weights.

Knows how often each resample holds each example, and groups of examples that rise and fall
together. Does not know models, tasks or what the statistic means. A difference of two models is
paired if its values are: give the differences, or one statistic of both.

Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mmtutor import checks

BLOCK = 2**17  # draws held at once: as many as stay in a processor's cache

Statistic = Callable[[Tensor], Tensor]  # weights (R, N) float64 -> (R, ...)


class Interval(NamedTuple):
    """An estimate and the bounds of its interval, in the unit of the values."""

    estimate: float
    low: float
    high: float


def bootstrap_weights(
    examples: int, resamples: int, seed: int = 0, groups: Tensor | None = None
) -> Iterator[Tensor]:
    """How often each resample holds each example: blocks (r, examples) float64 of R rows in all.

    Examples are drawn with replacement; with `groups` (examples,) int64 whole groups are drawn
    instead (the cluster bootstrap). That is the honest choice when captions share an image: drawing
    them one by one would make the interval too narrow.
    """
    checks.at_least(1, examples=examples, resamples=resamples)
    checks.at_least(0, seed=seed)
    checks.shaped(groups=(groups, f"{examples} | None"))
    checks.whole(groups=groups)
    group = None if groups is None else groups.cpu().unique(return_inverse=True)[1]
    units = examples if group is None else int(group.max()) + 1
    generator = torch.Generator().manual_seed(int(seed))
    rows = max(1, BLOCK // examples)
    for start in range(0, resamples, rows):
        drawn = torch.randint(units, (min(rows, resamples - start), units), generator=generator)
        once = torch.ones(drawn.shape, dtype=torch.float64)
        times = torch.zeros_like(once).scatter_add_(1, drawn, once)
        yield times if group is None else times[:, group]


def bootstrap_draws(
    statistic: Statistic,
    examples: int,
    resamples: int = 10_000,
    seed: int = 0,
    groups: Tensor | None = None,
) -> Tensor:
    """(1 + R, ...): the statistic of the examples themselves, then of R resamples.

    Statistics of the same number of examples, seed and groups see the same resamples, so that
    their draws are paired. Arguments as in `bootstrap_statistic`.
    """
    checks.instance(Callable, statistic=statistic)
    checks.at_least(1, examples=examples)
    itself = statistic(torch.ones(1, examples, dtype=torch.float64))
    if not isinstance(itself, Tensor) or itself.shape[:1] != (1,):
        raise TypeError(f"statistic must be (R, ...) of weights (R, N), got {itself!r} of (1, N)")
    blocks = bootstrap_weights(examples, resamples, seed, groups)
    return torch.cat([itself, *map(statistic, blocks)])


def percentile_interval(draws: Tensor, level: float = 0.95) -> Interval:
    """The interval of `bootstrap_draws` (1 + R,); resamples that give NaN are left out."""
    checks.shaped(draws=(draws, "R"))
    checks.at_least(2, **{"len(draws)": len(draws)})
    checks.floating(draws=draws)
    checks.within("(0, 1)", level=level)
    tails = torch.tensor([(1 - level) / 2, (1 + level) / 2], dtype=torch.float64)
    return Interval(draws[0].item(), *draws[1:].double().nanquantile(tails).tolist())


def bootstrap_statistic(
    statistic: Statistic,
    examples: int,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    groups: Tensor | None = None,
) -> Interval:
    """Percentile bootstrap interval of `statistic`.

    Args:
        statistic: takes weights (R, N) float64, how often each example counts in each of R
            resamples, and returns (R,), as the metrics of `evaluation.classification` do.
        examples: N.
        groups: (N,) int64; see `bootstrap_weights`.

    Resamples in which the statistic does not exist (NaN, as an AUC without positives) are left
    out. Raises ValueError if there are no examples or it never exists.
    """
    checks.within("(0, 1)", level=level)
    draws = bootstrap_draws(statistic, examples, resamples, seed, groups)
    checks.shaped(statistic=(draws, f"{1 + resamples}"))
    if draws[0].isnan() or draws[1:].isnan().all():
        raise ValueError("the statistic does not exist for these examples")
    return percentile_interval(draws, level)


def bootstrap_interval(
    values: Tensor,
    statistic: Literal["mean", "median"] = "mean",
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
    groups: Tensor | None = None,
) -> Interval:
    """`bootstrap_statistic` of the mean or the median of `values` (N,).

    Raises ValueError for empty, non-finite or wrongly shaped input, and unless 0 < level < 1.
    """
    checks.one_of(("mean", "median"), statistic=statistic)
    chosen = weighted_mean(values) if statistic == "mean" else _weighted_median(values)
    return bootstrap_statistic(chosen, len(values), resamples, level, seed, groups)


def by_group(
    values: Tensor, names: Sequence[str], groups: Tensor | None = None
) -> dict[str, Interval]:
    """The mean of `values` with its 95 % interval for each name: a question type, an answer, ...

    Args:
        values: (N,) bool or floating point.
        names: what each example belongs to; the result is in sorted order of the names.
        groups: (N,) int64, examples that rise and fall together, such as those of one image.

    Raises:
        ValueError: the lengths differ or there is no example.
    """
    names = checks.listed(str, names=names)
    checks.shaped(values=(values, "N"), groups=(groups, "N | None"))
    checks.same_length(values=values, names=names)
    found = {}
    for name in sorted(set(names)):
        part = torch.tensor([other == name for other in names])
        tied = None if groups is None else groups[part]
        found[name] = bootstrap_interval(values[part], groups=tied)
    return found


def weighted_mean(values: Tensor) -> Statistic:
    """The statistic that is the mean of `values` (N,), all finite: weights (R, N) -> (R,)."""
    values = _checked(values)
    return lambda weights: weights @ values / weights.sum(dim=1)


def _weighted_median(values: Tensor) -> Statistic:
    """The statistic that is the median of `values` (N,), each as often as its whole weight."""
    ordered, order = _checked(values).sort()

    def median(weights: Tensor) -> Tensor:
        reached = weights[:, order].cumsum(dim=1)  # [R, N]: drawn so far, in order
        total = reached[:, -1:]
        lower = torch.searchsorted(reached, ((total + 1) / 2).floor())
        upper = torch.searchsorted(reached, (total / 2).floor() + 1)
        return (ordered[lower] + ordered[upper]).squeeze(1) / 2

    return median


def _checked(values: Tensor) -> Tensor:
    """`values` as float64 on the CPU."""
    checks.shaped(values=(values, "N"))
    checks.finite(values=values)
    return values.detach().cpu().double()
