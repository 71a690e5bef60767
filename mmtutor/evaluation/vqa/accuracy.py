"""Scoring answers to questions about pictures: VQA accuracy, by group, in swap pairs, consistency.

Knows answers (strings or class indices), scores of questions and which questions belong together.
Does not know pictures, models or how answers were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor.evaluation.statistics.intervals import Interval, bootstrap_interval
from mmtutor.evaluation.vqa.answers import normalised, trimmed

Answers = Tensor | Sequence[str]


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
    predictions: Sequence[str], annotator_answers: Sequence[Sequence[str]], quirks: bool = True
) -> VQAAccuracy:
    """The accuracy of the VQA challenge: min(1, matches / 3), averaged over leaving one person out.

    Of ten people 0, 1, 2, 3, 4 who gave the predicted answer make 0, 0.3, 0.6, 0.9, 1. A question
    with a single annotator always scores 0, for nobody is left.

    As in the reference, answers are normalised (`vqa_answers.normalised`), the people's and the
    prediction alike, **only where the people do not all agree**: where ten said "yes", "Yes" is
    wrong. (Its first versions normalised every prediction, and of the people's answers only the
    punctuation; that is not offered here.) With `quirks=False` normalisation is as described, not
    as coded, and is applied to every question.

    Args:
        predictions: N answers.
        annotator_answers: for each question the answers of its annotators, usually ten.

    Raises:
        ValueError: no question, a question without annotators, or lengths that differ.
        TypeError: a question's answers are one string.

    Source: Antol et al. 2015, and `vqaEval.py` of the VQA v2 release.
    """
    if not predictions or len(predictions) != len(annotator_answers):
        counts = f"{len(predictions)} predictions and answers for {len(annotator_answers)}"
        raise ValueError(f"expected as many predictions as questions, at least one, got {counts}")
    for row, people in enumerate(annotator_answers):
        if isinstance(people, str):
            raise TypeError(f"question {row} has one string {people!r}: expected a list of answers")
    known: dict[tuple[str, bool], int] = {}  # a spelling, and whether to normalise it -> its number
    spellings: dict[str, int] = {}

    def number(answer: str, loose: bool) -> int:
        if (answer, loose) not in known:
            text = normalised(answer, quirks) if loose else trimmed(answer)
            known[answer, loose] = spellings.setdefault(text, len(spellings))
        return known[answer, loose]

    loose = [not quirks or len(set(map(trimmed, people))) > 1 for people in annotator_answers]
    people = _table([[number(a, loose[i]) for a in row] for i, row in enumerate(annotator_answers)])
    said = torch.tensor([number(p, loose[i]) for i, p in enumerate(predictions)])
    matches = (people == said.unsqueeze(1)).sum(dim=1)
    scores = leave_one_out(matches, (people >= 0).sum(dim=1))
    return VQAAccuracy(scores, scores.mean().item())


def leave_one_out(matches: Tensor, annotators: Tensor) -> Tensor:
    """`matches` (N,) of `annotators` (N,) int64 -> (N,) float64: min(1, others / 3) on average.

    Those who match see one match fewer among the others. Whole numbers until the one division.
    """
    thirds = matches * (matches - 1).clamp(max=3) + (annotators - matches) * matches.clamp(max=3)
    return thirds.double() / (3 * annotators)


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
    number, found = _numbered(names)
    parts = {name: number == i for i, name in enumerate(found)}
    return {
        name: bootstrap_interval(
            score[part].double(), groups=None if groups is None else groups[part]
        )
        for name, part in parts.items()
    }


class Confusion(NamedTuple):
    """`counts` (C, C) int64: how often answer `names[i]` (row) was taken for `names[j]`."""

    names: list[str]
    counts: Tensor

    def worst(self, k: int = 5) -> list[tuple[str, str, int]]:
        """At most k errors (true answer, said answer, how often), the most frequent first."""
        wrong = self.counts - self.counts.diagonal().diag()
        count, place = wrong.flatten().sort(descending=True, stable=True)
        size = len(self.names)
        cells = zip(place[:k].tolist(), count[:k].tolist(), strict=True)
        return [(self.names[p // size], self.names[p % size], n) for p, n in cells if n]


def confusion(truth: Sequence[str], said: Sequence[str]) -> Confusion:
    """Which answers (N strings) are taken for which; answers in sorted order."""
    _same_length(truth, said)
    number, names = _numbered([*truth, *said])
    cells = number[: len(truth)] * len(names) + number[len(truth) :]
    counts = cells.bincount(minlength=len(names) ** 2)
    return Confusion(names, counts.view(len(names), len(names)))


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


def pair_accuracy(correct: Tensor, said: Answers) -> PairAccuracy:
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
    pairs, answers = correct.bool().view(-1, 2), _coded(said).view(-1, 2)
    return PairAccuracy(
        bootstrap_interval(pairs.double().mean(dim=1)),
        bootstrap_interval(pairs.all(dim=1).double()),
        bootstrap_interval((answers[:, 0] != answers[:, 1]).double()),
    )


def consistency(said: Answers, groups: Tensor) -> Interval:
    """How alike the answers are to questions that ask the same: the mean over groups of the share
    of pairs of members that got the same answer, with its bootstrap interval over groups.

    It says nothing of truth: a model that always says "yes" is perfectly consistent.

    Args:
        said: N answers, strings or class indices (N,) int64.
        groups: (N,) int64; questions of one group (the phrasings of a question about a picture)
            should get one answer. A group of one is left out.

    Raises:
        ValueError: the lengths differ, or no group has two members.
    """
    _same_length(said, groups)
    answers, group = _coded(said), groups.unique(return_inverse=True)[1]
    size = group.bincount()
    if size.max() < 2:
        raise ValueError("no group has two members, so there is nothing to be consistent with")
    cells, count = torch.stack([group, answers]).unique(dim=1, return_counts=True)
    alike = torch.zeros_like(size).index_add_(0, cells[0], count * (count - 1))
    several = size > 1
    return bootstrap_interval(alike[several].double() / (size * (size - 1))[several])


def consensus(correct: Tensor, groups: Tensor, k: int) -> Interval:
    """Consensus score CS(k): mean over groups of the chance that k of its members are all right.

    The k members are drawn without replacement; groups of fewer than k are left out. CS(1) is the
    accuracy of a group, and the score falls with k as far as right answers were luck.

    Args:
        correct: (N,) bool.
        groups: (N,) int64, as in `consistency`.

    Raises:
        ValueError: the lengths differ, k < 1, or no group has k members.

    Source: Shah et al. 2019, Cycle-Consistency for Robust Visual Question Answering.
    """
    _same_length(correct, groups)
    group = groups.unique(return_inverse=True)[1]
    size = group.bincount()
    if k < 1 or size.max() < k:
        raise ValueError(
            f"k is {k}: expected 1 to {int(size.max())}, the size of the largest group"
        )
    right = torch.zeros_like(size).index_add_(0, group, correct.long())
    drawn = torch.arange(k)
    chance = (right[:, None] - drawn).clamp(min=0) / (size[:, None] - drawn).clamp(min=1)  # [G, k]
    return bootstrap_interval(chance.double().prod(dim=1)[size >= k])


def _table(rows: list[list[int]]) -> Tensor:
    """Rows of different lengths as (N, longest) int64, with -1 where there is nothing."""
    empty = [i for i, row in enumerate(rows) if not row]
    if empty:
        raise ValueError(f"question {empty[0]} has no annotator")
    longest = max(map(len, rows))
    return torch.tensor([row + [-1] * (longest - len(row)) for row in rows])


def _numbered(names: Sequence[str]) -> tuple[Tensor, list[str]]:
    """(N,) int64 places in the sorted distinct names, and those."""
    found = sorted(set(names))
    place = {name: i for i, name in enumerate(found)}
    return torch.tensor([place[name] for name in names]), found


def _coded(said: Answers) -> Tensor:
    return said if isinstance(said, Tensor) else _numbered(said)[0]


def _same_length(one: Sequence | Tensor, other: Sequence | Tensor) -> None:
    if len(one) != len(other) or not len(one):
        raise ValueError(f"expected two of one length, at least 1, got {len(one)} and {len(other)}")
