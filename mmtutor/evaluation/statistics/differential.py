"""How far two implementations of one metric lie apart, over many random cases.

Knows random cases with the edges that break metrics, and how to compare two functions of a case.
Does not know any metric or library: a chapter or a test brings the functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmtutor import checks

Function = Callable[[Any], Any]


class _Case(NamedTuple):
    """Random input of every kind of metric; which parts are used is up to the metric.

    Attributes:
        logits: (N, C) float64, and their softmax `probability` (N, C).
        label, predicted: (N,) int64 in [0, C); classes may be absent.
        score, positive: (M,) float64, often tied, and (M,) bool with at least one of each kind.
        similarity, gain: (Q, G) float64, often tied, and (Q, G) int64 in 0 to 3, at least one
            above 0 a row.
        x, y: (G, D) float64.
    """

    logits: Tensor
    label: Tensor
    predicted: Tensor
    score: Tensor
    positive: Tensor
    similarity: Tensor
    gain: Tensor
    x: Tensor
    y: Tensor

    @property
    def probability(self) -> Tensor:
        """(N, C) float64."""
        return self.logits.softmax(1)

    @property
    def relevant(self) -> Tensor:
        """(Q, G) bool: the gain is above 0."""
        return self.gain > 0


def random_case(seed: int) -> _Case:
    """A small case: 1 to 60 examples of 2 to 6 classes, 1 to 5 queries in a gallery of 1 to 12.

    Two cases in three have few distinct scores, so nearly all are tied; one in five has a single
    class among its labels; one in eight has a single example.
    """
    checks.at_least(0, seed=seed)
    generator = torch.Generator().manual_seed(int(seed))

    def whole(low: int, high: int, *shape: int) -> Tensor:
        return torch.randint(low, high + 1, shape, generator=generator)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    n = 1 if seed % 8 == 7 else int(whole(2, 60))
    classes, queries, gallery = int(whole(2, 6)), int(whole(1, 5)), int(whole(1, 12))
    label = whole(0, classes - 1, n if seed % 5 else 1).expand(n).clone()
    predicted = torch.where(whole(0, 2, n) > 0, label, whole(0, classes - 1, n))
    positive = torch.rand(max(n, 2), generator=generator) < 0.4
    positive[:2] = torch.tensor([True, False])
    score, similarity = normal(len(positive)) + positive.double(), normal(queries, gallery)
    if seed % 3 > 0:
        score, similarity = score.round(), similarity.round()
    gain = whole(0, 3, queries, gallery) * whole(0, 1, queries, gallery)
    gain = gain.scatter(1, whole(0, gallery - 1, queries, 1), whole(1, 3, queries, 1))
    x, y = normal(2, gallery, queries + 1)
    logits = 2 * normal(n, classes)
    return _Case(logits, label, predicted, score, positive, similarity, gain, x, y)


def largest_differences(
    pairs: Mapping[str, tuple[Function, Function]], cases: Iterable[_Case]
) -> dict[str, float]:
    """The largest |ours - theirs| of each pair of functions over all cases.

    A function takes a case and returns a number, a sequence, an array or a tensor. Numbers that
    both sides call NaN agree; if only one does, the difference is infinite, and so it is where
    shapes differ.
    """
    checks.instance(Mapping, pairs=pairs)
    for name, pair in pairs.items():
        checks.listed(Callable, **{f"pairs[{name!r}]": pair})
    cases = checks.listed(_Case, cases=cases)
    checks.same_length(cases=cases)
    worst = dict.fromkeys(pairs, 0.0)
    for case in cases:
        for name, (ours, theirs) in pairs.items():
            worst[name] = max(worst[name], _difference(ours(case), theirs(case)))
    return worst


def _difference(one: Any, other: Any) -> float:
    """Largest absolute difference of two results; see `largest_differences`."""
    left, right = (torch.as_tensor(value, dtype=torch.float64) for value in (one, other))
    if left.shape != right.shape or not torch.equal(left.isnan(), right.isnan()):
        return torch.inf
    if left.numel() == 0:
        return 0.0
    return (left - right).abs().nan_to_num(0.0, posinf=torch.inf).max().item()
