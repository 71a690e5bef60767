"""Scoring answers to questions about pictures: VQA accuracy, and accuracy on swap pairs.

Knows answers (strings or class indices), scores of questions and which questions belong together.
Does not know pictures, models or how answers were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor.evaluation.statistics.intervals import Interval, bootstrap_interval
from mmtutor.evaluation.vqa.answers import normalized, trimmed


class VQAAccuracy(NamedTuple):
    """What `vqa_accuracy` found.

    Attributes:
        per_question: (N,) float64 in [0, 1].
        mean: their mean.
    """

    per_question: Tensor
    mean: float

    def percent(self, digits: int = 2) -> float:
        """The mean as the reference prints it: in percent, rounded."""
        return round(100 * self.mean, digits)

    def interval(self, groups: Tensor | None = None) -> Interval:
        """The mean with its 95 % bootstrap interval; `groups` (N,) as in `bootstrap_interval`."""
        return bootstrap_interval(self.per_question, groups=groups)


def vqa_accuracy(
    predictions: Sequence[str],
    annotator_answers: Sequence[Sequence[str]],
    quirks: bool = True,
    weights: Tensor | None = None,
) -> VQAAccuracy:
    """The accuracy of the VQA challenge: min(1, matches / 3), averaged over leaving one person out.

    Of ten people 0, 1, 2, 3, 4 who gave the predicted answer make 0, 0.3, 0.6, 0.9, 1. A question
    with a single annotator always scores 0, for nobody is left.

    As in the reference, answers are normalised (`answers.normalized`), the people's and the
    prediction alike, **only where the people do not all agree**: where ten said "yes", "Yes" is
    wrong. (Its first versions normalised every prediction, and of the people's answers only the
    punctuation; that is not offered here.) With `quirks=False` normalisation is as described, not
    as coded, and is applied to every question.

    Args:
        predictions: N answers.
        annotator_answers: for each question the answers of its annotators, usually ten.
        weights: (N,) at least 0, how much each question counts in the mean; None for all alike.

    Raises:
        ValueError: no question, a question without annotators, or lengths that differ.
        TypeError: a question's answers are one string.

    Source: Antol et al. 2015, and `vqaEval.py` of the VQA v2 release.
    """
    if not predictions or len(predictions) != len(annotator_answers):
        counts = f"{len(predictions)} predictions and answers for {len(annotator_answers)}"
        raise ValueError(f"expected as many predictions as questions, at least one, got {counts}")
    loose = lru_cache(100_000)(
        lambda answer: normalized(answer, quirks)
    )  # people repeat themselves
    counts = []
    for row, (said, people) in enumerate(zip(predictions, annotator_answers, strict=True)):
        if isinstance(people, str):
            raise TypeError(f"question {row} has one string {people!r}: expected a list of answers")
        if not people:
            raise ValueError(f"question {row} has no annotator")
        same = loose if not quirks or len(set(map(trimmed, people))) > 1 else trimmed
        counts.append((list(map(same, people)).count(same(said)), len(people)))
    matches, annotators = torch.tensor(counts).T
    # Who matches sees one match fewer among the others. Whole numbers until the one division.
    thirds = matches * (matches - 1).clamp(max=3) + (annotators - matches) * matches.clamp(max=3)
    scores = thirds.double() / (3 * annotators)
    weights = torch.ones_like(scores) if weights is None else weights.double()
    return VQAAccuracy(scores, ((scores * weights).sum() / weights.sum()).item())


def by_group(
    score: Tensor, names: Sequence[str], groups: Tensor | None = None
) -> dict[str, Interval]:
    """Mean score with its 95 % bootstrap interval for each name: a question type, an answer, ...

    Args:
        score: (N,) bool or floating point.
        names: the group of each question; the result is in sorted order of the names.
        groups: (N,) int64, questions that rise and fall together, such as those of one picture.

    Raises:
        ValueError: the lengths differ or there is no question.
    """
    _same_length(score, names)
    found = {}
    for name in sorted(set(names)):
        part = torch.tensor([other == name for other in names])
        tied = None if groups is None else groups[part]
        found[name] = bootstrap_interval(score[part].double(), groups=tied)
    return found


class PairAccuracy(NamedTuple):
    """How a model does on pairs: the same question about two pictures, with different answers.

    Attributes:
        single: share of questions answered rightly.
        both: share of pairs of which both are. A model that does not look gets none.
        changed: share of pairs with two different answers, right or wrong.
    """

    single: Interval
    both: Interval
    changed: Interval


def pair_accuracy(correct: Tensor, said: Tensor | Sequence[str]) -> PairAccuracy:
    """Accuracy on swap pairs, in the manner of VQA v2 (Goyal et al. 2017); rows 2k, 2k+1 are one.

    Args:
        correct: (2P,) bool.
        said: 2P answers, strings or class indices (2P,) int64.

    Raises:
        ValueError: the lengths differ, or the number of rows is odd or 0.
    """
    _same_length(correct, said)
    if len(correct) % 2:
        raise ValueError(f"expected pairs, got an odd number of rows: {len(correct)}")
    pairs = correct.bool().view(-1, 2)
    changed = [bool(a != b) for a, b in zip(said[::2], said[1::2], strict=True)]
    return PairAccuracy(
        bootstrap_interval(pairs.double().mean(dim=1)),
        bootstrap_interval(pairs.all(dim=1).double()),
        bootstrap_interval(torch.tensor(changed).double()),
    )


def _same_length(one: Tensor, other: Tensor | Sequence[str]) -> None:
    if len(one) != len(other) or not len(one):
        raise ValueError(f"expected two of one length, at least 1, got {len(one)} and {len(other)}")
