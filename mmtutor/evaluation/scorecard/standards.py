"""Seven standards as measurements that run on any classifier of several modalities.

Knows models whose output has `logits` (B, C), and the suite: one set of test examples, and what was
made of it. Does not know data sets; a recipe makes the suite. Every statistic takes weights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data import Dataset, loader
from mmtutor.data.batch import Batch
from mmtutor.evaluation.classification.calibration import expected_calibration_error, top_label
from mmtutor.evaluation.classification.scores import averages, confusion
from mmtutor.evaluation.efficiency import cost
from mmtutor.evaluation.explanations.quality import pointing_game, sanity_check
from mmtutor.evaluation.modality_use import permuted
from mmtutor.evaluation.predict import Predictions, outputs, predict
from mmtutor.evaluation.robustness.attacks import margin, pgd
from mmtutor.evaluation.scorecard.measures import (
    Better,
    Measure,
    Scorecard,
    constant_measure,
    measure,
)
from mmtutor.evaluation.statistics.bootstrap import Statistic, weighted_mean
from mmtutor.explain import gradient

Measures = dict[str, Measure]
BATCH = 128  # of images under attack
SAMPLE = 64  # examples whose cost is measured


@dataclass(frozen=True)
class EvaluationSuite:
    """What every model is asked. All data sets have the modalities and `label`.

    Attributes:
        data: N test examples; its column `target` (N, H, W) bool shows where the answer is to be
            seen.
        modalities: the keys of a batch that a model is supposed to use.
        domains: columns of `data` (lists of strings) whose values a model should be good at alike.
        sensitive: columns of `data` (lists of strings) whose values must not matter.
        paraphrased: row i asks what row i of `data` asks, in other words.
        pairs: rows 2k and 2k + 1 ask the same of two images and have different answers.
        corrupted: corrupted copies of `data`, by name.
        pictures: the column (N,) int64 that says which image a row is about; rows of one image
            rise and fall together, so intervals draw them together. None: an image for each row.
        radius: of the attack on the images, in units of their [0, 1].
        examined: how many rows the costly measurements (attack, explanations) look at.
    """

    data: Dataset
    modalities: tuple[str, ...]
    domains: tuple[str, ...]
    sensitive: tuple[str, ...]
    paraphrased: Dataset
    pairs: Dataset
    corrupted: dict[str, Dataset]
    pictures: str | None = None
    radius: float = 2 / 255
    examined: int = 200

    def __post_init__(self) -> None:
        """Raise TypeError, KeyError or ValueError for what cannot be asked."""
        checks.instance(Dataset, data=self.data, pairs=self.pairs)
        for name, other in {"paraphrased": self.paraphrased, **self.corrupted}.items():
            checks.instance(Dataset, **{name: other})
            checks.same_length(**{name: other, "data": self.data})
        if len(self.pairs) % 2:
            raise ValueError(f"pairs must have an even number of rows, got {len(self.pairs)}")
        for column in ("label", "target", *self.domains, *self.sensitive):
            self.data.column(column)
        checks.within("[0, inf)", radius=self.radius)
        checks.at_least(1, examined=self.examined)

    @property
    def groups(self) -> Tensor | None:
        """(N,) int64: which image each row is about."""
        return None if self.pictures is None else self.data.column(self.pictures)

    def measure(
        self, statistic: Statistic, better: Better = "high", rows: Tensor | slice = slice(None)
    ) -> Measure:
        """`scorecard.measure` over `rows` of `data`, by default all."""
        n = len(torch.arange(len(self.data))[rows])
        return measure(statistic, n, better, None if self.groups is None else self.groups[rows])


class _Answers(NamedTuple):
    """What one model said to the examples as they are, to their variants, and without a modality.

    `attacked` (n,) bool: of the first `examined` rows, whether it is right under attack as well.
    """

    clean: Predictions
    paraphrased: Predictions
    pairs: Predictions
    corrupted: dict[str, Predictions]
    permuted: dict[str, Predictions]
    attacked: Tensor


def scorecard(model: nn.Module, suite: EvaluationSuite, name: str = "model") -> Scorecard:
    """All seven standards for one model: an interval on every cell, and never a sum."""
    checks.instance(nn.Module, model=model)
    checks.instance(EvaluationSuite, suite=suite)
    checks.instance(str, name=name)
    said = _ask(model, suite)
    return Scorecard(
        name,
        {
            "accuracy": _accuracy(said.clean, suite),
            "diversity": diversity(said.clean, suite),
            "consistency": _consistency(said, suite),
            "efficiency": _efficiency(model, suite),
            "interpretability": _interpretability(model, suite),
            "robustness": _robustness(said, suite),
            "fairness": _fairness(said, suite),
        },
    )


def _ask(model: nn.Module, suite: EvaluationSuite) -> _Answers:
    """Every answer that is measured later. PGD climbs the margin, which no confidence can blunt."""
    data, first = suite.data, range(min(suite.examined, len(suite.data)))
    without = {name: permuted(data, name, groups=suite.groups) for name in suite.modalities}
    batches = loader(data.subset(first), BATCH)
    return _Answers(
        predict(model, data),
        predict(model, suite.paraphrased),
        predict(model, suite.pairs),
        {name: predict(model, other) for name, other in suite.corrupted.items()},
        {name: predict(model, other) for name, other in without.items()},
        predict(model, (pgd(model, b, suite.radius, loss=margin) for b in batches)).correct,
    )


def _accuracy(clean: Predictions, suite: EvaluationSuite) -> Measures:
    """How often it is right; F1 as a mean over classes; and whether its confidence is justified."""
    sure, classes = top_label(clean.logits, clean.label), clean.logits.shape[1]

    def macro_f1(weights: Tensor) -> Tensor:
        return averages(confusion(clean.predicted, clean.label, classes, weights)).f1

    def calibration_error(weights: Tensor) -> Tensor:
        return expected_calibration_error(*sure, weights=weights)

    return {
        "accuracy": suite.measure(weighted_mean(clean.correct)),
        "macro F1": suite.measure(macro_f1),
        "calibration error": suite.measure(calibration_error, "low"),
    }


def diversity(clean: Predictions, suite: EvaluationSuite) -> Measures:
    """The worst of the domains, and in how many of them it beats the most frequent answer there."""
    checks.instance(Predictions, clean=clean)
    checks.instance(EvaluationSuite, suite=suite)
    checks.same_length(label=clean.label, suite=suite.data)
    correct, masks = clean.correct, _groups(suite.data, suite.domains)  # [N], [N, G]
    floor = _majority(clean.label, masks)

    def worst(weights: Tensor) -> Tensor:
        return _by_group(weights, correct, masks).amin(dim=1)

    def covered(weights: Tensor) -> Tensor:
        return (_by_group(weights, correct, masks) > floor).double().mean(dim=1)

    return {"worst domain": suite.measure(worst), "domains covered": suite.measure(covered)}


def _consistency(said: _Answers, suite: EvaluationSuite) -> Measures:
    """The same answer to the same question in other words, and both answers of a swap pair right.

    Agreement alone is cheap: a model that always says "yes" agrees with itself. Of a swap pair it
    gets one at most.
    """
    same = said.clean.predicted == said.paraphrased.predicted
    pairs = said.pairs.correct.view(-1, 2).all(dim=1)
    return {
        "paraphrases agree": suite.measure(weighted_mean(same)),
        "swap pairs right": measure(weighted_mean(pairs), len(pairs)),
    }


def _efficiency(model: nn.Module, suite: EvaluationSuite) -> Measures:
    """Size, operations, time and memory of a prediction, and its energy where that can be read."""
    batch, _ = _answered(model, suite.data, torch.arange(SAMPLE) % len(suite.data))
    found = cost(model, {k: v for k, v in batch.items() if k.split("_mask")[0] in suite.modalities})
    measures = {
        "parameters": constant_measure(found.parameters, "low", "numbers"),
        "operations": constant_measure(found.flops, "low", "FLOP"),
        "latency": Measure(found.latency, "low", "s"),
        "throughput": Measure(found.throughput, "high", "examples/s"),
        "peak memory": constant_measure(found.peak_bytes, "low", "bytes"),
    }
    if found.joules is not None:
        measures["energy"] = constant_measure(found.joules, "low", "J")
    return measures


def _interpretability(model: nn.Module, suite: EvaluationSuite) -> Measures:
    """Does the gradient of its answer point at the target object, and change with its weights?

    Only examples where something is to be seen; see `explanations.pointing_game`, `sanity_check`.
    """
    masks = suite.data.column("target")
    rows = masks.flatten(1).any(dim=1).nonzero().flatten()[: suite.examined]
    batch, answer = _answered(model, suite.data, rows)
    hits = pointing_game(gradient(model, batch, answer).cpu(), masks[rows])
    alike = sanity_check(gradient, model, batch, answer).per_example.cpu()
    return {
        "pointing game": suite.measure(weighted_mean(hits), rows=rows),
        "like random weights": suite.measure(weighted_mean(alike), "low", rows),
    }


def _robustness(said: _Answers, suite: EvaluationSuite) -> Measures:
    """What is left of the right answers when images or words are corrupted, or images attacked.

    The share of what was right before, so that a weak model is not called fragile for being weak;
    one that does not look at images keeps all of it, which is no merit: see "fairness".
    """
    right, first = said.clean.correct, slice(len(said.attacked))
    measures = {
        name: suite.measure(kept(right, after.correct)) for name, after in said.corrupted.items()
    }
    attacked = suite.measure(kept(right[first], said.attacked), rows=first)
    return {**measures, "attacked images": attacked}


def _fairness(said: _Answers, suite: EvaluationSuite) -> Measures:
    """The gap between groups that should not matter, and what the least used modality is worth.

    A gap is above zero by luck alone; compare it between models that answered the same suite, or
    see `fairness.group_gaps`.
    """
    right, measures = said.clean.correct, {}
    for column in suite.sensitive:
        masks = _groups(suite.data, (column,))

        def gap(weights: Tensor, masks: Tensor = masks) -> Tensor:
            rates = _by_group(weights, right, masks)
            return rates.amax(dim=1) - rates.amin(dim=1)

        measures[f"gap: {column}"] = suite.measure(gap, "low")
    lost = [right.double() - after.correct.double() for after in said.permuted.values()]
    drops = torch.stack(lost, dim=1)  # [N, M]

    def least(weights: Tensor) -> Tensor:
        return (weights @ drops / weights.sum(dim=1, keepdim=True)).amin(dim=1)

    return {**measures, "least used modality": suite.measure(least)}


def _answered(model: nn.Module, data: Dataset, rows: Tensor) -> tuple[Batch, Tensor]:
    """Some rows as one batch on the model's device, and the classes (B,) that it answers."""
    [(batch, output)] = outputs(model, loader(data.subset(rows), len(rows)))
    return batch, output.logits.argmax(dim=1)


def kept(before: Tensor, after: Tensor) -> Statistic:
    """Of the right answers before, the share that are right after; both (N,) bool; NaN of none."""
    before, after = checks.as_mask(before=before), checks.as_mask(after=after)
    checks.shaped(before=(before, "N"), after=(after, "N"))
    both, before = (before & after).double(), before.double()
    return lambda weights: (weights @ both) / (weights @ before)


def _groups(data: Dataset, columns: Sequence[str]) -> Tensor:
    """(N, G) float64: 1 where an example belongs to the group; every value of a column is one."""
    masks = []
    for column in columns:
        _, group = np.unique(data.column(column), return_inverse=True)
        masks.append(F.one_hot(torch.from_numpy(group)))
    return torch.cat(masks, dim=1).double()


def _by_group(weights: Tensor, correct: Tensor, masks: Tensor) -> Tensor:
    """Weighted accuracy of each group: (R, N), (N,), (N, G) -> (R, G)."""
    return (weights @ (masks * correct.double().unsqueeze(1))) / (weights @ masks)


def _majority(label: Tensor, masks: Tensor) -> Tensor:
    """(G,): the share of the most frequent answer in each group."""
    counts = masks.T @ F.one_hot(label.long()).double()
    return counts.amax(dim=1) / masks.sum(dim=0)
