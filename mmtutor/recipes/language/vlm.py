"""A vision-language model from scratch, on questions about `shapes`: four ways in, compared.

Knows one whole experiment. The model writes its answer, a word of its whole vocabulary; the truth
is exact. All ways have about as many parameters, so what stands between picture and words is paid
for in blocks of the language model.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mmtutor.data import Dataset, load, loader
from mmtutor.data.shapes.questions.dataset import TYPES
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import CellCNN, FrozenEncoder
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.statistics.bootstrap import by_group
from mmtutor.losses import next_token
from mmtutor.models.generative import GPT, GPTConfig, Patches, VisionLanguageModel, generate
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import (
    TEST_SEED_OFFSET,
    Count,
    CountOrZero,
    Rate,
    require_multiple,
)
from mmtutor.recipes.common.controls import shuffle_column
from mmtutor.recipes.vqa import grounded
from mmtutor.recipes.vqa.questions import SIDE
from mmtutor.training.fit import Objective

PATCH = 8  # pixels of a patch's side, for "stream"
# What of 2 B blocks is left to the language model; a resampler has two, a look is one.
BLOCKS = {
    "linear": lambda b: 2 * b,
    "two-layer": lambda b: 2 * b,
    "queries": lambda b: 2 * b - 2,
    "gated": lambda b: b,
    "stream": lambda b: 2 * b,
}


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        way: of `VisionLanguageModel`, or "stream", which reads patches that no encoder has seen.
        train, test: how many questions, each about a picture of its own.
        split: what is answered: "test", or "val" while settings are being chosen.
        types: of shapes-questions.
        dim, heads: of the language model.
        pairs: half of the number of blocks.
        queries: for the way of that name.
        width: channels of the CNN.
        pictures: from so many, others than those asked about, the CNN learns beforehand to name
            what is in each cell, and is then frozen (`vqa_shapes`); with 0 it learns with all else.
    """

    way: Literal[tuple(BLOCKS)] = "two-layer"
    train: Count = 200_000
    test: Count = 3_000
    split: Literal["test", "val"] = "test"
    types: tuple[Literal[TYPES], ...] = ("exist", "query", "count")
    dim: Count = 128
    heads: Count = 4
    pairs: Count = 2
    queries: Count = 9
    width: Count = 16
    pictures: CountOrZero = 0
    batch_size: Count = 64
    lr: Rate = 1e-3

    def _check(self) -> None:
        require_multiple(self, "dim", 2 * self.heads)
        if self.way == "queries" and self.pairs < 2:
            raise ValueError(f"pairs is {self.pairs}: expected at least 2 with way 'queries'")
        if self.way == "stream" and self.pictures:
            raise ValueError(f"pictures is {self.pictures}: expected 0 with way 'stream'")


PRESETS = {
    "tiny": Config(train=2_000, test=300, dim=64, pairs=1, types=("exist",), epochs=3),
    "cpu": Config(train=40_000, test=1_000),
    "stored": Config(),  # up to an hour on a CPU; the book keeps its results
    "t4": Config(train=500_000, test=10_000, dim=256, batch_size=256),
    "h100": Config(train=1_000_000, test=20_000, dim=384, heads=6, pairs=3, batch_size=512),
}


class Answered(NamedTuple):
    """What was said of each question, and whether it was right (N,) bool."""

    said: list[str]
    correct: Tensor


def run(config: Config, progress: bool = True) -> Result:
    """Learn to answer, then answer the test questions; and again with the pictures permuted."""
    learned, asked = questions(config, "train"), questions(config, config.split)
    words = tokenizer(learned)
    model = build(config, words)
    history = train(config, model, objective(config), data(learned, words), progress)
    types = asked.column("type")
    seen, blind = (
        by_group(answer(model, each, words).correct, types)
        for each in (asked, shuffle_column(asked, "image", config.seed))
    )
    metrics = {
        "by_type": {name: interval._asdict() for name, interval in seen.items()},
        "permuted": {name: interval._asdict() for name, interval in blind.items()},
        "parameters": parameters(model),
        "training_examples_per_second": history.examples_per_second,
    }
    return Result(metrics=metrics, history=history, model=model, config=config)


def questions(config: Config, split: str) -> Dataset:
    """Test questions are drawn from seeds that nothing was chosen on."""
    held_out = split == "test"
    return load(
        "shapes-questions",
        split,
        n=config.train if split == "train" else config.test,
        size=SIDE,
        seed=config.seed + held_out * TEST_SEED_OFFSET,
        types=config.types,
    )


def tokenizer(asked: Dataset) -> WordTokenizer:
    """The words of questions and answers; the id after them stands for the picture."""
    return WordTokenizer.fit([*asked.column("question"), *asked.column("answer")])


def data(asked: Dataset, words: WordTokenizer, answers: bool = True) -> Dataset:
    """Pictures and `tokens`: the picture, the question, and the answer if it is given."""
    pairs = zip(asked.column("question"), asked.column("answer"), strict=True)
    texts = [f"{question} {answer}" if answers else question for question, answer in pairs]
    tokens = [torch.tensor([words.size, *words.encode(text)]) for text in texts]
    return Dataset({"image": asked.column("image"), "tokens": tokens}, name=asked.name)


def build(config: Config, words: WordTokenizer) -> VisionLanguageModel:
    """An untrained model, whose CNN may have learned to see."""
    torch.manual_seed(config.seed)
    gpt = GPT(
        GPTConfig(
            words.size + 1,
            config.dim,
            BLOCKS[config.way](config.pairs),
            config.heads,
            max_length=(SIDE // PATCH) ** 2 + 64,
            positions="rotary",
        )
    )
    stream = config.way == "stream"
    encoder = Patches(PATCH) if stream else CellCNN(config.dim, config.width)
    if config.pictures:
        see = grounded.Config(
            dim=config.dim, width=config.width, pictures=config.pictures, seed=config.seed
        )
        encoder = FrozenEncoder(grounded.pretrain_detector(see).encoder)
    way = "linear" if stream else config.way
    return VisionLanguageModel(gpt, encoder, words.size, way, config.queries)


def objective(config: Config) -> Objective:
    """What is minimised: the surprise at the answer, the last token of its text."""

    def answer_alone(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
        last = batch["tokens_mask"].clone()
        last[:, :-1] &= ~last[:, 1:]
        return next_token(output, {**batch, "answer": last})

    return answer_alone


def answer(model: VisionLanguageModel, asked: Dataset, words: WordTokenizer) -> Answered:
    """The word that the model writes after each question."""
    said: list[str] = []
    device = model.gpt.embedding.weight.device
    for batch in loader(data(asked, words, answers=False), 256):
        found = generate(model, {name: x.to(device) for name, x in batch.items()}, 1).tokens
        said += [words.decode(row[row != words.size]) for row in found.cpu()]
    true = asked.column("answer")
    correct = torch.tensor([one == other for one, other in zip(said, true, strict=True)])
    return Answered(said, correct)
