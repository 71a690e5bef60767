"""The scorecard of several models that answer questions about `shapes`: one suite for all of them.

Knows what the suite asks. How the candidates are made is `candidates`; what is measured,
`evaluation.scorecard.standards`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch

from mmtutor.data import Dataset
from mmtutor.data.corruptions import corrupt
from mmtutor.data.shapes.questions.dataset import ANSWERS, pairs, questions
from mmtutor.data.shapes.questions.dataset import load as load_questions
from mmtutor.data.shapes.questions.words import chinese, english
from mmtutor.evaluation.scorecard.measures import Scorecard
from mmtutor.evaluation.scorecard.standards import EvaluationSuite, scorecard
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result
from mmtutor.recipes.scorecard.candidates import Candidate, Encode, candidates, encoded
from mmtutor.recipes.scorecard.config import Config

OBJECTS = 3
TYPES = ("query",)
SHADES = ("lightest", "light", "dark", "darkest")  # of the background
RANDOM_GROUPS = 4  # every row has a number below this that means nothing
KEPT = ("image", "label", "form", "background", "target")
CORRUPTED = {
    "noisy picture": ("gaussian noise", 3, "image"),
    "blurred picture": ("blur", 3, "image"),
    "typos": ("typos", 3, "text"),
    "lost words": ("word drop", 3, "text"),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train the candidates, evaluate all; `metrics[model][standard][name]` are their cards."""
    suite = make_suite(config)
    models, history = candidates(config, training_questions(config), progress)
    cards = evaluate_all(models, suite)
    metrics = {card.model: card.to_dict()["standards"] for card in cards}
    return Result(metrics, history, models["concatenation"].model, config)


def evaluate_all(models: Mapping[str, Candidate], suite: EvaluationSuite) -> list[Scorecard]:
    """The card of each model: the same examples for all, each in its own tokens."""
    return [
        scorecard(candidate.model, _suite_for(suite, candidate.encode), name)
        for name, candidate in models.items()
    ]


def _suite_for(suite: EvaluationSuite, encode: Encode) -> EvaluationSuite:
    """The suite with every question as the token ids of one model."""
    return replace(
        suite,
        data=encoded(suite.data, encode),
        paraphrased=encoded(suite.paraphrased, encode),
        pairs=encoded(suite.pairs, encode),
        corrupted={name: encoded(data, encode) for name, data in suite.corrupted.items()},
    )


def training_questions(config: Config) -> Dataset:
    """Questions of split "train", in turn in English and in Chinese; columns as of `load`."""
    data = load_questions("train", config.train, config.size, config.seed, OBJECTS, TYPES)
    return data.with_column("question", _in_turn(data.column("question"), _chinese(data)))


def make_suite(config: Config) -> EvaluationSuite:
    """The suite, its questions still in words. Test questions come from untouched seeds."""
    seed = config.seed + (TEST_SEED_OFFSET if config.split == "test" else 0)
    options = {"size": config.size, "seed": seed, "max_objects": OBJECTS, "types": TYPES}
    data = load_questions(config.split, config.test, with_masks=True, **options)
    asked, _ = questions(config.split, config.test, seed, OBJECTS, TYPES)
    asked = replace(asked, wording=(asked.wording + 1) % 6)  # another way of asking, always
    data = _columns(data, _in_turn(data.column("question"), _chinese(data)))
    twins = pairs(config.test // 2, config.split, **options)
    twice = [i // 2 % 2 for i in range(len(twins))]
    grey = torch.full_like(data.column("image"), 128)
    return EvaluationSuite(
        data,
        ("image", "tokens"),
        domains=("form", "language"),
        sensitive=("shade",),
        paraphrased=data.with_column("question", _in_turn(english(asked), chinese(asked))),
        pairs=_columns(twins, _chosen(twice, twins.column("question"), _chinese(twins)), twice),
        corrupted={
            **{name: _corrupted(data, *how) for name, how in CORRUPTED.items()},
            "no picture": data.with_column("image", grey),
        },
        examined=config.examined,
    )


def in_words(data: Dataset, rows: Sequence[int]) -> list[str]:
    """Some questions, each with its true answer."""
    asked, label = data.column("question"), data.column("label").tolist()
    return [f"{asked[i]} {ANSWERS[label[i]]}" for i in rows]


def _columns(data: Dataset, asked: list[str], language: list[int] | None = None) -> Dataset:
    """What the suite needs of `data`, with the columns that say to which groups a row belongs."""
    kept = {name: data.column(name) for name in KEPT if name in data.columns}
    which = [i % 2 for i in range(len(data))] if language is None else language
    generator = torch.Generator().manual_seed(0)
    groups = {
        "language": [("English", "Chinese")[i] for i in which],
        "shade": [SHADES[i] for i in data.column("background").tolist()],
        "random_group": torch.randint(RANDOM_GROUPS, (len(data),), generator=generator),
    }
    return Dataset({**kept, **groups, "question": asked}, name=data.name)


def _corrupted(data: Dataset, corruption: str, severity: int, modality: str) -> Dataset:
    field = "image" if modality == "image" else "question"
    return corrupt(data, corruption, severity, modality, field)


def _chinese(data: Dataset) -> list[str]:
    return data.column("question_zh")


def _in_turn(first: list[str], second: list[str]) -> list[str]:
    return _chosen([i % 2 for i in range(len(first))], first, second)


def _chosen(which: list[int], first: list[str], second: list[str]) -> list[str]:
    return [b if i else a for i, a, b in zip(which, first, second, strict=True)]
