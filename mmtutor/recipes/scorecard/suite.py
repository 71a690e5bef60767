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
from mmtutor.evaluation.scorecard.standards import scorecard
from mmtutor.evaluation.scorecard.suite import EvaluationSuite
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result
from mmtutor.recipes.scorecard.candidates import Candidate, Encode, candidates, encoded
from mmtutor.recipes.scorecard.config import Config

OBJECTS = 3
TYPES = ("query",)
SHADES = ("lightest", "light", "dark", "darkest")  # of the background
RANDOM_GROUPS = 4  # every row has a number below this that means nothing
KEPT = ("image", "label", "form", "background", "target")
CORRUPTED = {
    "noisy image": ("gaussian noise", "image", "image"),
    "blurred image": ("blur", "image", "image"),
    "typos": ("typos", "text", "question"),
    "lost words": ("word drop", "text", "question"),
}  # of severity 3: which corruption, of which modality, in which column


def run(config: Config, progress: bool = True) -> Result:
    """Train the candidates, evaluate all; `metrics[model][standard][name]` are their cards."""
    suite = make_suite(config)
    models, history = candidates(config, training_questions(config), progress)
    cards = evaluate_all(models, suite)
    metrics = {card.model: card.to_dict()["standards"] for card in cards}
    return Result(metrics, history, models["concatenation"].model, config)


def evaluate_all(models: Mapping[str, Candidate], suite: EvaluationSuite) -> list[Scorecard]:
    """The card of each model: the same examples for all, each in its own tokens."""
    cards = []
    for name, (model, encode) in models.items():
        asked = _suite_for(suite, encode)
        cards.append(scorecard(model, asked, name))
    return cards


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
    return data.with_column("question", _asked(data, _in_turn(data)))


def make_suite(config: Config) -> EvaluationSuite:
    """The suite, its questions still in words. Test questions come from untouched seeds."""
    seed = config.seed + (TEST_SEED_OFFSET if config.split == "test" else 0)
    options = {"size": config.size, "seed": seed, "max_objects": OBJECTS, "types": TYPES}
    data = load_questions(config.split, config.test, with_masks=True, **options)
    asked, _ = questions(config.split, config.test, seed, OBJECTS, TYPES)
    asked = replace(asked, wording=(asked.wording + 1) % 6)  # another way of asking, always
    again = [both[i % 2] for i, both in enumerate(zip(english(asked), chinese(asked), strict=True))]
    data = _columns(data, _in_turn(data))
    twins = pairs(config.test // 2, config.split, **options)
    grey = torch.full_like(data.column("image"), 128)
    return EvaluationSuite(
        data,
        ("image", "tokens"),
        domains=("form", "language"),
        sensitive=("shade",),
        paraphrased=data.with_column("question", again),
        pairs=_columns(twins, [i // 2 % 2 for i in range(len(twins))]),
        corrupted={
            name: corrupt(data, corruption, 3, modality, column)
            for name, (corruption, modality, column) in CORRUPTED.items()
        }
        | {"no image": data.with_column("image", grey)},
        examined=config.examined,
    )


def in_words(data: Dataset, rows: Sequence[int]) -> list[str]:
    """Some questions, each with its true answer."""
    asked, label = data.column("question"), data.column("label").tolist()
    return [f"{asked[i]} {ANSWERS[label[i]]}" for i in rows]


def _columns(data: Dataset, language: list[int]) -> Dataset:
    """What the suite needs of `data`, with the columns that say to which groups a row belongs."""
    generator = torch.Generator().manual_seed(0)
    groups = {
        "language": [("English", "Chinese")[i] for i in language],
        "shade": [SHADES[i] for i in data.column("background").tolist()],
        "random_group": torch.randint(RANDOM_GROUPS, (len(data),), generator=generator),
        "question": _asked(data, language),
    }
    kept = {name: data.column(name) for name in KEPT if name in data.columns}
    return Dataset({**kept, **groups}, name=data.name)


def _in_turn(data: Dataset) -> list[int]:
    """0 for English and 1 for Chinese, row by row."""
    return [i % 2 for i in range(len(data))]


def _asked(data: Dataset, language: list[int]) -> list[str]:
    both = zip(data.column("question"), data.column("question_zh"), strict=True)
    return [pair[i] for pair, i in zip(both, language, strict=True)]
