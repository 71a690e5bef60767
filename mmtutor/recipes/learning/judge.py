"""Somebody who looks at pictures of one shape and says what is there.

Knows a CNN with four answers, and how often they agree with what a picture should show. Does not
know who made the picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.encoders import EdgeCNN
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses.multitask import WeightedSum
from mmtutor.models.multitask import MultiTask
from mmtutor.recipes.common import TrainConfig, train
from mmtutor.recipes.joint.tasks import predict_tasks

ASKED = {"shape": 6, "colour": 8, "size": 2, "position": 9}  # answers to choose from


def _build_judge(width: int) -> MultiTask:
    """An untrained CNN with an answer for each of ASKED."""
    heads = {name: nn.Linear(width, classes) for name, classes in ASKED.items()}
    trunk = nn.Sequential(nn.Linear(width, width), nn.ReLU())
    return MultiTask(EdgeCNN(width, width // 2), heads, trunk)


def learn_to_judge(
    config: TrainConfig, width: int, pictures: list[Dataset], progress: bool = False
) -> MultiTask:
    """A CNN that has learned to say what is in the pictures of these sets."""
    torch.manual_seed(config.seed)
    judge, each = _build_judge(width), [asked_of(one) for one in pictures]
    seen = {name: torch.cat([one.column(name) for one in each]) for name in each[0].columns}
    train(config, judge, WeightedSum(), Dataset(seen), progress)
    return judge


def asked_of(pictures: Dataset, image: Tensor | None = None) -> Dataset:
    """What is asked of the pictures, and the truth; or of other pictures (N, 3, S, S) in their
    place."""
    truth = {name: pictures.column(name)[:, 0] for name in ASKED}
    return Dataset({"image": pictures.column("image") if image is None else image, **truth})


def agreement(judge: MultiTask, pictures: Dataset) -> dict[str, dict[str, float]]:
    """The share of pictures that the judge reads as is written beside them, by attribute."""
    right = {name: said.correct for name, said in predict_tasks(judge, pictures).items()}
    right["all"] = torch.stack([*right.values()]).all(dim=0)
    return {name: bootstrap_interval(each.double())._asdict() for name, each in right.items()}
