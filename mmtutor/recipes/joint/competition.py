"""Modality competition: quick words and a slow picture answer one question, and one starves.

Knows `shapes` scenes with one word each, which names the colour most of the time, and the cures.
Several tasks for one modality are `joint_learning`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, load, loader
from mmtutor.data.shapes.scene import COLOURS
from mmtutor.encoders import BagOfWords, SmallCNN
from mmtutor.evaluation.predict import on_device_of, predict
from mmtutor.losses import cross_entropy
from mmtutor.losses.balance import BranchLosses, GradientModulation, code_gradients
from mmtutor.models.branches import Branches
from mmtutor.recipes import common
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result, settings
from mmtutor.recipes.common.config import Count, Rate, Share, Size
from mmtutor.recipes.joint.tasks import JointConfig, Trained

MODALITIES = ("image", "tokens")
WAYS = {
    "image": "the image, trained alone",
    "joint": "both, one loss",
    "dropout": "both, one of them missing half the time",
    "modulation": "both, the leader's gradient held back",
    "frozen words": "both, the word encoder held back altogether",
    "own losses": "both, and each must answer alone",
    "own shuffled": "the same, but each alone is given wrong answers",
    "useless words": "both, words shuffled among the scenes",
}


@settings
class Config(JointConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        right: share of scenes whose word names the colour; the others' word is drawn at random.
        word_scale: standard deviation of the word vectors at the start; large ones learn fast.
        alpha: of `GradientModulation`.
        ways: which of WAYS to train.
    """

    channels: Count = 8
    right: Share = 0.9
    word_scale: Rate = 2.0
    alpha: Size = 1.0
    ways: tuple[Literal[tuple(WAYS)], ...] = tuple(WAYS)


PRESETS = {
    "tiny": Config(
        train=256, test=128, epochs=4, batch_size=32, seeds=1, ways=("image", "joint", "own losses")
    ),
    "cpu": Config(),
    "t4": Config(train=20_000, test=5_000, dim=128, channels=64, patch=16, seeds=5),
    "h100": Config(train=100_000, test=10_000, dim=256, channels=96, patch=16, seeds=10),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train every way of `config` from every seed.

    Metrics: `accuracy`, way -> "both" | "image" | "tokens" (what the model is given in the test)
    -> a number for each seed; and `pull`, way -> modality -> for each seed how hard the joint loss
    pulls at its code after each epoch.
    """
    data = {split: _examples(config, split) for split in ("train", "test")}
    accuracy: dict[str, dict[str, list[float]]] = {way: {} for way in config.ways}
    pull: dict[str, dict[str, list[list[float]]]] = {way: {} for way in config.ways}
    for seed in range(config.seed, config.seed + config.seeds):
        for way in config.ways:
            trained = _train(config, way, data, seed, progress)
            for given, value in trained.accuracy.items():
                accuracy[way].setdefault(given, []).append(value)
            for name in trained.model.encoders:
                course = [epoch[name] for epoch in trained.history.epochs]
                pull[way].setdefault(name, []).append(course)
    return Result({"accuracy": accuracy, "pull": pull}, trained.history, trained.model, config)


def _train(
    config: Config, way: str, data: dict[str, Dataset], seed: int, progress: bool = False
) -> Trained:
    """One model, by one of WAYS; `data` holds the splits train and test."""
    torch.manual_seed(seed)
    model = build(config, way)
    probe = next(iter(loader(data["train"], 128)))
    training = data["train"] if way != "useless words" else _shuffled_words(data["train"])
    config, validate = replace(config, seed=seed), partial(_gradient_norms, batch=probe)
    goal = _objective(config, way)
    history = common.train(config, model, goal, training, progress, validate=validate)
    return Trained(model, history, _accuracies(model, data["test"]))


def build(config: Config, way: str) -> Branches:
    """An untrained model, by one of WAYS."""
    image = SmallCNN(config.dim, config.channels, config.patch)
    words = BagOfWords(2 + len(COLOURS), config.dim)
    nn.init.normal_(words.embedding.weight, std=config.word_scale)
    if way == "frozen words":
        words.requires_grad_(False)
    encoders = [image] if way == "image" else [image, words]
    return Branches(encoders, len(COLOURS), drop=0.5 if way == "dropout" else 0.0)


def _objective(config: Config, way: str):
    """What `way` minimises."""
    own = {"own losses": BranchLosses(), "own shuffled": _WrongBranchLosses()}
    own["modulation"] = GradientModulation(config.alpha)
    return own.get(way, cross_entropy)


class _WrongBranchLosses(BranchLosses):
    """A control: the branches' own losses are given another example's label."""

    def forward(self, output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        wrong = {**batch, "label": batch["label"].roll(1)}
        both = cross_entropy(output, batch)
        return both + super().forward(output, wrong) - cross_entropy(output, wrong)


def _gradient_norms(model: Branches, batch: dict[str, Tensor]) -> dict[str, float]:
    """How hard the joint loss pulls at each modality's code, by modality, on `batch`."""
    batch = on_device_of(model, batch)
    with torch.enable_grad():
        output = model(batch)
        return code_gradients(cross_entropy(output, batch), output.codes)


def _accuracies(model: Branches, data: Dataset) -> dict[str, float]:
    """Share of right answers with all modalities ("both"), and with each one alone."""
    alone = torch.eye(len(model.encoders), dtype=torch.bool)
    given = {"both": alone.any(dim=0)} if len(alone) > 1 else {}
    given |= zip(model.encoders, alone, strict=True)
    found = {}
    for name, mask in given.items():
        tested = data.with_column("present", mask.repeat(len(data), 1))
        found[name] = predict(model, tested).correct.double().mean().item()
    return found


def _examples(config: Config, split: str) -> Dataset:
    """Pictures of one shape, a word as `tokens`, and the colour as `label`."""
    n = config.train if split == "train" else config.test
    seed = 0 if split == "train" else TEST_SEED_OFFSET
    data = load("shapes", split, n=n, size=4 * config.patch, seed=seed, max_objects=1)
    label = data.column("colour")[:, 0]
    generator = torch.Generator().manual_seed(n)
    true = torch.rand(n, generator=generator) < config.right
    word = torch.where(true, label, torch.randint(len(COLOURS), (n,), generator=generator))
    columns = {"image": data.column("image"), "tokens": list(word[:, None] + 2), "label": label}
    return Dataset(columns, name=data.name)


def _shuffled_words(data: Dataset) -> Dataset:
    """Every scene gets another scene's word."""
    words = data.column("tokens")
    return data.with_column("tokens", [words[-1], *words[:-1]])
