"""The standards as measurements of anything that answers.

Knows what models answered to a suite, and what follows from it. Does not know how they were asked
(`answering`) nor how texts are graded (`grading`). Every statistic takes weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.data import Dataset
from mmtutor.evaluation.classification.calibration import (
    calibration_floor,
    expected_calibration_error,
)
from mmtutor.evaluation.classification.scores import averages, confusion
from mmtutor.evaluation.scorecard.answering import _asker, _opened
from mmtutor.evaluation.scorecard.floors import _above, _luck
from mmtutor.evaluation.scorecard.grading import Answers, Grade
from mmtutor.evaluation.scorecard.inside import _attacked, _efficiency, _interpretability
from mmtutor.evaluation.scorecard.measures import (
    Measure,
    Measures,
    Scorecard,
    measure,
)
from mmtutor.evaluation.scorecard.preferring import _preferred
from mmtutor.evaluation.scorecard.served import _fairness, diversity
from mmtutor.evaluation.scorecard.stability import _agreement, _stability
from mmtutor.evaluation.scorecard.suite import EvaluationSuite, _suite_of
from mmtutor.evaluation.statistics.bootstrap import Statistic, weighted_mean

BINS = 15  # of confidence
CLASSES = 64  # at most, for a macro F1
SHOWN = 12  # errors
BLIND = "no image"  # the corruption of which nothing need be kept, so that it has no floor
DEALT = 200  # times that answers are dealt anew


class _Said(NamedTuple):
    """What one model said to the examples as they are, and to each part of the suite by name.

    `attacked` (n,) bool: of the first `examined` rows, whether it is right under attack as well.
    """

    clean: Answers
    parts: Mapping[str, Answers | None]
    pairs: Answers | None
    attacked: Tensor | None


def scorecard(
    model: Any,
    data: EvaluationSuite | Dataset | str | Path,
    name: str = "model",
    score: Grade | None = None,
) -> Scorecard:
    """What a model is good at, standard by standard: an interval on every cell, and never a sum.

    Each cell that skill or a fault can be read from has a noise floor too, and `flagged` says on
    which side of it the model is. What the data or the model cannot tell is left out, and
    `left_out` says what it would take.

    Args:
        model: a function of a batch or an object with `answer(batch)`, which give a text for each
            question, or a pair (text, confidence); a pair of a `transformers` model and its
            processor, or a pipeline of both; a module with logits of the classes in `label`; or a
            file of stored answers, CSV or JSONL, with `answer` and perhaps `id`, `confidence` and
            a column for each part of the suite ("paraphrase", "no image", ...). For a table of
            preferences it is the name of one of the models there.
        data: a suite; or a data set, a CSV or JSONL file or a folder that holds one, with columns
            `question`, `answer` (or `answers`, several right ones) and `image`; and perhaps
            `options` to choose from, `paraphrase` (the question in other words), `subset` (where
            the model should be good alike), `group` (what must not matter), `pair` (two rows that
            ask the same of two images), `refuse` (1 where no answer should be given), `id` and
            `image_id`. Or preferences: `first`, `second`, `preferred` and `rater`.
        name: of the model, on the card.
        score: another measure of texts against lists of right answers, (N,) in [0, 1].

    A model that writes is asked everything about ten times; `EvaluationSuite` can leave parts out.

    Raises:
        TypeError, ValueError, KeyError: in one sentence, what is missing.
    """
    checks.instance(str, name=name)
    data = _opened(data=data)
    if isinstance(data, Dataset) and "preferred" in data.columns:
        return _preferred(model, data)
    asker, suite = _asker(model, score), _suite_of(data, score)
    said = _ask(asker, suite)
    cells, needed = _sorted(_measured(asker, suite, said))
    return Scorecard(name, cells, needed, _errors(said.clean, suite.data))


def _measured(asker: Any, suite: EvaluationSuite, said: _Said) -> dict[str, Measures]:
    """The standards, one by one."""
    return {
        "accuracy": _accuracy(said.clean, suite),
        "diversity": diversity(said.clean, suite),
        "consistency": _consistency(said, suite),
        "efficiency": _efficiency(asker, suite),
        "interpretability": _interpretability(asker, suite),
        "robustness": _robustness(said, suite),
        "fairness": _fairness(said.clean, said.parts, suite),
        "stability": _stability(said.clean, said.parts, suite),
    }


def _sorted(
    found: Mapping[str, Measures],
) -> tuple[dict[str, dict[str, Measure]], dict[str, str]]:
    """The cells of each standard that has some, and what the others would need."""
    cells, needed = {}, {}
    for standard, measures in found.items():
        there = {n: m for n, m in measures.items() if isinstance(m, Measure)}
        cells |= {standard: there} if there else {}
        needed |= {f"{standard}, {n}": m for n, m in measures.items() if isinstance(m, str)}
    return cells, needed


def _ask(asker: Any, suite: EvaluationSuite) -> _Said:
    """Every answer that is measured later."""
    asked, data = suite.parts(), suite.data
    if asker.writes:
        asked |= suite.put_otherwise()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        clean = asker("", data)
        parts = {name: asker(name, other) for name, other in asked.items()}
        pairs = None if suite.pairs is None else asker("", suite.pairs)
        torch.manual_seed(1)
        parts |= {"again": asker("again", data)} if asker.writes else {}
    return _Said(clean, parts, pairs, _attacked(asker, suite))


def _accuracy(clean: Answers, suite: EvaluationSuite) -> Measures:
    """How often it is right; F1 as a mean over classes; and whether its confidence is justified.

    The floor of a score is that of the answer that is right most often.
    """
    found: Measures = {
        "accuracy": suite.measure(
            weighted_mean(clean.score), floor=_above(clean.score, clean.constant, suite.groups)
        )
    }
    if clean.exact is not None:
        floor = _above(clean.exact, clean.constant, suite.groups)
        found["exact match"] = suite.measure(weighted_mean(clean.exact), floor=floor)
    return {
        **found,
        "macro F1": _macro_f1(clean, suite),
        "calibration error": _calibration(clean, suite),
    }


def _macro_f1(clean: Answers, suite: EvaluationSuite) -> Measure | str:
    number = {each: i for i, each in enumerate(dict.fromkeys(clean.right))}
    if len(number) >= CLASSES:
        return f"fewer than {CLASSES} different right answers"
    for each in clean.said:  # the rarest of many wrong answers share a class
        number.setdefault(each, min(len(number), CLASSES - 1))
    said, right = (torch.tensor([number[x] for x in xs]) for xs in (clean.said, clean.right))
    classes = max(number.values()) + 1

    def macro_f1(weights: Tensor) -> Tensor:
        return averages(confusion(said, right, classes, weights)).f1

    generator = torch.Generator().manual_seed(0)
    orders = torch.rand(DEALT, len(said), generator=generator).argsort(dim=1)
    place = right * classes + said[orders] + torch.arange(DEALT)[:, None] * classes**2
    dealt = place.flatten().bincount(minlength=DEALT * classes**2).view(-1, classes, classes)
    return suite.measure(macro_f1, floor=averages(dealt).f1.quantile(0.95).item())


def _calibration(clean: Answers, suite: EvaluationSuite) -> Measure | str:
    """The expected calibration error; its floor is what a calibrated model would get by luck."""
    if clean.sure is None:
        return "a confidence with each answer"
    sure, correct = clean.sure, clean.score > 0.5

    def calibration_error(weights: Tensor) -> Tensor:
        return expected_calibration_error(sure, correct, BINS, weights)

    if suite.groups is None:
        floor = calibration_floor(sure, BINS).high
    else:
        place = (sure * BINS).ceil().long().clamp(1, BINS) - 1
        surplus = (correct.double() - sure) / len(sure)
        effects = F.one_hot(place, BINS) * surplus[:, None]
        floor = _luck(effects, lambda sums: sums.abs().sum(dim=1), suite.groups)
    return suite.measure(calibration_error, "low", floor=floor)


def _consistency(said: _Said, suite: EvaluationSuite) -> Measures:
    """The same answer to the same question in other words, and both answers of a swap pair right.

    Agreement alone is cheap: a model that always says "yes" agrees with itself. Of a swap pair it
    gets one at most. The floor of pairs is what the two answers, exchanged at random, would get.
    """
    again, found = said.parts.get("paraphrase"), {}
    found["paraphrases agree"] = _needs("paraphrase", suite.paraphrased)
    if again is not None:
        found["paraphrases agree"] = _agreement(said.clean, [again], suite)
    if said.pairs is None:
        return {**found, "swap pairs right": "a column 'pair' that names two rows each"}
    right = (said.pairs.score > 0.5).view(-1, 2).all(dim=1).double()
    answers = zip(said.pairs.said[::2], said.pairs.said[1::2], strict=True)
    truths = zip(said.pairs.right[::2], said.pairs.right[1::2], strict=True)
    pairs = zip(answers, truths, strict=True)
    exchanged = torch.tensor([one == true[::-1] for one, true in pairs]).double()
    floor = ((right + exchanged) / 2).mean().item() + _luck((right - exchanged) / 2 / len(right))
    found["swap pairs right"] = measure(
        weighted_mean(right), len(right), floor=max(floor, 1 / len(right))
    )
    return found


def _robustness(said: _Said, suite: EvaluationSuite) -> Measures:
    """What is left of the right answers when images or words are corrupted, or images attacked.

    The share of what was right before, so that a weak model is not called fragile for being weak;
    one that does not look at images keeps all of it, which is no merit: see "fairness". The floor
    is what the answer that is right most often would have kept of them.
    """
    clean, found = said.clean, {}
    after = {name: said.parts.get(name) for name in suite.corrupted}
    rights = {name: a.score > 0.5 for name, a in after.items() if a is not None}
    if said.attacked is not None:
        rights["attacked images"] = said.attacked
    for name, right in rights.items():
        rows = slice(len(right))
        before = clean.score[rows] > 0.5
        groups = None if suite.groups is None else suite.groups[rows]
        share, constant = before.double().mean().item() or 1, before * clean.constant[rows]
        floor = _above((before & right).double(), constant, groups) / share
        floor = None if name == BLIND else floor
        found[name] = suite.measure(kept(before, right), rows=rows, floor=floor)
    lacking = {name: _needs(name, suite.data) for name, a in after.items() if a is None}
    if said.attacked is None:
        lacking["attacked images"] = "a module with logits, for the gradients, and images"
    return {**found, **lacking}


def _errors(clean: Answers, data: Dataset) -> list[dict[str, Any]]:
    """Some of the wrong answers, the surest first."""
    sure = torch.zeros(len(data)) if clean.sure is None else clean.sure
    wrong = (clean.score <= 0.5).nonzero().flatten()
    rows = wrong[sure[wrong].argsort(descending=True, stable=True)][:SHOWN].tolist()
    found = []
    for row in rows:
        example, right = data[row], clean.right[row]
        if "options" in example:
            right = example["options"][right]
        said = clean.said[row] if clean.texts is None else clean.texts[row]
        asked = str(example.get("question", f"row {row}"))
        one = {"row": row, "question": asked, "said": str(said), "right": str(right)}
        one["sure"] = None if clean.sure is None else sure[row].item()
        found.append(one | ({"image": example["image"]} if "image" in example else {}))
    return found


def kept(before: Tensor, after: Tensor) -> Statistic:
    """Of the right answers before, the share that are right after; both (N,) bool; NaN of none."""
    before, after = checks.as_mask(before=before), checks.as_mask(after=after)
    checks.shaped(before=(before, "N"), after=(after, "N"))
    both, before = (before & after).double(), before.double()
    return lambda weights: (weights @ both) / (weights @ before)


def _needs(part: str, asked: Dataset | None) -> str:
    """What it takes to measure by a part of the suite: the questions, or stored answers to them."""
    where = "data" if asked is None else "file of answers"
    return f"a column {part!r} in the {where}"
