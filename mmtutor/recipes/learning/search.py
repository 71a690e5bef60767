"""Search for the settings of a probe within a budget of trials: at random, or with Optuna's TPE.

Knows one whole experiment on the features of a frozen tower, where a trial takes a moment. Knows no
other model: `objective` and SPACE are what a search of another would change.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from itertools import accumulate
from random import Random
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.encoders import FeatureEncoder
from mmtutor.evaluation.predict import predict
from mmtutor.models import Classifier
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count
from mmtutor.recipes.learning import fine_tuning
from mmtutor.recipes.learning.fine_tuning import CLASSES, features
from mmtutor.training import History
from mmtutor.training.fit import Objective

Values = dict[str, float]
Choose = Callable[[], tuple[Values, Callable[[float], None]]]


class Range(NamedTuple):
    """From `low` to `high`; `log`: each factor of ten is as likely as another."""

    low: float
    high: float
    log: bool = True


SPACE = {
    "lr": Range(1e-4, 1.0),
    "weight_decay": Range(1e-5, 1.0),
    "scale": Range(0.3, 100.0),  # that features of unit length are multiplied by
    "batch_size": Range(8, 128),
    "dropout": Range(0.0, 0.9, log=False),
    "smoothing": Range(0.0, 0.5, log=False),
}


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        trials: that a search may make.
        searches: of each kind, each with another seed and the same labels.
        labels: pictures with a label, on which every trial is trained.
        test: pictures at most that choose, and as many that judge.
    """

    trials: Count = 30
    searches: Count = 8
    labels: Count = 200
    test: Count = 700
    epochs: Count = 8


PRESETS = {
    "tiny": Config(trials=2, searches=2, labels=20, test=30, epochs=1),
    "cpu": Config(searches=3),
    "stored": Config(),
    "t4": Config(trials=100, searches=20, labels=2_000),
    "h100": Config(trials=100, searches=20, labels=2_000),
}


def run(config: Config, progress: bool = True) -> Result:
    """Search at random and with TPE, and judge what each chose.

    Metrics: of each kind, one list a search, `best` (trials), the best accuracy so far on the
    pictures that choose; `test`, the accuracy of what was chosen on others; and `values`, its
    settings. Progress is not shown. Raises ImportError without `optuna`.
    """
    del progress
    if find_spec("optuna") is None:
        raise ImportError('optuna is not installed; pip install "mmtutor[search]"')
    metrics: dict[str, Any] = {}
    parts = {split: data(config, split) for split in ("train", "val", "test")}
    for kind, chooser in (("random", at_random), ("TPE", by_tpe)):
        metrics[kind] = {"best": [], "test": [], "values": []}
        for number in range(config.searches):
            values, scores = search(config, chooser(1_000 * config.seed + number), parts)
            model, history = trained(config, values, parts["train"])
            metrics[kind]["best"].append(list(accumulate(scores, max)))
            metrics[kind]["test"].append(accuracy(model, parts["test"]))
            metrics[kind]["values"].append(values)
    return Result(metrics, history, model, config)


def search(config: Config, choose: Choose, parts: dict[str, Dataset]) -> tuple[Values, list[float]]:
    """The best settings of `config.trials`, and the accuracy of each trial on the part "val"."""
    tried: list[tuple[float, Values]] = []
    for _ in range(config.trials):
        values, tell = choose()
        model, _ = trained(config, values, parts["train"])
        score = accuracy(model, parts["val"])
        tell(score)
        tried.append((score, values))
    best = max(tried, key=lambda trial: trial[0])
    return best[1], [score for score, _ in tried]


def at_random(seed: int) -> Choose:
    """Draws every setting anew, whatever came before (Bergstra and Bengio 2012)."""
    draws = Random(seed)

    def choose() -> tuple[Values, Callable[[float], None]]:
        values = {}
        for name, (low, high, log) in SPACE.items():
            drawn = draws.random()
            values[name] = low * (high / low) ** drawn if log else low + (high - low) * drawn
        return values, lambda score: None

    return choose


def by_tpe(seed: int) -> Choose:
    """Optuna's default: ten draws at random, then settings as those that did well have them."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)

    def choose() -> tuple[Values, Callable[[float], None]]:
        trial = study.ask()
        values = {name: trial.suggest_float(name, *r[:2], log=r.log) for name, r in SPACE.items()}
        return values, lambda score: study.tell(trial, score)

    return choose


def data(config: Config, split: str) -> Dataset:
    """Emoji of three styles: `image_features` (N, 1280) of unit length and `label`."""
    one = fine_tuning.Config(labels=config.labels, test=config.test, seed=config.seed)
    drawn = fine_tuning.data(one, split)
    columns = {"image_features": F.normalize(features(drawn)), "label": drawn.column("label")}
    return Dataset(columns)


def build(config: Config, values: Values) -> nn.Module:
    """An untrained linear layer."""
    torch.manual_seed(config.seed)
    return Classifier(FeatureEncoder(1280), len(CLASSES), values["dropout"])


def objective(values: Values) -> Objective:
    """Cross-entropy with the labels smoothed."""

    def smoothed(output: Any, batch: dict[str, Tensor]) -> Tensor:
        smoothing = values["smoothing"]
        return F.cross_entropy(output.logits, batch["label"], label_smoothing=smoothing)

    return smoothed


def trained(config: Config, values: Values, data: Dataset) -> tuple[nn.Module, History]:
    """A probe that learned with these settings."""
    one = replace(
        config,
        lr=values["lr"],
        weight_decay=values["weight_decay"],
        batch_size=math.floor(values["batch_size"]),
    )
    model = build(config, values)
    scaled = data.with_column("image_features", values["scale"] * data.column("image_features"))
    history = train(one, model, objective(values), scaled)
    with torch.no_grad():  # so that it reads features as they are
        model.head[1].weight *= values["scale"]
    return model, history


def accuracy(model: nn.Module, data: Dataset) -> float:
    """Share of right answers."""
    return predict(model, data).correct.double().mean().item()
