"""The bake-off on real pictures: the upper and the lower half of a garment as two modalities.

Knows Fashion-MNIST cut in two. Each half is read row by row: 7 tokens of 14 numbers, from the
picture at half its size. Who enters is `fusion_entrants`.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor.data import Dataset
from mmtutor.data.real import fashion_mnist
from mmtutor.models import Ensemble
from mmtutor.recipes.common import Result, settings
from mmtutor.recipes.common.config import Count, Rate, Share
from mmtutor.recipes.fusion import entrants as contest
from mmtutor.recipes.fusion.entrants import ContestConfig, SummedCrossEntropy
from mmtutor.training import History

CLASSES = len(fashion_mnist.CLASSES)
INPUTS = contest.Inputs(("lower", "upper"), size=14, length=7, classes=CLASSES)
ENTERED = (
    *("late", "concat", "mean", "gated", "low-rank tensor"),
    *("cross-attention", "bottleneck", "single stream"),
)
MEAN, DEVIATION = 0.286, 0.353  # of the training pictures' pixels


@settings
class Config(ContestConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        missing: share of the training examples that lack one half, drawn evenly (modality dropout).
    """

    entrants: tuple[Literal[tuple(contest.ENTRANTS)], ...] = ENTERED
    train: Count = 3000
    test: Count = 1000
    missing: Share = 0.0
    batch_size: Count = 50
    lr: Rate = 0.015


PRESETS = {
    "tiny": Config(entrants=("concat", "max"), seeds=2, train=300, test=200),
    "cpu": Config(),
    "t4": Config(train=12_000, test=10_000, epochs=10, parameters=20_000),
    "h100": Config(train=12_000, test=10_000, epochs=20, parameters=100_000, out_dim=32),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train and test every entrant, and the first also on each half alone.

    `metrics["accuracy"][entrant]` lists the test accuracy of each seed.
    """
    fit = partial(train, config=config, progress=progress)
    return contest.compete(config, fit, examples("test", config), objective(config))[0]


def train(
    name: str, config: Config, progress: bool = False, without: int | None = None
) -> tuple[Ensemble, History]:
    """One entrant from all seeds at once; `without` takes one half from all its pictures."""
    data = examples("train", config)
    if without is not None:
        data = contest.with_missing(data, 1.0, without)
    elif config.missing:
        data = contest.with_missing(data, config.missing, seed=config.seed)
    models = [contest.build(name, INPUTS, config, config.seed + i) for i in range(config.seeds)]
    return contest.train_together(config, models, objective(config), data, progress)


def objective(config: Config) -> SummedCrossEntropy:
    return SummedCrossEntropy([CLASSES] * config.seeds)


def examples(split: str, config: Config) -> Dataset:
    """Columns lower, upper (N, R, 7, 14) float32, and label (N, R): R = seeds.

    Each run trains on pictures of its own; all are tested on the same.
    """
    if split == "test":
        data = fashion_mnist.load("test", n=config.test)
        rows = torch.arange(config.test).unsqueeze(1).expand(-1, config.seeds)
    else:
        data = fashion_mnist.load("train")
        generator = torch.Generator().manual_seed(config.seed)
        rows = torch.randperm(len(data), generator=generator)[: config.train * config.seeds]
        rows = rows.view(config.train, config.seeds)
    grey = data.column("image")[rows.flatten(), 0]
    pictures = _small(grey).unflatten(0, rows.shape)  # [N, R, 14, 14]
    upper, lower = pictures.split(INPUTS.length, dim=2)
    return Dataset({"lower": lower, "upper": upper, "label": data.column("label")[rows]})


def _small(grey: Tensor) -> Tensor:
    """(N, 28, 28) uint8 -> (N, 14, 14) float32 of mean 0 and deviation about 1."""
    return F.avg_pool2d((grey.float() / 255 - MEAN) / DEVIATION, 2)
