"""The scorecard of several models that answer questions about `shapes`: one exam for all of them.

Knows the exam and which models sit it. How the models are made is `scorecard_models`; what is
measured, `evaluation.standards`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch

from mmtutor.data import Dataset
from mmtutor.data.corruptions import corrupt
from mmtutor.data.shapes.questions.dataset import ANSWERS, pairs, questions
from mmtutor.data.shapes.questions.dataset import load as load_questions
from mmtutor.data.shapes.questions.words import chinese, english
from mmtutor.evaluation.scorecard.measures import Scorecard
from mmtutor.evaluation.scorecard.standards import Exam, scorecard
from mmtutor.recipes.common.presets import UNTOUCHED, choose
from mmtutor.recipes.common.result import Result
from mmtutor.recipes.scorecard.candidates import Encode, Entrant, encoded, entrants

OBJECTS = 3
TYPES = ("query",)
SHADES = ("lightest", "light", "dark", "darkest")  # of the background
LUCK = 4  # every row has a number below this that means nothing
KEPT = ("image", "label", "form", "background", "target")
SPOILED = {
    "noisy picture": ("gaussian noise", 3, "image"),
    "blurred picture": ("blur", 3, "image"),
    "typos": ("typos", 3, "text"),
    "lost words": ("word drop", 3, "text"),
}


@dataclass(frozen=True)
class Config:
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        train: questions to train on, one half in English and one in Chinese.
        pictures: of those, the pictures from which all models' image encoder learns.
        test: questions of the exam.
        split: "test", or "val" while settings are being chosen.
        size: side of a picture, a multiple of 12.
        dim, width: of the image encoder's tokens and its first layer; hidden, of fusion and head.
        look: passes over the pictures; epochs: over the questions.
        hub: whether a tiny ViLT is saved into a folder and loaded by `transformers` from there.
        hub_steps: batches that it is trained for.
        examined: see `Exam`.
    """

    train: int = 10_000
    pictures: int = 6_000
    test: int = 600
    split: str = "test"
    size: int = 36
    dim: int = 48
    width: int = 16
    hidden: int = 48
    look: int = 8
    epochs: int = 8
    batch_size: int = 128
    lr: float = 1e-2
    weight_decay: float = 0.05
    hub: bool = True
    hub_steps: int = 100
    examined: int = 100
    precision: str = "auto"
    seed: int = 0

    @classmethod
    def preset(cls, name: str) -> Config:
        """The configuration called `name`; raises ValueError naming the presets there are."""
        return choose(PRESETS, name)


PRESETS = {
    "tiny": Config(
        train=1_000, pictures=600, test=80, dim=16, width=8, hidden=16, look=2, epochs=1,
        hub_steps=2, examined=20,
    ),
    "cpu": Config(),
    "t4": Config(
        train=200_000, pictures=100_000, test=4_000, size=48, dim=128, width=32, hidden=128,
        look=10, epochs=10, batch_size=512, lr=4e-3, hub_steps=4_000, examined=1_000,
    ),
    "h100": Config(
        train=1_000_000, pictures=400_000, test=10_000, size=48, dim=256, width=64, hidden=256,
        look=10, epochs=10, batch_size=1_024, lr=2e-3, hub_steps=20_000, examined=2_000,
    ),
}  # fmt: skip


def run(config: Config, progress: bool = True) -> Result:
    """Train all models, let them sit the exam; `metrics[model][standard][name]` are the cards."""
    exam = make_exam(config)
    models, history = entrants(config, training_questions(config), progress)
    cards = graded(models, exam)
    metrics = {card.model: card.to_dict()["standards"] for card in cards}
    return Result(metrics, history, models["concatenation"].model, config)


def graded(models: Mapping[str, Entrant], exam: Exam) -> list[Scorecard]:
    """The card of each model: the same examples for all, each in its own tokens."""
    return [
        scorecard(entrant.model, exam_for(exam, entrant.encode), name)
        for name, entrant in models.items()
    ]


def exam_for(exam: Exam, encode: Encode) -> Exam:
    """The exam with every question as the token ids of one model."""
    return replace(
        exam,
        data=encoded(exam.data, encode),
        paraphrased=encoded(exam.paraphrased, encode),
        pairs=encoded(exam.pairs, encode),
        spoiled={name: encoded(data, encode) for name, data in exam.spoiled.items()},
    )


def training_questions(config: Config) -> Dataset:
    """Questions of split "train", in turn in English and in Chinese; columns as of `load`."""
    data = load_questions("train", config.train, config.size, config.seed, OBJECTS, TYPES)
    return data.with_column("question", _in_turn(data.column("question"), _chinese(data)))


def make_exam(config: Config) -> Exam:
    """The exam, its questions still in words. Test questions come from untouched seeds."""
    seed = config.seed + (UNTOUCHED if config.split == "test" else 0)
    options = {"size": config.size, "seed": seed, "max_objects": OBJECTS, "types": TYPES}
    data = load_questions(config.split, config.test, with_masks=True, **options)
    asked, _ = questions(config.split, config.test, seed, OBJECTS, TYPES)
    asked = replace(asked, wording=(asked.wording + 1) % 6)  # another way of asking, always
    data = _columns(data, _in_turn(data.column("question"), _chinese(data)))
    twins = pairs(config.test // 2, config.split, **options)
    twice = [i // 2 % 2 for i in range(len(twins))]
    grey = torch.full_like(data.column("image"), 128)
    return Exam(
        data,
        ("image", "tokens"),
        domains=("form", "language"),
        sensitive=("shade",),
        paraphrased=data.with_column("question", _in_turn(english(asked), chinese(asked))),
        pairs=_columns(twins, _chosen(twice, twins.column("question"), _chinese(twins)), twice),
        spoiled={
            **{name: _spoiled(data, *how) for name, how in SPOILED.items()},
            "no picture": data.with_column("image", grey),
        },
        examined=config.examined,
    )


def in_words(data: Dataset, rows: Sequence[int]) -> list[str]:
    """Some questions, each with its true answer."""
    asked, label = data.column("question"), data.column("label").tolist()
    return [f"{asked[i]} {ANSWERS[label[i]]}" for i in rows]


def _columns(data: Dataset, asked: list[str], language: list[int] | None = None) -> Dataset:
    """What the exam needs of `data`, with the columns that say to which groups a row belongs."""
    kept = {name: data.column(name) for name in KEPT if name in data.columns}
    which = [i % 2 for i in range(len(data))] if language is None else language
    luck = torch.randint(LUCK, (len(data),), generator=torch.Generator().manual_seed(0))
    shade = [SHADES[i] for i in data.column("background").tolist()]
    names = {"language": [("English", "Chinese")[i] for i in which], "shade": shade}
    return Dataset({**kept, **names, "luck": luck, "question": asked}, name=data.name)


def _spoiled(data: Dataset, corruption: str, severity: int, modality: str) -> Dataset:
    field = "image" if modality == "image" else "question"
    return corrupt(data, corruption, severity, modality, field)


def _chinese(data: Dataset) -> list[str]:
    return data.column("question_zh")


def _in_turn(first: list[str], second: list[str]) -> list[str]:
    return _chosen([i % 2 for i in range(len(first))], first, second)


def _chosen(which: list[int], first: list[str], second: list[str]) -> list[str]:
    return [b if i else a for i, a, b in zip(which, first, second, strict=True)]
