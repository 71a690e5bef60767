"""Defences put to the test: one small classifier, trained with and without each of them.

Knows whole experiments: real photographs of clothes, alone or with a shop's title
(`product_titles.py`), and what can be done in training against noise, attacks, missing modalities,
new words, wrong labels and rare classes. Corruptions, attacks and losses themselves are elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.data.real.fashion_mnist import CLASSES
from mmtutor.encoders import BagOfWords, SmallCNN
from mmtutor.evaluation.robustness.attacks import pgd
from mmtutor.evaluation.robustness.curves import attack_curve, severity_curve
from mmtutor.fusion import FUSIONS
from mmtutor.losses import cross_entropy
from mmtutor.losses.noisy_labels import (
    CoTeaching,
    GeneralisedCrossEntropy,
    SmallLoss,
    weighted_cross_entropy,
)
from mmtutor.models import Classifier, FusionClassifier, ProjectionHead
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result, settings
from mmtutor.recipes.common import training as common
from mmtutor.recipes.common.config import BelowOne, Count, Share
from mmtutor.recipes.robustness import product_titles as shop
from mmtutor.training import History

Defence = Literal["none", "noise", "adversarial", "modality dropout", "synonyms"]
Objective = Literal["cross-entropy", "weighted", "generalised", "small loss", "co-teaching"]


@settings
class Config(shop.ShopConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        task: "clothes", photographs alone; or "shop", photographs with titles.
        defence: those for words and modalities are for "shop".
        objective: the loss; "weighted" needs a column `weight` in the training data.
        wrong: share of the training labels that are replaced by another class.
        radius: of the attack in adversarial training, and the largest in the test.
        steps: of PGD in adversarial training.
    """

    task: Literal["clothes", "shop"] = "clothes"
    defence: Defence = "none"
    objective: Objective = "cross-entropy"
    wrong: BelowOne = 0.0
    radius: Share = 8 / 255
    steps: Count = 2

    def _check(self) -> None:
        if self.task == "clothes" and self.defence in ("modality dropout", "synonyms"):
            raise ValueError(f"the defence {self.defence!r} is for the task 'shop'")


PRESETS = {
    "tiny": Config(train=128, test=64, dim=16, width=8, epochs=2),
    "cpu": Config(defence="adversarial"),
    "t4": Config(
        defence="adversarial", train=shop.POOL, test=10_000, dim=256, width=64, steps=7, epochs=20,
        batch_size=256,
    ),
    "h100": Config(
        defence="adversarial", train=shop.POOL, test=10_000, dim=512, width=128, steps=10,
        epochs=60, batch_size=512,
    ),
}  # fmt: skip


class _Trained(NamedTuple):
    """A finished model in evaluation mode, and how its training went."""

    model: nn.Module
    history: History


def run(config: Config, progress: bool = True) -> Result:
    """Train once; then accuracy by radius of PGD and by severity of noise on the pictures."""
    model, history = train(config, progress=progress)
    data = held_out(config)
    attacked = attack_curve(model, data, [k / 4 * config.radius for k in range(5)])
    noisy = severity_curve(model, data, "gaussian noise")
    metrics: dict[str, Any] = {
        "accuracy": attacked.intervals()[0]._asdict(),
        "by_radius": dict(zip(attacked.levels, attacked.accuracy.tolist(), strict=True)),
        "by_severity": dict(zip(noisy.levels, noisy.accuracy.tolist(), strict=True)),
        "training_examples_per_second": history.examples_per_second,
    }
    return Result(metrics, history, model, config)


def train(config: Config, data: Dataset | None = None, progress: bool = False) -> _Trained:
    """Train the model of `config` on `data`, or on its own training set."""
    if data is None and config.objective == "weighted":
        raise ValueError("the objective 'weighted' needs data with a column `weight`")
    data = training_set(config) if data is None else data
    steps = -(-len(data) // config.batch_size) * config.epochs
    torch.manual_seed(config.seed)
    model = build(config)
    seen = Perturbed(model, perturbation(config))
    return _Trained(model, common.train(config, seen, _objective(config, steps), data, progress))


Change = Callable[[nn.Module, dict[str, Tensor]], dict[str, Tensor]]


class Perturbed(nn.Module):
    """A model that, in training, only ever sees changed batches; otherwise it is the model itself.

    Args:
        model: the one that learns.
        change: from the model and a batch to the batch that it is trained on.
    """

    def __init__(self, model: nn.Module, change: Change | None) -> None:
        super().__init__()
        self.model, self.change = model, change

    def forward(self, batch: dict[str, Tensor]) -> NamedTuple:
        if self.training and self.change is not None:
            batch = self.change(self.model, batch)
        return self.model(batch)


def perturbation(config: Config) -> Change | None:
    """What the defence of `config` does to a training batch; None for nothing.

    "synonyms" changes the training set instead, and "modality dropout" hides one of the two
    modalities of two examples in three.
    """
    generator = torch.Generator().manual_seed(config.seed)

    def noise(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        image = batch["image"]
        deviation = 0.3 * torch.rand(len(image), 1, 1, 1, generator=generator)
        drawn = deviation * torch.randn(image.shape, generator=generator)
        return {**batch, "image": (image + drawn.to(image)).clamp(0, 1)}

    def adversarial(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return pgd(model, batch, config.radius, steps=config.steps, generator=generator)

    def dropout(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        lost = torch.randint(3, (len(batch["label"]), 1), generator=generator)  # 2 loses nothing
        present = lost != torch.arange(2)
        return {**batch, "present": present.to(batch["label"].device)}

    changes = {"noise": noise, "adversarial": adversarial, "modality dropout": dropout}
    return changes.get(config.defence)


def _objective(config: Config, steps: int) -> nn.Module | Callable:
    """The loss of `config`; those that drop examples keep as many as have right labels."""
    selecting = {"keep": 1 - config.wrong, "warmup": max(1, steps // 3)}
    return {
        "cross-entropy": lambda: cross_entropy,
        "weighted": lambda: weighted_cross_entropy,
        "generalised": GeneralisedCrossEntropy,
        "small loss": lambda: SmallLoss(**selecting),
        "co-teaching": lambda: CoTeaching(**selecting),
    }[config.objective]()


def build(config: Config) -> nn.Module:
    """The untrained model of `config`; two of them for co-teaching."""
    if config.objective == "co-teaching":
        single = replace(config, objective="cross-entropy")
        return Pair(build(single), build(single))
    image = SmallCNN(config.dim, config.width)
    if config.task == "clothes":
        return Classifier(image, len(CLASSES))
    encoders = {"image": image, "tokens": BagOfWords(shop.tokenizer().size, config.dim)}
    fusion = FUSIONS["concat"](dict.fromkeys(encoders, config.dim), config.dim)
    return FusionClassifier(encoders, fusion, ProjectionHead(config.dim, len(CLASSES), config.dim))


class _PairOutput(NamedTuple):
    """`logits` (B, C): the mean of the two networks' log-probabilities; `pair` (2, B, C): each."""

    logits: Tensor
    pair: Tensor


class Pair(nn.Module):
    """Two classifiers that answer together."""

    def __init__(self, one: nn.Module, two: nn.Module) -> None:
        super().__init__()
        self.models = nn.ModuleList([one, two])

    def forward(self, batch: dict[str, Tensor]) -> _PairOutput:
        pair = torch.stack([model(batch).logits for model in self.models])
        return _PairOutput(pair.log_softmax(dim=-1).mean(dim=0), pair)


def training_set(config: Config) -> Dataset:
    """The examples to train on, with wrong labels if `config` wants them.

    Columns: image, label, and `clean`, the right label; for "shop" also `title` and its tokens.
    """
    data = shop.photographs("train", config)
    label = data.column("label")
    if config.task == "shop":
        data = shop.with_titles(data, config.seed, new_words=config.defence == "synonyms")
    wrong = _mislabelled(label, config.wrong, len(CLASSES), config.seed)
    return data.with_column("clean", label).with_column("label", wrong)


def held_out(config: Config) -> Dataset:
    """What `config` is tested on."""
    data = shop.photographs(config.split, config)
    return shop.with_titles(data, TEST_SEED_OFFSET) if config.task == "shop" else data


def _mislabelled(label: Tensor, share: float, classes: int, seed: int = 0) -> Tensor:
    """Labels (N,) of which `share` are replaced by one of the other classes, evenly."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(label), generator=generator)[: round(share * len(label))]
    wrong = label.clone()
    shift = torch.randint(1, classes, rows.shape, generator=generator)
    wrong[rows] = (label[rows] + shift) % classes
    return wrong
