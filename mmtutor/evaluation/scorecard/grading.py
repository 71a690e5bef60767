"""From what a model wrote to what it answered, and how right that is.

Knows texts, right answers and options. Does not know models, nor what is made of the scores.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data import Dataset
from mmtutor.evaluation.predict import Predictions
from mmtutor.evaluation.vqa.accuracy import normalize_answer, vqa_accuracy

Grade = Callable[[list[str], list[list[str]]], Tensor]  # texts, right ones -> (N,) in [0, 1]

ASKED_TEN = 10  # people: from so many answers on, the accuracy of VQA
REFUSED = "refused"  # the right answer where none should be given
LETTER = re.compile(r"\W*([A-Za-z])\W*$|\(?([A-Z])[).:]|.*\banswer(?: is|:)\W*([A-Z])\b", re.DOTALL)
REFUSAL = re.compile(
    r"\bsorry\b|\b(?:can(?:no|')?t|could not|unable to|not able to|won't|will not) "
    r"(?:\w+ )?(?:answer|help|assist|determine|tell|say|see|identify|provide|comply|do that)"
    r"|\bas an ai\b|\bi do(?: not|n't) know\b|抱歉|无法|不能回答|不知道",
    re.IGNORECASE,
)


class Answers(NamedTuple):
    """What a model answered to N questions, and how right it is.

    Attributes:
        said: what was answered, comparable: a class, an option's place or a normalised text.
        right: what should have been, likewise.
        score: (N,) float64 in [0, 1].
        constant: (N,) float64, the score of always giving the answer that is right most often.
        sure: (N,) float64 in [0, 1], the model's confidence, where it says one.
        texts: what was written, where the model writes; `exact` (N,) float64 is its score when
            nothing is read out of it.
    """

    said: list[Hashable]
    right: list[Hashable]
    score: Tensor
    constant: Tensor
    sure: Tensor | None = None
    texts: list[str] | None = None
    exact: Tensor | None = None


def _chosen(found: Predictions) -> Answers:
    """The answers of a model that gives logits."""
    checks.instance(Predictions, found=found)
    said, right = found.predicted.tolist(), found.label.tolist()
    sure = found.logits.double().softmax(dim=1).amax(dim=1)
    constant = _same([_commonest(right)] * len(right), right)
    return Answers(said, right, _same(said, right), constant, sure)


def _graded(texts: Sequence[str], data: Dataset, score: Grade | None = None) -> Answers:
    """The answers that are written in `texts`.

    With `options`: the one whose letter or text is given, and no other. Else a text counts as the
    one answer of the data that it names ("It is red." as "red", if "red" is the right answer of
    some question and no other answer is named); a text that names none or several stays as it is.
    One right answer must be met; of a few, any; of ten or more, `vqa_accuracy` is the score.
    "not red" names red, too: read the gallery of errors.

    Args:
        data: as long as `texts`, with `answers` (lists of strings) or `answer`, and `options`
            where there are some.
        score: another measure of texts against lists of right answers, (N,) in [0, 1].
    """
    texts = checks.listed(str, texts=texts)
    checks.same_length(texts=texts, data=data)
    references = _right_answers(data)
    refusing = _to_be_refused(data)
    texts = [REFUSED if no and _refused(t) else t for t, no in zip(texts, refusing, strict=True)]
    if "options" in data.columns and score is None:
        return _options(texts, references, data.column("options"))
    right = [_plain(_commonest(some)) for some in references]
    bare = [_plain(text) for text in texts]
    if score is None:
        known = {_plain(one) for some in references for one in some}
        said, score = [_named(text, known) for text in bare], _usual
    else:
        said = bare
    read = texts if score is not _usual else said
    common = _commonest([_commonest(some) for some in references])
    grades = (score(list(given), references) for given in (read, [common] * len(texts), texts))
    scores, constant, exact = (_shares(grade, len(texts)) for grade in grades)
    return Answers(said, right, scores, constant, texts=texts, exact=exact)


def _refused(text: str) -> bool:
    """Whether a text declines to answer, by words that such texts have."""
    checks.instance(str, text=text)
    return text == REFUSED or REFUSAL.search(text) is not None


def _to_be_refused(data: Dataset) -> list[bool]:
    """Of each question, whether its column `refuse` asks for a refusal."""
    checks.instance(Dataset, data=data)
    marks = data.columns.get("refuse", [""] * len(data))
    return [str(mark).lower() in ("1", "true", "yes") for mark in marks]


def _right_answers(data: Dataset) -> list[list[str]]:
    """The right answers of each question; refuses in one sentence where there are none."""
    checks.instance(Dataset, data=data)
    if "answers" in data.columns:
        found = [checks.listed(str, answers=some) for some in data.column("answers")]
    elif "answer" in data.columns:
        found = [[str(one)] if str(one) else [] for one in data.column("answer")]
    else:
        there = ", ".join(data.columns)
        raise ValueError(f"data must have a column 'answer', or 'answers' with lists, got {there}")
    if "refuse" in data.columns:
        pairs = zip(found, _to_be_refused(data), strict=True)
        found = [[REFUSED] if no else some for some, no in pairs]
    if [] in found:
        raise ValueError(
            f"data must have an answer in every row, got none in row {found.index([])}"
        )
    return found


def _options(texts: list[str], references: list[list[str]], options: list[list[str]]) -> Answers:
    """`said` and `right` are places among the options; -1 where none was chosen."""
    pairs = list(zip(references, options, strict=True))
    right = [_choice(some[0], each) for some, each in pairs]
    if -1 in right:
        row = right.index(-1)
        raise ValueError(
            f"answer must be one of the options or its letter, got {references[row][0]!r} in row "
            f"{row}, whose options are {options[row]}"
        )
    said = [_choice(text, each) for text, each in zip(texts, options, strict=True)]
    exact = [
        len(text.strip(" ().")) == 1 or text.strip() in each
        for text, each in zip(texts, options, strict=True)
    ]
    score, constant = _same(said, right), _same([_commonest(right)] * len(right), right)
    return Answers(said, right, score, constant, None, texts, score * torch.tensor(exact).double())


def _choice(text: str, options: list[str]) -> int:
    """The place of the option that a text chooses, by its letter or its words.

    -1 is none, and -2 a refusal where one was due.
    """
    if text == REFUSED:
        return -2
    letter = LETTER.match(text.strip())
    place = ord(next(filter(None, letter.groups())).upper()) - ord("A") if letter else -1
    if 0 <= place < len(options):
        return place
    known = [_plain(option) for option in options]
    named = _named(_plain(text), set(known))
    return known.index(named) if named in known else -1


def _named(text: str, known: set[str]) -> str:
    """The one known answer in a normalised text, the longest at each place; else the text."""
    if text in known:
        return text
    words, found, start = text.split(), set(), 0
    longest = max((answer.count(" ") + 1 for answer in known), default=0)
    while start < len(words):
        ends = range(min(len(words), start + longest), start, -1)
        spans = (end for end in ends if " ".join(words[start:end]) in known)
        end = next(spans, start)
        found |= {" ".join(words[start:end])} - {""}
        start = max(end, start + 1)
    return found.pop() if len(found) == 1 else text


def _usual(texts: list[str], references: list[list[str]]) -> Tensor:
    """VQA accuracy where ten people answered; else whether it is one of the right answers."""
    if all(len(some) >= ASKED_TEN or some == [REFUSED] for some in references):
        people = [some * ASKED_TEN if some == [REFUSED] else some for some in references]
        return vqa_accuracy(texts, people, quirks=False).per_question
    bare = [_plain(text) for text in texts]
    right = [{_plain(one) for one in some} for some in references]
    return torch.tensor([b in some for b, some in zip(bare, right, strict=True)]).double()


@lru_cache(100_000)  # many say the same
def _plain(text: str) -> str:
    return normalize_answer(text, quirks=False)


def _shares(scores: Tensor, n: int) -> Tensor:
    """The grades of a reader's measure, checked."""
    scores = getattr(scores, "per_example", scores)  # `generation.Scores`, too
    checks.shaped(**{"what score gives": (scores, str(n))})
    checks.within("[0, 1]", **{"what score gives": scores})
    return scores.double()


def _same(said: Sequence[Hashable], right: Sequence[Hashable]) -> Tensor:
    return torch.tensor([a == b for a, b in zip(said, right, strict=True)]).double()


def _commonest(values: Sequence[Hashable]) -> Hashable:
    return Counter(values).most_common(1)[0][0]
