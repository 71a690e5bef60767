"""Which fusion can learn what: every entrant on tasks whose information is known exactly.

Knows how all tasks and seeds of an entrant are trained at once. What the tasks are is
`mmtutor.data.synthetic.bits`, who enters is `fusion_entrants`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import log
from typing import Literal

import torch
from torch import Tensor

from mmtutor.data import Dataset
from mmtutor.data.synthetic import bits as information
from mmtutor.models import Ensemble
from mmtutor.recipes.common import Result, settings
from mmtutor.recipes.common.config import Count, Rate, Size
from mmtutor.recipes.fusion import entrants as contest
from mmtutor.recipes.fusion.entrants import ENTRANTS, ContestConfig, SummedCrossEntropy
from mmtutor.training import History


@settings
class Config(ContestConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        tasks: names in `information.QUESTIONS`.
        noise: as in `information.load`.
    """

    tasks: tuple[Literal[tuple(information.QUESTIONS)], ...] = tuple(information.QUESTIONS)[:6]
    entrants: tuple[Literal[tuple(ENTRANTS)], ...] = tuple(ENTRANTS)[:17]
    noise: Size = 0.2
    parameters: Count = 5600
    dim: Count = 8
    out_dim: Count = 16
    lr: Rate = 0.012


PRESETS = {
    "tiny": Config(
        tasks=("copy", "xor"), entrants=("sum", "bilinear"), seeds=2, train=1024, test=256, lr=0.02
    ),
    "cpu": Config(tasks=("copy", "and", "xor", "redundant + xor")),
    "t4": Config(seeds=20, epochs=20),
    "h100": Config(seeds=50, epochs=20, train=8192, parameters=20_000, dim=16, out_dim=16),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train and test every entrant on every task.

    `metrics["accuracy"][entrant][task]` lists the test accuracy of each seed, `metrics["bits"]`
    likewise the bits about the answer that the model delivers: the entropy of the answer less the
    cross-entropy.
    """
    train = partial(_train, config=config, progress=progress)
    result, scores = contest.compete(config, train, _examples("test", config), _objective(config))
    entropy = torch.tensor([_answer_entropy(task) for task, _ in _runs(config)])
    by_task = {
        "accuracy": {name: _by_task(s.accuracy, config) for name, s in scores.items()},
        "bits": {name: _by_task(entropy - s.loss / log(2), config) for name, s in scores.items()},
    }
    return replace(result, metrics=result.metrics | by_task)


def _train(name: str, config: Config, progress: bool = False) -> tuple[Ensemble, History]:
    """One entrant on all tasks from all seeds at once."""
    inputs, data = _inputs_of(config), _examples("train", config)
    models = [contest.build(name, inputs, config, seed) for _, seed in _runs(config)]
    longer = replace(config, epochs=config.epochs * ENTRANTS[name].patience)
    return contest.train_together(longer, models, _objective(config), data, progress)


def _inputs_of(config: Config) -> contest.Inputs:
    """What every model of the bake-off reads, and how many answers it chooses from."""
    classes = max(map(information.classes, config.tasks))
    length = len(information.SHOWN["a"])
    return contest.Inputs(tuple(information.SHOWN), information.SIZE, length, classes)


def _runs(config: Config) -> list[tuple[str, int]]:
    """Every task with every seed, in the order of an ensemble's models."""
    return [(task, config.seed + i) for task in config.tasks for i in range(config.seeds)]


def _objective(config: Config) -> SummedCrossEntropy:
    return SummedCrossEntropy([information.classes(task) for task, _ in _runs(config)])


def _examples(split: str, config: Config) -> Dataset:
    """The data of all runs side by side: a, b (N, R, 3, 8) and label (N, R)."""
    n = config.test if split == "test" else config.train
    sets = [information.load(split, n, *run, config.noise) for run in _runs(config)]
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
