"""A vision-language model from scratch, on questions about `shapes`: four ways in, compared.

Knows one whole experiment. The model writes its answer, a word of its whole vocabulary; the truth
is exact. All ways have about as many parameters, so what stands between picture and words is paid
for in blocks of the language model.

A CNN learns beforehand to name what is in each cell of a picture, and is then frozen, as the
encoder of LLaVA was; only "stream" learns to see and to answer at once. How large the first weights
are (`gain`) decides whether anything is learned within minutes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from time import process_time
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mmtutor.data import Dataset, collate, load, loader
from mmtutor.data.shapes.questions.dataset import TYPES
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.data.tokenizer import words as words_of
from mmtutor.encoders import CellCNN, FrozenEncoder
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.statistics.bootstrap import by_group
from mmtutor.losses import next_token
from mmtutor.models.generative import GPT, GPTConfig, Patches, VisionLanguageModel, generate
from mmtutor.models.grid_detector import GridDetector
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
        gain: of the first weights of the language model. A matrix of D columns with numbers of a
            standard deviation of gain / sqrt(D) keeps, with 1, a vector's coordinates as large as
            they were. GPT-2 has 0.02 whatever D is, made for 768 or more: where D is 64, queries
            and keys are then so short that attention looks at everything alike, and its gradient
            is next to nothing.
        pictures: from so many, others than those asked about, the CNN learns beforehand to name
            what is in each cell, and is then frozen (`vqa_shapes`); with 0 it learns with all else.
            "stream" has no CNN, and is told nothing beforehand.
    """

    way: Literal[tuple(BLOCKS)] = "two-layer"
    train: Count = 300_000
    test: Count = 3_000
    split: Literal["test", "val"] = "test"
    types: tuple[Literal[TYPES], ...] = ("exist", "query", "count")
    dim: Count = 64
    heads: Count = 4
    pairs: Count = 2
    queries: Count = 9
    width: Count = 16
    gain: Rate = 1.0
    pictures: CountOrZero = 20_000
    batch_size: Count = 64
    lr: Rate = 3e-3

    def _check(self) -> None:
        require_multiple(self, "dim", 2 * self.heads)
        if self.way == "queries" and self.pairs < 2:
            raise ValueError(f"pairs is {self.pairs}: expected at least 2 with way 'queries'")


PRESETS = {
    "tiny": Config(train=2_000, test=300, pairs=1, types=("exist",), pictures=500, epochs=3),
    "cpu": Config(train=90_000, test=1_000, pairs=1, pictures=10_000, batch_size=128),
    "stored": Config(),  # minutes on a CPU; the book keeps its results
    "t4": Config(train=500_000, test=10_000, dim=128, batch_size=256),
    "h100": Config(train=1_000_000, test=20_000, dim=256, pairs=3, batch_size=512, lr=1e-3),
}


class Answered(NamedTuple):
    """What was said of each question, and whether it was right (N,) bool."""

    said: list[str]
    correct: Tensor


def run(config: Config, progress: bool = True) -> Result:
    """Learn to see and to answer, then answer the test questions."""
    learned, asked = questions(config, "train"), questions(config, config.split)
    return measured(config, learned, asked, detector(config), progress)


def measured(
    config: Config,
    learned: Dataset,
    asked: Dataset,
    eyes: GridDetector | None = None,
    progress: bool = False,
) -> Result:
    """Learn to answer with the eyes of a `detector`, and be asked.

    Metrics: by type, how many answers are right, with the pictures permuted too, and of one who
    knows the training questions and sees nothing; parameters, vectors that stand in the text for a
    picture, and training examples a second of the processor.
    """
    words = tokenizer(learned)
    model, ready = build(config, words, eyes), learned
    if eyes is not None:  # what is frozen sees each picture once
        ready = learned.with_column("image", eyes.tokens(learned.column("image")))
    started = process_time()
    history = train(config, model, objective(config), data(ready, words), progress)
    seconds = process_time() - started
    permuted = shuffle_column(asked, "image", config.seed)
    answered = {
        "by_type": answer(model, asked, words),
        "permuted": answer(model, permuted, words),
        "prior": prior(learned, asked),
    }
    metrics = {
        name: {
            kind: x._asdict() for kind, x in by_group(said.correct, asked.column("type")).items()
        }
        for name, said in answered.items()
    }
    metrics["parameters"] = parameters(model)
    metrics["vectors"] = _vectors(model, data(asked, words))
    metrics["examples_per_cpu_second"] = config.epochs * len(learned) / seconds
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
    """The words of questions and answers, which are the same of all large sets of questions; the
    id after them stands for the picture."""
    texts = {*asked.column("question"), *asked.column("answer")}
    return WordTokenizer(sorted({word for text in texts for word in words_of(text)}))


def data(asked: Dataset, words: WordTokenizer, answers: bool = True) -> Dataset:
    """Pictures and `tokens`: the picture, the question, and the answer if it is given."""
    pairs = zip(asked.column("question"), asked.column("answer"), strict=True)
    texts = [f"{question} {answer}" if answers else question for question, answer in pairs]
    tokens = [torch.tensor([words.size, *words.encode(text)]) for text in texts]
    return Dataset({"image": asked.column("image"), "tokens": tokens}, name=asked.name)


def detector(config: Config) -> GridDetector | None:
    """A CNN that has learned to see, from pictures of its own; None where none is to."""
    if not config.pictures or config.way == "stream":
        return None
    see = {"dim": config.dim, "width": config.width, "pictures": config.pictures}
    return grounded.pretrain_detector(grounded.Config(**see, seed=config.seed))


def build(
    config: Config, words: WordTokenizer, eyes: GridDetector | None = None
) -> VisionLanguageModel:
    """An untrained model, with the CNN of `eyes`, frozen, or else one that is to learn to see."""
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
    with torch.no_grad():  # all matrices by the same factor
        larger = config.gain / config.dim**0.5 / gpt.embedding.weight.std()
        for parameter in gpt.parameters():
            if parameter.ndim == 2:
                parameter *= larger
    stream = config.way == "stream"
    encoder = Patches(PATCH) if stream else CellCNN(config.dim, config.width)
    encoder = encoder if eyes is None else FrozenEncoder(eyes.encoder)
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
    return _judged(said, asked)


def prior(learned: Dataset, asked: Dataset) -> Answered:
    """What it says who does not look: the most frequent answer to the same question in training, or
    where there it was never asked, to one of its form."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for key in ("program", "form"):
        for name, said in zip(learned.column(key), learned.column("answer"), strict=True):
            counts[name][said] += 1
    both = zip(asked.column("program"), asked.column("form"), strict=True)
    found = [(counts.get(program) or counts[form]).most_common(1) for program, form in both]
    return _judged([said for [(said, _)] in found], asked)


def _vectors(model: VisionLanguageModel, rows: Dataset) -> int:
    """How many vectors stand in a text for its picture."""
    batch = collate([rows[0]])
    device = model.gpt.embedding.weight.device
    with torch.no_grad():
        mask = model.prompt({name: x.to(device) for name, x in batch.items()}).mask
    return int(mask.sum()) - batch["tokens"].shape[1] + 1


def _judged(said: list[str], asked: Dataset) -> Answered:
    true = asked.column("answer")
    return Answered(said, torch.tensor([a == b for a, b in zip(said, true, strict=True)]))
