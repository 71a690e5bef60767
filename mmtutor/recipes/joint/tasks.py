"""Joint learning: two tasks on one encoder, with too little room and with the cures for it.

Knows two pairs of tasks whose truth is known: colour and position of a shape, and kind and turn of
a garment. Several modalities for one task are `modality_competition`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, load, loader
from mmtutor.encoders import SmallCNN
from mmtutor.evaluation.predict import Predictions, on_device_of, outputs
from mmtutor.losses.multitask import (
    CombinedGradients,
    UncertaintyWeighting,
    WeightedSum,
    equal_norms,
    gradient_cosines,
    pcgrad,
    task_gradients,
    task_losses,
)
from mmtutor.models.multitask import MultiTask
from mmtutor.recipes import common
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result, TrainConfig, settings
from mmtutor.recipes.common.config import Count, Rate, Size
from mmtutor.training import History

TASKS = {
    "shapes": {"colour": 8, "position": 9},
    "fashion-mnist": {"kind": 10, "turn": 4},
}
WAYS = {
    "joint": "one code for both tasks",
    "weights": "the first task's loss weighs more",
    "uncertainty": "learned weights",
    "equal norms": "gradients of equal length",
    "pcgrad": "conflicting parts projected out",
    "branches": "a code for each task",
    "wide": "one code with more room",
}


@settings
class JointConfig(TrainConfig):
    """What both recipes of joint learning are told.

    Attributes:
        train, test: how many pictures.
        dim, channels, patch: of the CNN; the sides of the pictures are multiples of 4 * patch.
        seeds: how many seeds, from `seed` on.
    """

    train: Count = 1_000
    test: Count = 400
    dim: Count = 32
    channels: Count = 16
    patch: Count = 8
    epochs: Count = 8
    batch_size: Count = 128
    lr: Rate = 1e-2
    seeds: Count = 3


@settings
class Config(JointConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        data: "shapes" or "fashion-mnist".
        width: numbers in the code that the tasks read; `wide` is that of the way of this name.
        weight: of the first task's loss in the way "weights".
        ways: which of WAYS to train, besides each task alone at `width`.
    """

    data: Literal["shapes", "fashion-mnist"] = "shapes"
    width: Count = 2
    wide: Count = 32
    weight: Size = 4.0
    ways: tuple[Literal[tuple(WAYS)], ...] = ("joint", "weights", "pcgrad", "branches", "wide")

    def _check(self) -> None:
        if self.data == "fashion-mnist" and (self.train > 60_000 or self.test > 10_000):
            raise ValueError(
                f"fashion-mnist has 60000 pictures to train on and 10000 to test on, "
                f"train is {self.train} and test {self.test}"
            )


LARGE = Config(train=20_000, dim=128, channels=64, patch=4, wide=128, ways=tuple(WAYS))
PRESETS = {
    "tiny": Config(
        train=256, test=128, width=8, epochs=6, batch_size=32, seeds=1, ways=("joint", "pcgrad")
    ),
    "cpu": Config(),
    "t4": LARGE,
    "h100": replace(LARGE, train=100_000, dim=256, seeds=10),
}


class Trained(NamedTuple):
    """One model after training, how it went, and shares of right answers in [0, 1] by name."""

    model: nn.Module
    history: History
    accuracy: dict[str, float]


def run(config: Config, progress: bool = True) -> Result:
    """Train every way of `config`, and each task alone, from every seed.

    Metrics: `accuracy`, way -> task -> a number for each seed, with "alone" among the ways; and
    `cosine`, way -> for each seed the cosine of the two tasks' gradients after each epoch.
    """
    data = {split: examples(config, split) for split in ("train", "test")}
    accuracy = {w: {task: [] for task in TASKS[config.data]} for w in ("alone", *config.ways)}
    cosine: dict[str, list[list[float]]] = {way: [] for way in config.ways}
    for seed in range(config.seed, config.seed + config.seeds):
        for task in TASKS[config.data]:
            alone = _train(config, "joint", data, seed, [task], progress)
            accuracy["alone"][task].append(alone.accuracy[task])
        for way in config.ways:
            trained = _train(config, way, data, seed, list(TASKS[config.data]), progress)
            for task, value in trained.accuracy.items():
                accuracy[way][task].append(value)
            cosine[way].append([epoch["cosine"] for epoch in trained.history.epochs])
    return Result({"accuracy": accuracy, "cosine": cosine}, trained.history, trained.model, config)


def _train(
    config: Config,
    way: str,
    data: dict[str, Dataset],
    seed: int,
    tasks: Sequence[str],
    progress: bool,
) -> Trained:
    """One model, by one of WAYS, on some tasks of `config`; `data` holds the splits."""
    torch.manual_seed(seed)
    model = build(config, way, tasks)
    probe = next(iter(loader(data["train"], 128)))
    validate = partial(_conflict, batch=probe) if len(tasks) == 2 else None
    config, goal = replace(config, seed=seed), _objective(config, way, model)
    history = common.train(config, model, goal, data["train"], progress, validate=validate)
    found = predict_tasks(model, data["test"])
    right = {task: said.correct.double().mean().item() for task, said in found.items()}
    return Trained(model, history, right)


def build(config: Config, way: str, tasks: Sequence[str]) -> MultiTask:
    """An untrained model for `tasks`, by one of WAYS."""
    encoder = SmallCNN(config.dim, config.channels, config.patch)
    classes = {task: TASKS[config.data][task] for task in tasks}
    if way == "branches":  # the same head, but each with a code of its own
        code = partial(nn.Linear, config.dim, config.width)
        own = {t: nn.Sequential(code(), nn.Linear(config.width, c)) for t, c in classes.items()}
        return MultiTask(encoder, own)
    width = config.wide if way == "wide" else config.width
    heads = {task: nn.Linear(width, c) for task, c in classes.items()}
    return MultiTask(encoder, heads, nn.Linear(config.dim, width))


def _objective(config: Config, way: str, model: MultiTask) -> nn.Module:
    """What `way` minimises; a task alone has nothing to be weighed against."""
    first, *others = model.heads
    if not others:
        return WeightedSum()
    if way == "weights":
        return WeightedSum({first: config.weight, **dict.fromkeys(others, 1.0)})
    if way == "uncertainty":
        return UncertaintyWeighting(len(model.heads), speed=10.0)
    if way in ("pcgrad", "equal norms"):
        return CombinedGradients(model.shared, pcgrad if way == "pcgrad" else equal_norms)
    return WeightedSum()


def _conflict(model: MultiTask, batch: dict[str, Tensor]) -> dict[str, float]:
    """`cosine` of the first two tasks' gradients on what they share, on `batch`."""
    batch = on_device_of(model, batch)
    with torch.enable_grad():
        gradients = task_gradients(task_losses(model(batch), batch), model.shared)
    return {"cosine": gradient_cosines(gradients)[0, 1].item()}


def predict_tasks(model: MultiTask, data: Dataset) -> dict[str, Predictions]:
    """What the model says of every example, by task."""
    logits = [output.tasks for _, output in outputs(model, data)]
    return {
        task: Predictions(torch.cat([x[task].float().cpu() for x in logits]), data.column(task))
        for task in model.heads
    }


def examples(config: Config, split: str) -> Dataset:
    """Pictures and the targets of both tasks."""
    n = config.train if split == "train" else config.test
    if config.data == "fashion-mnist":
        clothes = load("fashion-mnist", split)
        first = 0 if split == "train" else len(clothes) - n  # no setting was chosen on the last
        return _turned(clothes.subset(range(first, first + n)))
    seed = 0 if split == "train" else TEST_SEED_OFFSET
    data = load("shapes", split, n=n, size=4 * config.patch, seed=seed, max_objects=1)
    columns = {task: data.column(task)[:, 0] for task in TASKS[config.data]}
    return Dataset({"image": data.column("image"), **columns}, name=data.name)


def _turned(data: Dataset) -> Dataset:
    """Each picture turned by a quarter as often as its `turn`, 0..3, says; its label is `kind`."""
    image, turn = data.column("image").clone(), torch.arange(len(data)) % 4
    for k in range(1, 4):
        image[turn == k] = image[turn == k].rot90(k, dims=(2, 3))
    return Dataset({"image": image, "kind": data.column("label"), "turn": turn}, name=data.name)
