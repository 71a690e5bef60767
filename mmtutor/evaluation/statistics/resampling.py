"""How sure any statistic of examples is, not only a mean: the bootstrap by weights.

Knows how often each example was drawn. Does not know the statistic, which takes those weights.
For means and medians `intervals.bootstrap_interval` is simpler.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmtutor.evaluation.classification.scores import Average, averages
from mmtutor.evaluation.statistics.intervals import Interval, rounds


def resampled_interval(
    statistic: Callable[[Tensor], Tensor],
    examples: int,
    resamples: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Percentile bootstrap interval of `statistic`.

    Args:
        statistic: takes weights (R, N) float64, how often each example is drawn in each of R
            resamples, and returns (R,). With all weights 1 it gives the estimate.
        examples: N.

    Resamples in which the statistic does not exist (NaN, as an AUC without positives) are left
    out. Raises ValueError if there are no examples or it never exists.
    """
    if examples < 1:
        raise ValueError("there must be at least one example")
    estimate = statistic(torch.ones(1, examples, dtype=torch.float64))
    generator = torch.Generator().manual_seed(seed)
    found = []
    for rows in rounds(resamples, examples):
        drawn = torch.randint(examples, (rows, examples), generator=generator)
        weights = torch.zeros(rows, examples, dtype=torch.float64)
        found.append(statistic(weights.scatter_add_(1, drawn, torch.ones_like(weights))))
    values = torch.cat(found)
    values = values[~values.isnan()]
    if estimate.isnan().any() or len(values) == 0:
        raise ValueError("the statistic does not exist for these examples")
    tail = (1 - level) / 2
    low, high = values.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Interval(estimate.item(), low, high)


def f1_interval(
    predicted: Tensor, label: Tensor, classes: int, average: Average = "macro", **options
) -> Interval:
    """F1 with its interval, from `predicted` and `label` (N,) int64 in [0, classes).

    `options` are those of `resampled_interval`.
    """
    cell = torch.nn.functional.one_hot(label * classes + predicted, classes**2).double()

    def f1(weights: Tensor) -> Tensor:
        return averages((weights @ cell).view(-1, classes, classes), average).f1

    return resampled_interval(f1, len(label), **options)


def auroc_interval(score: Tensor, positive: Tensor, **options) -> Interval:
    """Area under the ROC curve with its interval, from `score` (N,) and `positive` (N,) bool."""
    order = score.double().argsort()
    values, positive = score.double()[order], positive[order]
    tie = torch.nn.functional.pad((values.diff() != 0).cumsum(0), (1, 0))  # [N], from 0

    def area(weights: Tensor) -> Tensor:
        weights = weights[:, order]
        shape = len(weights), int(tie[-1]) + 1
        of = [
            torch.zeros(shape, dtype=torch.float64).index_add_(1, tie, weights * chosen)
            for chosen in (positive, ~positive)
        ]
        beaten = of[1].cumsum(1) - of[1] / 2  # negatives below, and half of the tied
        return (of[0] * beaten).sum(1) / (of[0].sum(1) * of[1].sum(1))

    return resampled_interval(area, len(score), **options)
