"""Pose estimation: a network finds the joints of stick figures.

Knows one whole experiment, with the mean pose as the control that looks at no picture.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.data.synthetic.stick_figures import JOINTS, MIRRORED, load
from mmtutor.evaluation import bootstrap_interval
from mmtutor.evaluation.keypoints import confused_sides, correct_keypoints, trunk_length
from mmtutor.evaluation.predict import outputs
from mmtutor.losses.heatmaps import heatmap_cross_entropy
from mmtutor.models.pose import PoseNetwork, argmax_joints, soft_argmax_joints
from mmtutor.recipes import common
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result, TrainConfig, settings
from mmtutor.recipes.common.config import Count, Rate, require_multiple

DECODERS = {"argmax": argmax_joints, "soft-argmax": soft_argmax_joints}


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        train, test: how many figures.
        size: side of a picture in pixels, a multiple of 8.
        width: of the `PoseNetwork`.
        decoder: "argmax" or "soft-argmax".
    """

    train: Count = 2_000
    test: Count = 400
    size: Count = 48
    width: Count = 16
    decoder: Literal["argmax", "soft-argmax"] = "argmax"
    epochs: Count = 3
    batch_size: Count = 32
    lr: Rate = 1e-2

    def _check(self) -> None:
        require_multiple(self, "size", 8)


PRESETS = {
    "tiny": Config(train=128, test=32, size=32, width=4, epochs=3),
    "cpu": Config(),
    "t4": Config(train=20_000, test=2_000, size=96, width=48, epochs=10, batch_size=128),
    "h100": Config(train=100_000, test=5_000, size=128, width=96, epochs=10, batch_size=256),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train on figures that face the viewer; test on new ones, and on the mean pose.

    Metrics `network` and `mean_pose` as `score` has them.
    """
    torch.manual_seed(config.seed)
    model = PoseNetwork(len(JOINTS), config.width)
    train, test = figures(config, "train"), figures(config, "test")
    history = common.train(config, model, heatmap_cross_entropy, train, progress)
    truth = test.column("joints")
    mean = train.column("joints").mean(dim=0).expand_as(truth)
    metrics = {
        "network": score(locate(model, test, config.decoder), truth),
        "mean_pose": score(mean, truth),
        "training_examples_per_second": history.examples_per_second,
    }
    return Result(metrics=metrics, history=history, model=model, config=config)


def figures(config: Config, split: str) -> Dataset:
    """The figures of `split` that `config` trains or tests on.

    All but the training figures come from seeds of their own (`TEST_SEED_OFFSET`): no setting of
    the presets was chosen on them.
    """
    n, seed = (config.train, 0) if split == "train" else (config.test, TEST_SEED_OFFSET)
    return load(split, n=n, size=config.size, seed=seed + config.seed)


def locate(model: nn.Module, data: Dataset, decoder: str = "argmax") -> Tensor:
    """Joints (N, J, 2) in pixels that `model` finds in `data`, on the CPU."""
    decode = DECODERS[decoder]
    found = [decode(output).cpu() for _, output in outputs(model, data)]
    return torch.cat(found)


def score(predicted: Tensor, truth: Tensor) -> dict[str, Any]:
    """PCK at 0.2 of the trunk and how often left and right are confused, with intervals.

    Figures are drawn as wholes for the intervals, since the joints of one rise and fall together.
    Also `pck_of_joint`, by name, and `mean_error` in pixels.
    """
    correct = correct_keypoints(predicted, truth, trunk_length(truth), 0.2).double()
    confused = confused_sides(predicted, truth, MIRRORED).double()
    return {
        "pck": bootstrap_interval(correct.mean(dim=1))._asdict(),
        "confused": bootstrap_interval(confused[:, 1:].mean(dim=1))._asdict(),
        "pck_of_joint": dict(zip(JOINTS, correct.mean(dim=0).tolist(), strict=True)),
        "mean_error": (predicted - truth).norm(dim=2).mean().item(),
    }
