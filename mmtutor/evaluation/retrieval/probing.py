"""Scores of small traps: Winoground's two images and two captions, POPE's yes or no.

Knows scores and answers. Does not know images, captions, objects or models.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.classification.scores import as_weights, confusion, number, per_class

WINOGROUND_CHANCE = {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6}  # of random, untied scores


class _Winoground(NamedTuple):
    """Which examples were solved, each (N,) bool: `.double().mean()` is the published score.

    Attributes:
        text: for each image its own caption scores higher.
        image: for each caption its own image scores higher.
        group: both.
    """

    text: Tensor
    image: Tensor
    group: Tensor


class _Pope(NamedTuple):
    """Answers to "is there a ...?", in [0, 1]; `yes_ratio` is the share of "yes" among answers."""

    accuracy: float | Tensor
    precision: float | Tensor
    recall: float | Tensor
    f1: float | Tensor
    yes_ratio: float | Tensor


def winoground(scores: Tensor) -> _Winoground:
    """Winoground's three scores from `scores` (N, 2, 2): [n, i, c] of image i and caption c.

    Caption i belongs to image i. Ties are failures. Source: Thrush et al. (2022), section 3.2.
    Raises ValueError for wrong shapes, no examples, or scores that are not finite.
    """
    checks.shaped(scores=(scores, "N 2 2"))
    checks.finite(scores=scores)
    right = scores.diagonal(dim1=1, dim2=2)  # [N, 2]: of image i and its caption
    text = (right > torch.stack([scores[:, 0, 1], scores[:, 1, 0]], 1)).all(1)
    image = (right > torch.stack([scores[:, 1, 0], scores[:, 0, 1]], 1)).all(1)
    return _Winoground(text, image, text & image)


def pope(said_yes: Tensor, present: Tensor, weights: Tensor | None = None) -> _Pope:
    """POPE's five numbers from `said_yes` and `present`, both (N,) bool, or 1 and 0.

    "Yes" is the positive. With as many objects present as absent, as POPE asks, the yes ratio of an
    unbiased model is 0.5. Precision is 0 if "yes" was never said. Of many sets of weights (R, N)
    each number is a tensor (R,). Source: Li et al. (2023), sec. 5.
    """
    said_yes, present = checks.as_mask(said_yes=said_yes), checks.as_mask(present=present)
    checks.shaped(said_yes=(said_yes, "N"), present=(present, "N"))
    weights = as_weights(weights, len(present))
    table = confusion(said_yes.long(), present.long(), 2, weights)
    right, yes = table.diagonal(dim1=-2, dim2=-1).sum(-1), table[..., 1].sum(-1)
    accuracy, yes_ratio = (count / weights.sum(-1) for count in (right, yes))
    of_yes = (value[..., 1] for value in per_class(table)[:3])
    return _Pope(*map(number, (accuracy, *of_yes, yes_ratio)))
