"""The weight of a weighted average, chosen by cross-validation.

Knows two models' scores for the same examples. Does not know the models.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks


class _WeightChoice(NamedTuple):
    """What cross-validation found.

    Attributes:
        accuracy: (A,) float64, of every weight on all examples: the curve, not the result.
        chosen: (folds,) the weight that was best on the other folds.
        held_out: (folds,) float64, its accuracy on the fold that had no say: the result.
    """

    accuracy: Tensor
    chosen: Tensor
    held_out: Tensor


def choose_weight(
    one: Tensor, other: Tensor, label: Tensor, weights: Tensor, folds: int = 5
) -> _WeightChoice:
    """Choose alpha in alpha * one + (1 - alpha) * other, once for each fold.

    Example i is in fold i mod `folds`, so the examples should come in no particular order. Of equal
    weights the first wins.

    Args:
        one, other: (N, C) scores.
        label: (N,) int64, the right classes.
        weights: (A,) the values of alpha to try.

    Raises:
        ValueError: the shapes do not fit, or there are fewer than two folds or more than examples.
    """
    sizes = checks.shaped(
        one=(one, "N C"), other=(other, "N C"), label=(label, "N"), weights=(weights, "A")
    )
    checks.finite(one=one, other=other, weights=weights)
    checks.indices(sizes["C"], label=label)
    checks.at_least(2, folds=folds)
    checks.within(f"[2, {len(label)}]", folds=folds)
    scores = torch.stack([alpha * one + (1 - alpha) * other for alpha in weights.tolist()])
    right = (scores.argmax(dim=-1) == label).double()  # [A, N]
    fold = torch.arange(len(label)) % folds
    best = [int(right[:, fold != f].mean(dim=1).argmax()) for f in range(folds)]
    held_out = torch.stack([right[b, fold == f].mean() for f, b in enumerate(best)])
    return _WeightChoice(right.mean(dim=1), weights[best], held_out)
