"""Scores for yes or no, at every threshold at once: ROC, its area, precision against recall.

Knows scores, where higher means more likely positive, and which examples are positive. Does not
know a threshold, nor what was detected. Computed in float64 on the CPU.

All functions raise ValueError for wrong shapes, NaN scores, and where the number does not exist:
a ROC curve without positives or without negatives, precision and recall without positives.
scikit-learn warns there and returns NaN or 0, which vanishes in the next mean.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor


class RocCurve(NamedTuple):
    """Both rates at each threshold (T + 1,), from none called positive to all.

    Attributes:
        false_positive_rate: share of the negatives that score at least the threshold.
        true_positive_rate: share of the positives that do.
        threshold: infinity, then each score that occurs, falling.
    """

    false_positive_rate: Tensor
    true_positive_rate: Tensor
    threshold: Tensor


class PrecisionRecallCurve(NamedTuple):
    """Precision and recall (T,) if all that score at least `threshold` (T,) are called positive."""

    precision: Tensor
    recall: Tensor
    threshold: Tensor


def auroc(score: Tensor, positive: Tensor) -> float:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half.

    `score` (N,) and `positive` (N,) bool. Both kinds are sorted once and the pairs counted, in
    whole numbers (the U statistic of Mann and Whitney, 1947): no order among ties is ever made up.
    """
    _check(score, positive, both=True)
    values, chosen = score.detach().cpu().double().numpy(), positive.cpu().numpy()
    above, below = np.sort(values[chosen]), np.sort(values[~chosen])
    few, many = (above, below) if len(above) <= len(below) else (below, above)
    beaten = np.searchsorted(many, few, "left").sum() + np.searchsorted(many, few, "right").sum()
    share = int(beaten) / (2 * len(few) * len(many))
    return share if few is above else 1 - share


def auroc_one_vs_rest(
    score: Tensor, label: Tensor, average: Literal["macro", "weighted"] = "macro"
) -> float:
    """Mean over classes of the AUC of that class against all others.

    `score` (N, C) and `label` (N,) int64. "weighted" weighs classes by how frequent they are.
    Every class must occur, as in scikit-learn.
    """
    if score.ndim != 2 or label.shape != score.shape[:1]:
        raise ValueError(
            f"expected (N, C) and (N,), got {tuple(score.shape)} and {tuple(label.shape)}"
        )
    count = torch.bincount(label.cpu(), minlength=score.shape[1]).double()
    if len(count) > score.shape[1] or (count == 0).any():
        raise ValueError(f"each of the {score.shape[1]} classes must occur, found {count.tolist()}")
    areas = [auroc(column, label == c) for c, column in enumerate(score.T)]
    weights = count if average == "weighted" else torch.ones_like(count)
    return (torch.tensor(areas, dtype=torch.float64) @ weights / weights.sum()).item()


def roc_curve(score: Tensor, positive: Tensor) -> RocCurve:
    """The ROC curve of `score` (N,) and `positive` (N,) bool, a point for each distinct score.

    Examples with equal scores cross the threshold together, which draws a slanted line; crossing
    one after the other would draw a staircase that depends on the order of the file.
    """
    _check(score, positive, both=True)
    threshold, true, false = _counts(score, positive)
    start = torch.zeros(1, dtype=torch.float64)
    return RocCurve(
        torch.cat([start, false / false[-1]]),
        torch.cat([start, true / true[-1]]),
        torch.cat([start + torch.inf, threshold]),
    )


def precision_recall_curve(score: Tensor, positive: Tensor) -> PrecisionRecallCurve:
    """Precision and recall at each distinct score, highest threshold first."""
    _check(score, positive, both=False)
    threshold, true, false = _counts(score, positive)
    return PrecisionRecallCurve(true / (true + false), true / true[-1], threshold)


def average_precision(score: Tensor, positive: Tensor) -> float:
    """Precision at each threshold, weighted by the recall gained there (no interpolation).

    A model that gives all the same score gets the share of positives, which is chance.
    """
    curve = precision_recall_curve(score, positive)
    gained = curve.recall.diff(prepend=curve.recall.new_zeros(1))
    return (gained @ curve.precision).item()


def _counts(score: Tensor, positive: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Distinct scores, falling, and how many positives and negatives score at least as high."""
    values, group = (-score.detach().cpu().double()).unique(return_inverse=True)
    chosen = positive.cpu()
    true = group[chosen].bincount(minlength=len(values)).cumsum(0).double()
    false = group[~chosen].bincount(minlength=len(values)).cumsum(0).double()
    return -values, true, false


def _check(score: Tensor, positive: Tensor, both: bool) -> None:
    if score.ndim != 1 or score.shape != positive.shape or positive.dtype != torch.bool:
        raise ValueError(
            "expected score (N,) and positive (N,) bool, got "
            f"{tuple(score.shape)} and {tuple(positive.shape)} {positive.dtype}"
        )
    count = int(positive.sum())
    if count == 0 or (both and count == len(positive)):
        missing = "positive" if count == 0 else "negative"
        raise ValueError(f"none of the {len(positive)} examples is {missing}")
    if score.isnan().any():
        raise ValueError(f"score {int(score.isnan().nonzero()[0])} is NaN")
