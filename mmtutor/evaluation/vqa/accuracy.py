"""Scoring answers to questions about images: VQA accuracy, and accuracy on swap pairs.

Knows answers (strings or class indices), scores of questions and which questions belong together;
the normalisation of the VQA challenge's reference evaluation, its oddities, and the rules as the
challenge describes them. Does not know images, models or how answers were made.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.classification.scores import as_weights
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval

PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'  # not the apostrophe and not the colon (2:50)
ARTICLES = {"a", "an", "the"}
NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
DIGITS = {word: str(digit) for digit, word in enumerate(NUMBERS)}
# Each stands for its spellings with one apostrophe left out: "dont", "couldnt've", "couldn'tve".
CONTRACTIONS = """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't
haven't he'd he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've
might've mustn't must've needn't not've o'clock oughtn't 'ow's'at shan't she'd've should've
shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd someone'd've someone'll
someone's something'd something'd've something'll that's there'd there'd've there're there's they'd
they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've
when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't
would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
# Entries of the reference's table that cannot work: capitals, or a word that stands for itself.
UNREACHED = "i'm i've i'd've let's she's somebody'd"

BETWEEN_DIGITS = re.compile(r"(?<=\d),(?=\d)")
PERIOD = re.compile(r"\.(?!\d)")
PERIODS = 32  # how many the reference removes: it hands `re.UNICODE`, 32, to `sub` as the count


def _misspelt(text: str) -> dict[str, str]:
    places = [(w, i) for w in text.split() for i, letter in enumerate(w) if letter == "'"]
    return {word[:i] + word[i + 1 :]: word for word, i in places}


REFERENCE_WORDS = {
    **DIGITS,
    "none": "0",
    **_misspelt(CONTRACTIONS),
    "somebody'd": "somebodyd",  # the wrong way round
}
MEANT_WORDS = {**DIGITS, **_misspelt(f"{CONTRACTIONS} {UNREACHED}")}


class _VQAAccuracy(NamedTuple):
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
) -> _VQAAccuracy:
    """The accuracy of the VQA challenge: min(1, matches / 3), averaged over leaving one person out.

    Of ten people 0, 1, 2, 3, 4 who gave the predicted answer make 0, 0.3, 0.6, 0.9, 1. A question
    with a single annotator always scores 0, for nobody is left.

    As in the reference, answers are normalised (`normalize_answer`), the people's and the
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
        TypeError: the predictions, or a question's answers, are one string.

    Source: Antol et al. 2015, and `vqaEval.py` of the VQA v2 release.
    """
    predictions = checks.listed(str, predictions=predictions)
    annotator_answers = checks.listed(Iterable, annotator_answers=annotator_answers)
    checks.same_length(predictions=predictions, annotator_answers=annotator_answers)
    loose = lru_cache(100_000)(partial(normalize_answer, quirks=quirks))  # many say the same
    counts = []
    for row, (said, people) in enumerate(zip(predictions, annotator_answers, strict=True)):
        if type(people) is not list or set(map(type, people)) != {str}:  # a quick look first
            people = checks.listed(str, **{f"annotator_answers[{row}]": people})
            checks.same_length(**{f"annotator_answers[{row}]": people})
        same = loose if not quirks or len(set(map(_trimmed, people))) > 1 else _trimmed
        counts.append((list(map(same, people)).count(same(said)), len(people)))
    matches, annotators = torch.tensor(counts).T
    # Who matches sees one match fewer among the others. Whole numbers until the one division.
    thirds = matches * (matches - 1).clamp(max=3) + (annotators - matches) * matches.clamp(max=3)
    scores = thirds.double() / (3 * annotators)
    checks.shaped(weights=(weights, f"{len(scores)} | None"))
    weights = as_weights(weights, len(scores))
    return _VQAAccuracy(scores, ((scores * weights).sum() / weights.sum()).item())


def _trimmed(answer: str) -> str:
    """An answer without outer whitespace; a line break or tab within becomes a space."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


def normalize_answer(answer: str, quirks: bool = True) -> str:
    """An answer in lower case, without punctuation and articles, with digits and apostrophes.

    With `quirks` every letter comes out as from the reference; without, as its description means:

    - a mark beside a space anywhere in the answer vanishes everywhere ("a-b - c": "ab c"), and in
      an answer with a number such as 1,000 every mark does ("1,000 m/s": "1000 ms"). Meant: a mark
      becomes a space, and only a comma between digits vanishes;
    - only the first 32 periods go (`PERIODS`);
    - "none" becomes "0", which is no number word;
    - six contractions are not mended (`UNREACHED`), and "somebody'd" loses its apostrophe;
    - an answer of articles alone, such as the letter "A", becomes empty. Meant: it stays.

    >>> normalize_answer("The dogs' two bowls, I dont know.")
    "dogs' 2 bowls i don't know"
    """
    checks.instance(str, answer=answer)
    known = REFERENCE_WORDS if quirks else MEANT_WORDS
    words = _unmarked(_trimmed(answer), quirks).lower().split()
    kept = [known.get(word, word) for word in words if word not in ARTICLES]
    return " ".join(kept if kept or quirks else words)


def _unmarked(answer: str, quirks: bool) -> str:
    """The answer without punctuation and without periods but decimal ones."""
    if not quirks:
        answer = BETWEEN_DIGITS.sub("", answer)
        return PERIOD.sub("", answer.translate(dict.fromkeys(map(ord, PUNCTUATION), " ")))
    number = BETWEEN_DIGITS.search(answer)
    marks = [p for p in PUNCTUATION if p in answer]
    vanishing = {p for p in marks if number or f"{p} " in answer or f" {p}" in answer}
    without = answer.translate({ord(p): "" if p in vanishing else " " for p in marks})
    return PERIOD.sub("", without, count=PERIODS)


class _PairAccuracy(NamedTuple):
    """How a model does on pairs: the same question about two images, with different answers.

    Attributes:
        single: share of questions answered rightly.
        both: share of pairs of which both are. A model that does not look gets none.
        changed: share of pairs with two different answers, right or wrong.
    """

    single: Interval
    both: Interval
    changed: Interval


def pair_accuracy(correct: Tensor, said: Tensor | Sequence[str]) -> _PairAccuracy:
    """Accuracy on swap pairs, in the manner of VQA v2 (Goyal et al. 2017); rows 2k, 2k+1 are one.

    Args:
        correct: (2P,) bool, or 0 and 1.
        said: 2P answers, strings or class indices (2P,) int64.

    Raises:
        ValueError: the lengths differ, or the number of rows is odd or 0.
    """
    correct = checks.as_mask(correct=correct)
    checks.shaped(correct=(correct, "N"))
    if isinstance(said, Tensor):
        checks.shaped(said=(said, "N"))
        checks.indices(None, said=said)
    said = said.tolist() if isinstance(said, Tensor) else checks.listed(str, said=said)
    if checks.same_length(correct=correct, said=said) % 2:
        raise ValueError(f"correct must hold pairs, got an odd number of rows: {len(correct)}")
    pairs = correct.view(-1, 2)
    changed = [a != b for a, b in zip(said[::2], said[1::2], strict=True)]
    return _PairAccuracy(
        bootstrap_interval(pairs.double().mean(dim=1)),
        bootstrap_interval(pairs.all(dim=1).double()),
        bootstrap_interval(torch.tensor(changed).double()),
    )
