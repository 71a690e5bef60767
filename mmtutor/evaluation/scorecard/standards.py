"""Seven standards as measurements that run on any classifier of several modalities.

Knows models whose output has `logits` (B, C), and the exam: one set of test examples, and what was
made of it. Does not know data sets; a recipe makes the exam.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset, collate, loader
from mmtutor.data.batch import Batch
from mmtutor.evaluation.efficiency import cost
from mmtutor.evaluation.explanations.quality import pointing_game, sanity_check
from mmtutor.evaluation.inference import on_device_of
from mmtutor.evaluation.modality_use import example_scores
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.evaluation.robustness.attacks import margin, pgd
from mmtutor.evaluation.scorecard.measures import (
    Better,
    Measure,
    Scorecard,
    Statistic,
    exact,
    measure,
)
from mmtutor.explain import gradient
from mmtutor.models.modes import evaluating

Measures = dict[str, Measure]
BINS = 15  # as in `calibration`
BATCH = 128


@dataclass(frozen=True)
class Exam:
    """What every model is asked. All data sets have the modalities and `label`.

    Attributes:
        data: N test examples.
        modalities: the keys of a batch that a model is supposed to use.
        domains: columns of `data` (lists of strings) whose values a model should be good at alike.
        sensitive: columns of `data` (lists of strings) whose values must not matter.
        paraphrased: row i asks what row i of `data` asks, in other words.
        pairs: rows 2k and 2k + 1 ask the same of two pictures and have different answers.
        spoiled: corrupted copies of `data`, by name.
        pictures: the column (N,) int64 that says which picture a row is about; rows of one picture
            rise and fall together, so intervals draw them together. None: a picture for each row.
        target: the column (N, H, W) bool of `data` that shows where the answer is to be seen.
        radius: of the attack on the pictures, in units of their [0, 1].
        examined: how many rows the costly measurements (attack, explanations) look at.
    """

    data: Dataset
    modalities: tuple[str, ...]
    domains: tuple[str, ...]
    sensitive: tuple[str, ...]
    paraphrased: Dataset
    pairs: Dataset
    spoiled: dict[str, Dataset]
    pictures: str | None = None
    target: str = "target"
    radius: float = 2 / 255
    examined: int = 200

    @property
    def groups(self) -> Tensor | None:
        """(N,) int64: which picture each row is about."""
        return None if self.pictures is None else self.data.column(self.pictures)

    def measure(
        self, statistic: Statistic, better: Better = "high", rows: Tensor | slice = slice(None)
    ) -> Measure:
        """`scorecard.measure` over `rows` of `data`, by default all."""
        n = len(torch.arange(len(self.data))[rows])
        groups = None if self.groups is None else self.groups[rows]
        return measure(statistic, n, better, groups)


def scorecard(model: nn.Module, exam: Exam, name: str = "model") -> Scorecard:
    """All seven standards for one model: an interval on every cell, and never a sum."""
    clean = predict(model, loader(exam.data, BATCH))
    return Scorecard(
        name,
        {
            "accuracy": accuracy(clean, exam),
            "diversity": diversity(clean, exam),
            "consistency": consistency(model, clean, exam),
            "efficiency": efficiency(model, exam),
            "interpretability": interpretability(model, exam),
            "robustness": robustness(model, clean, exam),
            "fairness": fairness(model, clean, exam),
        },
    )


def accuracy(clean: Predictions, exam: Exam) -> Measures:
    """How often it is right; F1 as a mean over classes; and whether its confidence is justified."""
    return {
        "accuracy": exam.measure(mean(clean.correct)),
        "macro F1": exam.measure(partial(macro_f1, clean)),
        "calibration error": exam.measure(partial(calibration_error, clean), "low"),
    }


def diversity(clean: Predictions, exam: Exam) -> Measures:
    """The worst of the domains, and in how many of them it beats the most frequent answer there."""
    masks = _groups(exam.data, exam.domains)  # [N, G]
    floor = _majority(clean.label, masks)

    def worst(weights: Tensor) -> Tensor:
        return _by_group(weights, clean.correct, masks).amin(dim=1)

    def covered(weights: Tensor) -> Tensor:
        return (_by_group(weights, clean.correct, masks) > floor).double().mean(dim=1)

    return {"worst domain": exam.measure(worst), "domains covered": exam.measure(covered)}


def consistency(model: nn.Module, clean: Predictions, exam: Exam) -> Measures:
    """The same answer to the same question in other words, and both answers of a swap pair right.

    Agreement alone is cheap: a model that always says "yes" agrees with itself. Of a swap pair it
    gets one at most.
    """
    again = predict(model, loader(exam.paraphrased, BATCH))
    pairs = predict(model, loader(exam.pairs, BATCH)).correct.view(-1, 2).all(dim=1)
    same = clean.predicted == again.predicted
    return {
        "paraphrases agree": exam.measure(mean(same)),
        "swap pairs right": measure(mean(pairs), len(pairs)),
    }


def efficiency(model: nn.Module, exam: Exam) -> Measures:
    """Size, operations, time and memory of a prediction, and its energy where that can be read."""
    batch = on_device_of(model, collate([exam.data[i % len(exam.data)] for i in range(64)]))
    batch = {key: value for key, value in batch.items() if key.split("_mask")[0] in exam.modalities}
    found = cost(model, batch)
    measures = {
        "parameters": exact(found.parameters, "low", "numbers"),
        "operations": exact(found.flops, "low", "FLOP"),
        "latency": Measure(found.latency, "low", "s"),
        "throughput": Measure(found.throughput, "high", "examples/s"),
        "peak memory": exact(found.peak_bytes, "low", "bytes"),
    }
    if found.joules is not None:
        measures["energy"] = exact(found.joules, "low", "J")
    return measures


def interpretability(model: nn.Module, exam: Exam) -> Measures:
    """Does the slope of its answer point at what was asked about, and change with its weights?

    Only examples where something is to be seen; see `explanations.pointing_game`, `sanity_check`.
    """
    masks = exam.data.column(exam.target)
    rows = masks.flatten(1).any(dim=1).nonzero().flatten()[: exam.examined]
    batch = on_device_of(model, collate([exam.data[i] for i in rows.tolist()]))
    answer = _answers(model, batch)
    hits = pointing_game(gradient(model, batch, answer).cpu(), masks[rows])
    checked = sanity_check(gradient, model, batch, answer)
    return {
        "pointing game": exam.measure(mean(hits), rows=rows),
        "like random weights": exam.measure(mean(checked.per_example.cpu()), "low", rows),
    }


def robustness(model: nn.Module, clean: Predictions, exam: Exam) -> Measures:
    """What is left of the right answers when pictures or words are spoiled, or pictures attacked.

    The share of what was right before, so that a weak model is not called fragile for being weak;
    one that does not look at pictures keeps all of it, which is no merit: see "fairness".
    """
    spoiled = {
        name: exam.measure(kept(clean.correct, predict(model, loader(data, BATCH)).correct))
        for name, data in exam.spoiled.items()
    }
    n = min(exam.examined, len(exam.data))
    attacked = torch.cat([_attacked(model, exam, rows) for rows in torch.arange(n).split(BATCH)])
    still = exam.measure(kept(clean.correct[:n], attacked), rows=slice(n))
    return {**spoiled, "attacked pictures": still}


def fairness(model: nn.Module, clean: Predictions, exam: Exam) -> Measures:
    """The gap between groups that should not matter, and what the least used modality is worth.

    A gap is above zero by luck alone; compare it between models that sat the same exam, or see
    `fairness.group_gaps`.
    """
    measures = {}
    for column in exam.sensitive:
        masks = _groups(exam.data, (column,))

        def gap(weights: Tensor, masks: Tensor = masks) -> Tensor:
            rates = _by_group(weights, clean.correct, masks)
            return rates.amax(dim=1) - rates.amin(dim=1)

        measures[f"gap: {column}"] = exam.measure(gap, "low")
    drops = torch.stack(
        [
            scores.before - scores.after
            for name in exam.modalities
            for scores in [example_scores(model, exam.data, name, groups=exam.groups)]
        ],
        dim=1,
    )  # [N, M]

    def least(weights: Tensor) -> Tensor:
        return (weights @ drops / weights.sum(dim=1, keepdim=True)).amin(dim=1)

    return {**measures, "least used modality": exam.measure(least)}


# Statistics of weighted examples


def mean(values: Tensor) -> Statistic:
    """The weighted mean of values (N,)."""
    values = values.double()
    return lambda weights: weights @ values / weights.sum(dim=1)


def kept(before: Tensor, after: Tensor) -> Statistic:
    """Of the right answers before, the share that are right after; both (N,) bool; NaN of none."""
    both, before = (before & after).double(), before.double()
    return lambda weights: (weights @ both) / (weights @ before)


def macro_f1(predictions: Predictions, weights: Tensor) -> Tensor:
    """F1 = 2 TP / (2 TP + FP + FN) of each class that occurs or was answered, then their mean."""
    classes = predictions.logits.shape[1]
    label, answer = (
        F.one_hot(x, classes).double() for x in (predictions.label, predictions.predicted)
    )
    right, of, said = (weights @ x for x in (label * answer, label, answer))  # [R, C]
    return (2 * right / (of + said)).nanmean(dim=1)


def calibration_error(predictions: Predictions, weights: Tensor) -> Tensor:
    """`calibration.expected_calibration_error` in BINS bins of equal width."""
    confidence = predictions.logits.double().softmax(dim=1).amax(dim=1)
    bins = F.one_hot(((confidence * BINS).ceil().long() - 1).clamp(0, BINS - 1), BINS).double()
    surplus = bins * (confidence - predictions.correct.double()).unsqueeze(1)  # [N, BINS]
    return (weights @ surplus).abs().sum(dim=1) / weights.sum(dim=1)


def _groups(data: Dataset, columns: Sequence[str]) -> Tensor:
    """(N, G) float64: 1 where an example belongs to the group; every value of a column is one."""
    masks = []
    for column in columns:
        values = [str(value) for value in data.column(column)]
        names = sorted(set(values))
        place = {name: g for g, name in enumerate(names)}
        masks.append(F.one_hot(torch.tensor([place[v] for v in values]), len(names)))
    return torch.cat(masks, dim=1).double()


def _by_group(weights: Tensor, correct: Tensor, masks: Tensor) -> Tensor:
    """Weighted accuracy of each group: (R, N), (N,), (N, G) -> (R, G)."""
    return (weights @ (masks * correct.double().unsqueeze(1))) / (weights @ masks)


def _majority(label: Tensor, masks: Tensor) -> Tensor:
    """(G,): the share of the most frequent answer in each group."""
    counts = masks.T @ F.one_hot(label).double()
    return counts.amax(dim=1) / masks.sum(dim=0)


def _attacked(model: nn.Module, exam: Exam, rows: Tensor) -> Tensor:
    """(B,) bool: right after ten steps of PGD on the margin, which no confidence can blunt."""
    batch = on_device_of(model, collate([exam.data[i] for i in rows.tolist()]))
    worse = pgd(model, batch, exam.radius, loss=margin)
    return (_answers(model, worse) == batch["label"]).cpu()


@torch.no_grad()
def _answers(model: nn.Module, batch: Batch) -> Tensor:
    """(B,) classes."""
    with evaluating(model):
        return model(batch).logits.argmax(dim=1)
