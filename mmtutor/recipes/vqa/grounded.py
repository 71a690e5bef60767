"""Questions about `shapes` in two steps: first learn to see, then to answer by what was seen.

A CNN learns to name what stands in each cell of the picture; then it is frozen, as the detectors
were that gave the visual question answering models of 2018 their eyes (Anderson et al. 2018). On
its nine tokens a model learns to answer: one that is told where to look, one that is not, or any
fusion of the book. Learning all at once, as `vqa` does, takes far longer.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import nn

from mmtutor.data import Dataset, load
from mmtutor.data.shapes.questions.dataset import ANSWERS
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders.pretrained import FrozenEncoder
from mmtutor.fusion import FUSIONS
from mmtutor.losses.answering import cell_cross_entropy, grounded
from mmtutor.models import FusionClassifier, ProjectionHead
from mmtutor.models.grid_detector import GridDetector
from mmtutor.models.grounded_classifier import GroundedClassifier
from mmtutor.recipes.common import training
from mmtutor.recipes.common.config import Count, Rate, Size, TrainConfig, settings
from mmtutor.recipes.common.result import Result
from mmtutor.recipes.vqa.cells import attention_target, cells
from mmtutor.recipes.vqa.questions import (
    REMEDIES,
    SIDE,
    QuestionConfig,
    Trained,
    prepared,
    question_encoder,
    question_prior,
    shapes_questions,
)
from mmtutor.training.fit import Objective


@settings
class Config(QuestionConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        model: "grounded", or a name in `FUSIONS` for a `FusionClassifier` of the same tokens.
        ground: how much it counts in training that two heads of "grounded" select the objects that
            the question's first and second description mean; 0 tells it nothing.
        teacher_forcing: whether it answers every other training question as if they had.
        pictures, detector_epochs: for learning to see.
    """

    model: Literal["grounded", *FUSIONS] = "grounded"
    ground: Size = 3.0
    teacher_forcing: bool = True
    pictures: Count = 20_000
    detector_epochs: Count = 2
    train: Count = 100_000
    test: Count = 3_000
    epochs: Count = 6
    batch_size: Count = 128
    lr: Rate = 3e-3


PRESETS = {
    "tiny": Config(
        pictures=1_500, detector_epochs=4, train=2_500, test=400, dim=32, epochs=4, batch_size=64,
        types=("exist",),
    ),
    "cpu": Config(),
    "t4": Config(pictures=50_000, train=500_000, test=10_000, dim=128, width=32, batch_size=256),
    "h100": Config(
        pictures=100_000, train=1_000_000, test=20_000, dim=256, width=64, batch_size=512
    ),
}  # fmt: skip


def run(config: Config, progress: bool = True) -> Result:
    """Learn to see, learn to answer, answer the test questions once."""
    trained = train(config, progress=progress)
    return Result(trained.metrics(), trained.history, trained.model, config)


def pretrain_detector(config: Config, progress: bool = False) -> GridDetector:
    """The first step: a CNN that names what is in each cell, trained on pictures of its own."""
    pictures = load("shapes-questions", "train", n=config.pictures, size=SIDE, seed=config.seed + 1)
    data = Dataset({"image": pictures.column("image"), "cells": cells(pictures)})
    torch.manual_seed(config.seed)
    detector = GridDetector(config.dim, config.width)
    how = TrainConfig(
        epochs=config.detector_epochs, batch_size=64, lr=4e-3, weight_decay=0.05, seed=config.seed
    )
    training.train(how, detector, cell_cross_entropy, data, progress)
    return detector


def train(config: Config, detector: GridDetector | None = None, progress: bool = False) -> Trained:
    """One model, with its test questions. A `detector` saves learning to see again."""
    detector = pretrain_detector(config, progress) if detector is None else detector
    data = shapes_questions(config, "train")
    tokenizer = WordTokenizer.fit(data.column("question"))
    ready = prepared(data, tokenizer).with_column("image", detector.tokens(data.column("image")))
    if config.ground and config.model == "grounded":
        target = attention_target("train", config.train, config.seed, config.types, config.prior)
        ready = ready.with_column("attention_target", target)
    if config.remedy != "none":
        prior = question_prior(ready, tokenizer, config, len(ANSWERS))
        ready = ready.with_column("bias", prior)
    torch.manual_seed(config.seed)
    model = _build(config, detector, tokenizer)
    history = training.train(config, model, _objective(config), ready, progress)
    return Trained(model, history, shapes_questions(config, config.split), tokenizer, ANSWERS)


def _build(config: Config, detector: GridDetector, tokenizer: WordTokenizer) -> nn.Module:
    """An untrained model on the detector's frozen encoder."""
    text, image = question_encoder(tokenizer, config.dim), FrozenEncoder(detector.encoder)
    classes, hidden = len(ANSWERS), 2 * config.dim
    if config.model == "grounded":
        forcing = config.teacher_forcing
        return GroundedClassifier(image, text, classes, hidden=hidden, teacher_forcing=forcing)
    fusion = FUSIONS[config.model]({"image": image.dim, "tokens": text.dim}, hidden)
    head = ProjectionHead(hidden, classes, hidden)
    return FusionClassifier({"image": image, "tokens": text}, fusion, head)


def _objective(config: Config) -> Objective:
    """The loss of the answer, by a remedy if need be, and of where to look if that is told."""
    answer_loss = REMEDIES[config.remedy]
    if not config.ground or config.model != "grounded":
        return answer_loss
    return partial(grounded, weight=config.ground, answer_loss=answer_loss)
