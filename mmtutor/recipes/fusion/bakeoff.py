"""Which fusion can learn what: every entrant on tasks whose information is known exactly.

Knows how all tasks and seeds of an entrant are trained at once. What the tasks are is
`mmtutor.data.synthetic.bits`, who enters is `fusion_entrants`.
"""

from __future__ import annotations

from dataclasses import replace
from math import log
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.data.synthetic import bits as information
from mmtutor.evaluation.efficiency import parameters
from mmtutor.models import Ensemble
from mmtutor.recipes.common import Result, TrainConfig, settings
from mmtutor.recipes.fusion.entrants import (
    ENTRANTS,
    Inputs,
    Sizes,
    SummedCrossEntropy,
    build,
    joined,
    score,
    train_together,
)
from mmtutor.training import History


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        tasks, entrants: names in `information.QUESTIONS` and in `ENTRANTS`.
        seeds: runs of each, with data and first weights of their own.
        train, test: examples of each run.
        noise: as in `information.load`.
        parameters, dim, out_dim: as in `Sizes`.
    """

    tasks: tuple[str, ...] = tuple(information.QUESTIONS)[:6]
    entrants: tuple[str, ...] = tuple(ENTRANTS)[:15]
    seeds: int = 5
    train: int = 2048
    test: int = 1024
    noise: float = 0.2
    parameters: int = 5600
    dim: int = 8
    out_dim: int = 16
    epochs: int = 2
    batch_size: int = 32
    lr: float = 0.012
    weight_decay: float = 0.0


PRESETS = {
    "tiny": Config(
        tasks=("copy", "xor"), entrants=("sum", "bilinear"), seeds=2, train=1024, test=256, lr=0.02
    ),
    "cpu": Config(),
    "t4": Config(seeds=20, epochs=20),
    "h100": Config(seeds=50, epochs=20, train=8192, parameters=20_000, dim=16, out_dim=16),
}


class _Run(NamedTuple):
    """One model among those that are trained at once."""

    task: str
    seed: int


def run(config: Config, progress: bool = True) -> Result:
    """Train and test every entrant on every task.

    `metrics["accuracy"][entrant][task]` lists the test accuracy of each seed, `metrics["bits"]`
    likewise the bits about the answer that the model delivers: the entropy of the answer less the
    cross-entropy.
    """
    histories, ensembles = [], nn.ModuleDict()
    metrics: dict[str, Any] = {"accuracy": {}, "bits": {}, "parameters": {}}
    data = examples("test", config)
    for name in config.entrants:
        ensemble, history = _train(name, config, progress)
        scores = score(ensemble, data, objective(config))
        entropy = torch.tensor([_answer_entropy(run.task) for run in _runs(config)])
        metrics["accuracy"][name] = _by_task(scores.accuracy, config)
        metrics["bits"][name] = _by_task(entropy - scores.loss / log(2), config)
        metrics["parameters"][name] = parameters(ensemble) // len(ensemble)
        ensembles[name] = ensemble
        histories.append(history)
    return Result(metrics, joined(histories), ensembles, config)


def _train(name: str, config: Config, progress: bool = False) -> tuple[Ensemble, History]:
    """One entrant on all tasks from all seeds at once."""
    inputs, sizes = _inputs_of(config), _sizes_of(config)
    models = [build(name, inputs, sizes, run.seed) for run in _runs(config)]
    longer = replace(config, epochs=config.epochs * ENTRANTS[name].patience)
    return train_together(longer, models, objective(config), examples("train", config), progress)


def _inputs_of(config: Config) -> Inputs:
    """What every model of the bake-off reads, and how many answers it chooses from."""
    classes = max(map(information.classes, config.tasks))
    length = len(information.SHOWN["a"])
    return Inputs(tuple(information.SHOWN), information.SIZE, length, classes)


def _sizes_of(config: Config) -> Sizes:
    return Sizes(config.parameters, config.dim, config.out_dim)


def _runs(config: Config) -> list[_Run]:
    """Every task from every seed, in the order of an ensemble's models."""
    return [_Run(task, config.seed + i) for task in config.tasks for i in range(config.seeds)]


def objective(config: Config) -> SummedCrossEntropy:
    return SummedCrossEntropy([information.classes(run.task) for run in _runs(config)])


def examples(split: str, config: Config) -> Dataset:
    """The data of all runs side by side: a, b (N, R, 3, 8) and label (N, R)."""
    n = config.test if split == "test" else config.train
    sets = [information.load(split, n, run.task, run.seed, config.noise) for run in _runs(config)]
    names = sets[0].columns
    return Dataset({name: torch.stack([s.column(name) for s in sets], dim=1) for name in names})


def _answer_entropy(task: str) -> float:
    """H(Y) in bits."""
    p = information.joint(task).sum(dim=(0, 1))
    return -torch.special.xlogy(p, p).sum().item() / log(2)


def _by_task(values: Tensor, config: Config) -> dict[str, list[float]]:
    """(R,) in the order of `_runs` -> the values of each task's seeds."""
    rows = values.view(len(config.tasks), config.seeds).tolist()
    return dict(zip(config.tasks, rows, strict=True))
