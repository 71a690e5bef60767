"""Counting right and wrong: accuracy, precision, recall and F1 with their averages.

Knows predicted and true classes, and how often each example counts. Does not know how they were
predicted; for scores at every threshold see `roc`. Whatever is computed from a table of confusion
takes any number of tables at once, (..., C, C), and many sets of weights make many tables: that is
what makes resampling fast.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from mmtutor import checks

Average = Literal["macro", "micro", "weighted"]


class _PerClass(NamedTuple):
    """Each (..., C) float64: precision, recall, F1, and how many examples are of the class."""

    precision: Tensor
    recall: Tensor
    f1: Tensor
    support: Tensor


class _Averages(NamedTuple):
    """Each (...) float64, in [0, 1]."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def weighted_sums(
    place: Tensor, places: int, weights: Tensor | None = None, values: Tensor | None = None
) -> Tensor:
    """The sum of weights times values at each place, (places,) or (R, places) float64.

    Args:
        place: (N,) int64 in [0, places).
        weights: (N,), or (R, N) for many sets at once; without them each example counts once.
        values: (N,); without them the weights themselves are summed.

    Raises ValueError for weights of another shape, negative, not finite or all 0.
    """
    checks.shaped(place=(place, "N"), values=(values, "N | None"))
    checks.at_least(1, places=places)
    checks.indices(places, place=place)
    checks.finite(values=values)
    place = place.cpu().long()
    if weights is None and values is None:
        return place.bincount(minlength=places).double()
    each = as_weights(weights, len(place))
    each = each if values is None else each * values.cpu().double()
    blank = torch.zeros(*each.shape[:-1], places, dtype=torch.float64)
    return blank.scatter_add_(-1, place.expand_as(each), each)


def as_weights(weights: Tensor | None, examples: int) -> Tensor:
    """How often each example counts: (N,) or (R, N) float64, ones for None.

    Raises ValueError for another shape, a weight that is negative or not finite, and where all
    are 0.
    """
    checks.at_least(1, examples=examples)
    if weights is None:
        return torch.ones(examples, dtype=torch.float64)
    checks.shaped(weights=(weights, f"{examples} | R {examples}"))
    checks.within("[0, inf)", weights=weights)
    if not weights.any():
        raise ValueError("weights must not all be 0: nothing would count")
    return weights.detach().cpu().double()


def number(value: Tensor) -> float | Tensor:
    """A float where there is one number, a tensor where there are many."""
    return value.item() if value.ndim == 0 else value


def confusion(
    predicted: Tensor, label: Tensor, classes: int | None = None, weights: Tensor | None = None
) -> Tensor:
    """(C, C) int64: how many examples of class i (row) were called class j (column).

    `predicted` and `label` (N,) int64. Without `classes` the largest number that occurs decides.
    With `weights` (N,) the weight of those examples, float64; of many sets (R, N) as many tables.
    Raises ValueError for unequal shapes, no examples, and numbers outside [0, classes).
    """
    checks.shaped(predicted=(predicted, "N"), label=(label, "N"))
    if classes is not None:
        checks.at_least(1, classes=classes)
    checks.indices(classes, predicted=predicted, label=label)
    classes = int(max(predicted.max(), label.max())) + 1 if classes is None else int(classes)
    cell = label.long() * classes + predicted.long()
    if weights is None:
        return cell.bincount(minlength=classes**2).view(classes, classes)
    return weighted_sums(cell, classes**2, weights).unflatten(-1, (classes, classes))


def per_class(table: Tensor) -> _PerClass:
    """Precision, recall and F1 of each class from tables of confusion (..., C, C).

    Precision is 0 for a class that was never predicted, recall 0 for one that never occurs, and F1
    0 where both are, as in scikit-learn (`zero_division=0`).
    """
    table = _counted(table)
    right = table.diagonal(dim1=-2, dim2=-1)
    support, called = table.sum(-1), table.sum(-2)
    return _PerClass(
        _ratio(right, called), _ratio(right, support), _ratio(2 * right, support + called), support
    )


def averages(table: Tensor, average: Average = "macro") -> _Averages:
    """One precision, recall and F1 for all classes, from tables of confusion (..., C, C).

    "macro" counts classes alike, "weighted" by how many examples are of the class, "micro" counts
    examples alike, which makes all three equal to the accuracy. Macro leaves out classes that
    neither occur nor are predicted, as scikit-learn does. Macro F1 is the mean of the F1 of the
    classes, not the F1 of the means (Opitz and Burst, 2019).
    """
    checks.one_of(get_args(Average), average=average)
    table = _counted(table)
    if average == "micro":
        right = table.diagonal(dim1=-2, dim2=-1).sum(-1) / table.sum((-2, -1))
        return _Averages(right, right, right)
    found = per_class(table)
    weights = found.support
    if average == "macro":
        weights = (table.sum(-1) + table.sum(-2) > 0).double()
    total = weights.sum(-1)
    return _Averages(*((value * weights).sum(-1) / total for value in found[:3]))


def balanced_accuracy(table: Tensor) -> Tensor:
    """Mean recall of the classes that occur, (...), from tables of confusion (..., C, C)."""
    found = per_class(table)
    return found.recall.sum(-1) / (found.support > 0).sum(-1)


def check_logits(logits: Tensor, label: Tensor) -> None:
    """Refuse logits (N, C) that rank no class, and labels (N,) that are none of them.

    NaN and infinity rank nothing; minus infinity rules a class out, but not every one.
    """
    sizes = checks.shaped(logits=(logits, "N C"), label=(label, "N"))
    checks.floating(logits=logits)
    checks.indices(sizes["C"], label=label)
    checks.finite(logits=logits.amax(dim=1))


def _counted(table: Tensor) -> Tensor:
    """Tables of confusion (..., C, C) as float64."""
    checks.shaped(table=(table, "... C C"))
    checks.within("[0, inf)", table=table)
    return table.double()


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """part / whole, and 0 where there is nothing."""
    return torch.where(whole > 0, part / whole, 0)
