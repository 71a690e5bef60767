"""Visual question answering: a CNN, a recurrent network and any fusion, and their blind controls.

Knows whole experiments on easy-VQA and on questions about `shapes`. Pretrained models and
photographs are `vqa_hub`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from mmtutor.data import Dataset, load, loader
from mmtutor.data.real import easy_vqa
from mmtutor.data.shapes.questions.dataset import ANSWERS as SHAPES_ANSWERS
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders.image import EdgeCNN, EncodeUniqueImages
from mmtutor.fusion import FUSIONS
from mmtutor.models import Classifier, FusionClassifier, ProjectionHead
from mmtutor.recipes.common import training
from mmtutor.recipes.common.config import Count, CountOrZero, Rate, Size, settings
from mmtutor.recipes.common.result import Result
from mmtutor.recipes.vqa.questions import (
    BOTH,
    REMEDIES,
    QuestionConfig,
    Trained,
    prepared,
    question_encoder,
    question_prior,
    shapes_questions,
)

ANSWERS = {"easy-vqa": easy_vqa.ANSWERS, "shapes-questions": SHAPES_ANSWERS}


@settings
class Config(QuestionConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        dataset: "easy-vqa", of which `train` and `test` None take all, or "shapes-questions".
        fusion: a name in `FUSIONS`.
        modalities: those that the model is given; one alone makes a control.
        holdout: train pictures of easy-VQA that are kept for "val".
        hidden: size of the fused vector and of the head.
    """

    dataset: Literal["easy-vqa", "shapes-questions"] = "easy-vqa"
    fusion: Literal[tuple(FUSIONS)] = "product"
    modalities: tuple[Literal[BOTH], ...] = BOTH
    holdout: CountOrZero = 0
    hidden: Count = 64
    epochs: Count = 10
    batch_size: Count = 64
    lr: Rate = 2e-3
    weight_decay: Size = 0.05

    def _check(self) -> None:
        if self.dataset == "easy-vqa" and self.split not in ("test", "val"):
            raise ValueError(f"split is {self.split!r}: expected 'test' or 'val' of easy-vqa")
        super()._check()


SHAPES = Config(dataset="shapes-questions", fusion="film", hidden=128, batch_size=32)
PRESETS = {
    "tiny": Config(
        train=16_000, test=600, dim=32, hidden=32, epochs=3, batch_size=128, lr=6e-3
    ),
    "cpu": Config(),
    "t4": replace(SHAPES, train=500_000, test=10_000, dim=192, width=48, epochs=10, batch_size=512),
    "h100": replace(
        SHAPES, train=2_000_000, test=20_000, dim=256, width=64, hidden=256, epochs=10,
        batch_size=1024,
    ),
}  # fmt: skip


def run(config: Config, progress: bool = True) -> Result:
    """Train, answer the test questions once, and measure what each modality is worth."""
    trained = train(config, progress)
    return Result(trained.metrics(config.modalities), trained.history, trained.model, config)


def train(config: Config, progress: bool = False) -> Trained:
    """Train one model; nothing is tested yet."""
    data, answers = questions(config, "train"), ANSWERS[config.dataset]
    tokenizer = WordTokenizer.fit(data.column("question"))
    ready = prepared(data, tokenizer)
    if config.remedy != "none":
        prior = question_prior(ready, tokenizer, config, len(answers))
        ready = ready.with_column("bias", prior)
    torch.manual_seed(config.seed)
    model = build(config, tokenizer)
    batches = loader(ready, config.batch_size, seed=config.seed, group_by="image_id")
    history = training.train(config, model, REMEDIES[config.remedy], batches, progress)
    return Trained(model, history, questions(config, config.split), tokenizer, answers)


def build(config: Config, tokenizer: WordTokenizer) -> nn.Module:
    """An untrained `FusionClassifier`, or a `Classifier` where there is one modality."""
    classes = len(ANSWERS[config.dataset])
    text = question_encoder(tokenizer, config.dim)
    image = EncodeUniqueImages(EdgeCNN(config.dim, config.width))
    encoders = {name: {"image": image, "tokens": text}[name] for name in config.modalities}
    if len(encoders) == 1:
        return Classifier(*encoders.values(), classes)
    late = config.fusion == "late"
    dims = dict.fromkeys(encoders, config.dim)
    fusion = FUSIONS[config.fusion](dims, classes if late else config.hidden)
    head = nn.Identity() if late else ProjectionHead(config.hidden, classes, config.hidden)
    return FusionClassifier(encoders, fusion, head)


def questions(config: Config, split: str) -> Dataset:
    """The questions of `split` with all their columns."""
    if config.dataset == "shapes-questions":
        return shapes_questions(config, split)
    data = load("easy-vqa", split, holdout=config.holdout)
    count = config.train if split == "train" else config.test
    return data if count is None else data.subset(range(count))
