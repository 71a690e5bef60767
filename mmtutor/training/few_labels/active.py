"""Which example should be labelled next? Scores of doubt, and a choice that covers the data.

Knows probabilities, vectors and row numbers; does not know models, or who answers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmtutor import checks

KINDS = ("least confident", "margin", "entropy")


def uncertainty(probability: Tensor, kind: str = "entropy") -> Tensor:
    """How much a model doubts each example: (N, C) probabilities -> (N,), the largest first asked.

    Args:
        probability: (N, C) floating point, C >= 2, rows that sum to 1.
        kind: "least confident", one less the largest probability; "margin", one less the lead of
            the largest over the second; "entropy", in nats (Settles 2009, section 3.1).
    """
    checks.one_of(KINDS, kind=kind)
    checks.shaped(probability=(probability, "N C"))
    checks.floating(probability=probability)
    checks.within("[0, 1]", probability=probability)
    if probability.shape[1] < 2:
        raise ValueError("probability must be of at least 2 classes, got 1")
    if kind == "entropy":
        return torch.special.entr(probability).sum(dim=1)
    first, second = probability.topk(2, dim=1).values.unbind(dim=1)
    return 1 - first if kind == "least confident" else 1 - (first - second)


def k_centre(points: Tensor, count: int, centres: Tensor) -> Tensor:
    """Row numbers (count,) int64: each time the point that is farthest from all centres so far.

    The largest distance of a point to its nearest centre is then at most twice the least that so
    many new centres allow (Gonzalez 1985; for active learning Sener and Savarese 2018, alg. 1).

    Args:
        points: (N, D) finite floating point.
        count: how many to choose, at most N less the centres.
        centres: (M,) int64, rows that are centres already; M >= 1.
    """
    rows = checks.shaped(points=(points, "N D"), centres=(centres, "M"))["N"]
    checks.floating(points=points)
    checks.finite(points=points)
    checks.indices(rows, centres=centres)
    checks.at_least(1, count=count)
    free = rows - len(centres.unique())
    if count > free:
        raise ValueError(
            f"count must be at most {free}, the points that are no centre, got {count}"
        )
    distance = torch.cdist(points, points[centres]).amin(dim=1)  # [N]
    distance[centres] = -1
    chosen = []
    for _ in range(count):
        chosen.append(farthest := int(distance.argmax()))
        new = torch.linalg.vector_norm(points - points[farthest], dim=1)
        distance = torch.minimum(distance, new)
        distance[farthest] = -1
    return torch.tensor(chosen)
