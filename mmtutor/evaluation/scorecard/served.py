"""Who is served how well: domains, groups, and modalities.

Knows scores of answers and what the examples belong to. Does not know models.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.data import Dataset
from mmtutor.evaluation.scorecard.floors import _luck, _range
from mmtutor.evaluation.scorecard.grading import Answers
from mmtutor.evaluation.scorecard.measures import Measures
from mmtutor.evaluation.scorecard.suite import EvaluationSuite


def diversity(clean: Answers, suite: EvaluationSuite) -> Measures:
    """The worst of the domains, and in how many of them it beats the most frequent answer there."""
    checks.instance(Answers, clean=clean)
    checks.instance(EvaluationSuite, suite=suite)
    checks.same_length(score=clean.score, suite=suite.data)
    if not suite.domains:
        return {"worst domain": "a column 'subset' with two values or more"}
    score, masks = clean.score, _groups(suite.data, suite.domains)  # [N], [N, G]
    most_frequent = _majority(clean.right, masks)

    def worst(weights: Tensor) -> Tensor:
        return _by_group(weights, score, masks).amin(dim=1)

    def covered(weights: Tensor) -> Tensor:
        return (_by_group(weights, score, masks) > most_frequent).double().mean(dim=1)

    effects, mean = _deviations(score, masks), score.mean().item()
    lowest = mean - _luck(effects, lambda sums: -sums.amin(dim=1), suite.groups)
    return {
        "worst domain": suite.measure(worst, floor=lowest),
        "domains covered": suite.measure(covered, floor=1 / masks.shape[1]),
    }


def _fairness(
    clean: Answers, parts: Mapping[str, Answers | None], suite: EvaluationSuite
) -> Measures:
    """The gap between groups that should not matter, and what the least used modality is worth.

    A gap is above zero by luck alone; its floor says how far. What a modality is worth is how much
    worse the model gets when it is dealt anew; its floor is what that would be by luck.
    """
    score, found = clean.score, {}
    for column in suite.sensitive or ("group",):
        found[f"gap: {column}"] = "a column 'group' with two values or more"
    for column in suite.sensitive:
        masks = _groups(suite.data, (column,))

        def gap(weights: Tensor, masks: Tensor = masks) -> Tensor:
            return _range(_by_group(weights, score, masks))

        floor = _luck(_deviations(score, masks), _range, suite.groups)
        found[f"gap: {column}"] = suite.measure(gap, "low", floor=floor)
    after = [parts.get(f"permuted {name}") for name in suite.modalities]
    if not after or None in after:
        least = "an image and a question, each with others to be dealt, and an answer to each"
        return {**found, "least used modality": least}
    drops = torch.stack([score - other.score for other in after], dim=1)  # [N, M]

    def worth(weights: Tensor) -> Tensor:
        return (weights @ drops / weights.sum(dim=1, keepdim=True)).amin(dim=1)

    floor = _luck(drops[:, drops.mean(dim=0).argmin()] / len(drops), groups=suite.groups)
    floor = max(floor, 1 / len(drops))
    return {**found, "least used modality": suite.measure(worth, floor=floor)}


def _groups(data: Dataset, columns: Sequence[str]) -> Tensor:
    """(N, G) float64: 1 where an example belongs to the group; every value of a column is one."""
    masks = []
    for column in columns:
        _, group = np.unique(data.column(column), return_inverse=True)
        masks.append(F.one_hot(torch.from_numpy(group)))
    return torch.cat(masks, dim=1).double()


def _by_group(weights: Tensor, score: Tensor, masks: Tensor) -> Tensor:
    """Weighted score of each group: (R, N), (N,), (N, G) -> (R, G)."""
    return (weights @ (masks * score.unsqueeze(1))) / (weights @ masks)


def _deviations(score: Tensor, masks: Tensor) -> Tensor:
    """(N, G): what each example adds to how far its group's mean is from the mean of all."""
    return (masks / masks.sum(dim=0) - 1 / len(masks)) * (score - score.mean()).unsqueeze(1)


def _majority(right: Sequence, masks: Tensor) -> Tensor:
    """(G,): the share of the most frequent answer in each group."""
    counts = [Counter(compress(right, mask)) for mask in masks.bool().T.tolist()]
    return torch.tensor([max(c.values()) / c.total() for c in counts]).double()
