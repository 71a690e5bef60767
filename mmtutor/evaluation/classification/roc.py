"""Scores for yes or no, over all thresholds: the area under the ROC curve, average precision.

Knows scores, where higher means more likely positive, and which examples are positive. Does not
know a threshold, nor what was detected. Computed in float64 on the CPU. Ties are never put in an
order: what counts is how many of each kind have each score. The curves are scikit-learn's.

Both functions raise ValueError for wrong shapes, NaN scores, and where the number does not exist.
scikit-learn warns there and returns NaN or 0, which vanishes in the next mean.
"""

from __future__ import annotations

from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.classification.scores import number, weighted_sums


def auroc(score: Tensor, positive: Tensor, weights: Tensor | None = None) -> float | Tensor:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties half.

    `score` (N,) and `positive` (N,) bool, or 0 and 1. All pairs are counted, in whole numbers (the
    U statistic of Mann and Whitney, 1947). `weights` (N,) say how often each example counts; of
    many sets of weights (R, N) the result is (R,), NaN where one has no positive or no negative.
    """
    positives, negatives = _at_each_score(score, positive, weights, both=True)  # [..., T], rising
    beaten = negatives.cumsum(-1) - negatives / 2  # those below, and half of the tied
    pairs = positives.sum(-1) * negatives.sum(-1)
    return number((positives * beaten).sum(-1) / pairs)


def average_precision(
    score: Tensor, positive: Tensor, weights: Tensor | None = None
) -> float | Tensor:
    """Precision at each threshold, weighted by the recall gained there (no interpolation).

    A model that gives all the same score gets the share of positives, which is chance. Arguments as
    of `auroc`; negatives are not needed.
    """
    found = _at_each_score(score, positive, weights, both=False)
    gained, false = (kind.flip(-1) for kind in found)  # [..., T], highest score first
    true, false = gained.cumsum(-1), false.cumsum(-1)
    precision = (true / (true + false)).nan_to_num(0)  # 0 / 0: nobody of weight so far
    return number((gained * precision).sum(-1) / true[..., -1])


def _at_each_score(
    score: Tensor, positive: Tensor, weights: Tensor | None, both: bool
) -> tuple[Tensor, Tensor]:
    """How many positives, and how many negatives, have each score that occurs: (..., T) each."""
    positive = checks.as_mask(positive=positive)
    checks.shaped(score=(score, "N"), positive=(positive, "N"))
    checks.finite(score=score.masked_fill(score.isinf(), 0))  # infinity has an order, NaN has none
    count = int(positive.sum())
    if count == 0 or (both and count == len(positive)):
        missing = "a positive" if count == 0 else "a negative"
        raise ValueError(f"positive must hold {missing}, got none in {len(positive)} examples")
    values, place = score.detach().cpu().double().unique(return_inverse=True)
    table = weighted_sums(2 * place + ~positive.cpu(), 2 * len(values), weights)  # [..., 2 T]
    return table[..., ::2], table[..., 1::2]
