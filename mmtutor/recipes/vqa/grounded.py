"""Questions about `shapes` in two steps: first learn to see, then to answer by what was seen.

A CNN learns to name what stands in each cell of the picture; then it is frozen, as the detectors
were that gave the visual question answering models of 2018 their eyes (Anderson et al. 2018). On
its nine tokens a model learns to answer: one that is told where to look, one that is not, or any
fusion of the book. Learning all at once, as `vqa` does, takes far longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset, load, loader
from mmtutor.data.shapes.questions.dataset import ANSWERS, TYPES
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders.recurrent import LastToken, RecurrentEncoder
from mmtutor.evaluation.predict import predict
from mmtutor.fusion import FUSIONS
from mmtutor.losses import cross_entropy
from mmtutor.models import FusionClassifier, ProjectionHead
from mmtutor.models.grounded_classifier import GroundedClassifier, GroundedOutput
from mmtutor.recipes.common.presets import UNTOUCHED, choose
from mmtutor.recipes.common.result import Result
from mmtutor.recipes.vqa.classic import BOTH, OBJECTIVES, Trained, measured, prepared
from mmtutor.recipes.vqa.detector import Frozen, Sight, learn_to_see, where_asked
from mmtutor.training import fit

SIDE = 48  # pixels of a picture, 16 to a cell


@dataclass(frozen=True)
class Config:
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        model: "grounded", or a name in `FUSIONS` for a `FusionClassifier` of the same tokens.
        ground: how much it counts in training that two heads of "grounded" select the objects that
            the question's first and second description mean; 0 tells it nothing.
        teacher_forcing: whether it answers every other training question as if they had.
        remedy: against biased answers, a name in `vqa.OBJECTIVES`.
        pictures, sight_epochs: for learning to see.
        train, test: questions.
        split: what is predicted: "test", "val" while settings are being chosen, "unseen", or, of
            biased questions, "adversarial".
        prior, language, types, with_masks: of shapes-questions, as there.
    """

    model: str = "grounded"
    ground: float = 3.0
    teacher_forcing: bool = True
    remedy: str = "none"
    pictures: int = 20_000
    sight_epochs: int = 2
    train: int = 100_000
    test: int = 3_000
    split: str = "test"
    prior: str = "balanced"
    language: str = "en"
    types: tuple[str, ...] = TYPES
    with_masks: bool = False
    dim: int = 64
    width: int = 16
    epochs: int = 6
    batch_size: int = 128
    lr: float = 3e-3
    weight_decay: float = 0.01
    precision: str = "auto"
    seed: int = 0
    dataset: str = "shapes-questions"
    modalities: tuple[str, ...] = BOTH

    @classmethod
    def preset(cls, name: str) -> Config:
        """The configuration called `name`; raises ValueError naming the presets there are."""
        return choose(PRESETS, name)


PRESETS = {
    "tiny": Config(
        pictures=1_500, sight_epochs=4, train=2_500, test=400, dim=32, epochs=4, batch_size=64,
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
    return Result(measured(trained), trained.history, trained.model, config)


def train(config: Config, sight: Sight | None = None, progress: bool = False) -> Trained:
    """One model, with its test questions. `sight` saves learning to see again."""
    sight = see(config, progress) if sight is None else sight
    data = questions(config, "train")
    tokenizer = WordTokenizer.fit(data.column("question"))
    ready = prepared(data, tokenizer).with_column("image", sight.tokens(data.column("image")))
    if config.model == "grounded" and config.ground:
        ready = ready.with_column("told", where_asked("train", config.train, *drawing(config)))
    if config.remedy != "none":
        ready = ready.with_column("bias", question_prior(ready, tokenizer, config))
    torch.manual_seed(config.seed)
    model = build(config, sight, tokenizer)
    history = fit(
        model,
        partial(objective, remedy=config.remedy, ground=config.ground),
        loader(ready, config.batch_size, shuffle=True, seed=config.seed),
        epochs=config.epochs,
        lr=config.lr,
        weight_decay=config.weight_decay,
        precision=config.precision,
        progress=progress,
    )
    return Trained(model, history, questions(config, config.split), tokenizer, config)


def see(config: Config, progress: bool = False) -> Sight:
    """The first step: a CNN that names what is in each cell, trained on pictures of its own."""
    pictures = load("shapes-questions", "train", n=config.pictures, size=SIDE, seed=config.seed + 1)
    torch.manual_seed(config.seed)
    sight = Sight(config.dim, config.width)
    learn_to_see(sight, pictures, config.sight_epochs, config.seed, progress)
    return sight


def build(config: Config, sight: Sight, tokenizer: WordTokenizer) -> nn.Module:
    """An untrained model on frozen eyes."""
    text = RecurrentEncoder(tokenizer.size, config.dim, "gru")
    nn.init.normal_(text.embedding.weight)
    eyes, asks = Frozen(sight.encoder), LastToken(text)
    if config.model == "grounded":
        forcing, hidden = config.teacher_forcing, 2 * config.dim
        return GroundedClassifier(eyes, asks, len(ANSWERS), hidden=hidden, teacher_forcing=forcing)
    dims = {"image": eyes.dim, "tokens": asks.dim}
    fusion = FUSIONS[config.model](dims, 2 * config.dim)
    head = ProjectionHead(2 * config.dim, len(ANSWERS), 2 * config.dim)
    return FusionClassifier({"image": eyes, "tokens": asks}, fusion, head)


def objective(
    output: Any, batch: dict[str, Tensor], remedy: str = "none", ground: float = 0.0
) -> Tensor:
    """Cross-entropy of the answer, by a remedy if need be, and of where to look if it is told."""
    loss = OBJECTIVES[remedy](output, batch)
    if not (ground and isinstance(output, GroundedOutput) and "told" in batch):
        return loss
    told = batch["told"]  # [B, 2, N]
    return loss + ground * F.binary_cross_entropy_with_logits(
        output.gates[:, : told.shape[1]], told
    )


def questions(config: Config, split: str) -> Dataset:
    """The questions of `split`, test questions from seeds that nothing was chosen on."""
    seed, types, prior = drawing(config)
    return load(
        "shapes-questions",
        split,
        n=config.train if split == "train" else config.test,
        size=SIDE,
        seed=seed + (0 if split in ("train", "val") else UNTOUCHED),
        types=types,
        prior=prior,
        language=config.language,
        with_masks=config.with_masks and split != "train",
    )


def drawing(config: Config) -> tuple[int, tuple[str, ...], str]:
    """Seed, types and prior: what decides which questions are drawn."""
    return config.seed, config.types, config.prior


def question_prior(data: Dataset, tokenizer: WordTokenizer, config: Config) -> Tensor:
    """(N, C) log p(answer | question), by a model that is shown another picture each time."""
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(config.seed))
    blind = replace(config, model="concat", remedy="none")
    torch.manual_seed(config.seed)
    sight = Sight(config.dim, config.width)
    model = build(blind, sight, tokenizer)
    other = data.with_column("image", data.column("image")[order])
    batches = loader(other, config.batch_size, shuffle=True, seed=config.seed)
    fit(model, cross_entropy, batches, epochs=1, lr=config.lr, progress=False)
    return predict(model, loader(other, 512)).logits.log_softmax(dim=1)
