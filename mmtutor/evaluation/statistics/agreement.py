"""Whether a metric puts things in the order that people, or the truth, put them in.

Knows two lists of numbers. Does not know what was scored.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmtutor.evaluation.statistics.intervals import Interval


def kendall_tau(
    scores: Tensor,
    truth: Tensor,
    groups: Tensor | None = None,
    resamples: int = 1_000,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Kendall's tau-b of `scores` (N,) and `truth` (N,), with a bootstrap interval.

    Over all pairs: those that both put in the same order, less those that they put in opposite
    ones, over the geometric mean of the numbers of pairs that each puts in any order. 1 is full
    agreement, 0 none; a constant has no tau and gives 0. Source: Kendall (1945), The treatment of
    ties in ranking problems.

    The bootstrap draws examples, or whole `groups` (N,) int64: captions of one picture rise and
    fall together. A pair counts as often as both its members were drawn, so all resamples are
    three matrix products. Memory grows with N^2.

    Raises ValueError for other shapes, fewer than two examples or scores that are not finite.
    """
    if scores.shape != truth.shape or scores.ndim != 1 or len(scores) < 2:
        raise ValueError(
            f"scores and truth must both be (N,) of at least 2, got {tuple(scores.shape)} "
            f"and {tuple(truth.shape)}"
        )
    scores, truth = scores.detach().double(), truth.detach().double()
    if not (scores.isfinite().all() and truth.isfinite().all()):
        raise ValueError("scores and truth must be finite")
    order = [(x[:, None] - x).sign() for x in (scores, truth)]  # [N, N] each
    once = torch.ones(1, len(scores), dtype=torch.float64)
    weights = _draws(len(scores), groups, resamples, seed)
    estimate, spread = _tau(*order, once), _tau(*order, weights)
    tail = (1 - level) / 2
    low, high = spread.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return Interval(estimate.item(), low, high)


def _tau(order: Tensor, true_order: Tensor, weights: Tensor) -> Tensor:
    """tau-b (R,) when example i counts weights[r, i] times, from signs (N, N) of differences."""

    def total(pairs: Tensor) -> Tensor:
        return ((weights @ pairs) * weights).sum(1)

    ordered = (total(order.abs()) * total(true_order.abs())).sqrt()
    return torch.where(ordered > 0, total(order * true_order) / ordered.clamp(min=1e-300), 0)


def _draws(n: int, groups: Tensor | None, resamples: int, seed: int) -> Tensor:
    """How often each resample holds each example: (resamples, n) float64."""
    index = torch.arange(n) if groups is None else groups.unique(return_inverse=True)[1]
    size = int(index.max()) + 1
    drawn = torch.randint(size, (resamples, size), generator=torch.Generator().manual_seed(seed))
    times = torch.zeros(resamples, size, dtype=torch.float64)
    times.scatter_add_(1, drawn, torch.ones(drawn.shape, dtype=torch.float64))
    return times[:, index]
