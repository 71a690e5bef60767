"""Recipe: hear what was said, in which language, or which shape is sounding.

Knows four questions about sounds of `shapes`, whose truth is exact, and two about the spoken
captions of `stamps`: the language, and the article of a Spanish or Catalan caption, "un" or "una".
The book's chapter on audio encoders asks what an answer is worth.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import torch
from torch import nn

from mmtutor.data import Dataset
from mmtutor.data.real.sounds import first_words, spoken, tags, with_audio
from mmtutor.data.shapes.dataset import scenes, sounds
from mmtutor.data.splits import fold_of
from mmtutor.encoders import AudioCNN, AudioTransformer
from mmtutor.recipes.common import Result, TrainConfig, settings, shuffle_column
from mmtutor.recipes.common.classifier import Trained, train_classifier
from mmtutor.recipes.common.config import BelowOne, Count, Fold, Rate, require_multiple

LANGUAGES = ("be", "bg", "ca", "el", "es", "fr", "ro", "ru")
ARTICLES = ("un", "una")
ATTRIBUTES = {"position": 9, "colour": 8, "shape": 6, "size": 2}


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        task: "article", "language", or an attribute of `shapes`: position, colour, shape or size.
        voice: for "article", the language whose voice is trained on: "es" or "ca".
        examples: for `shapes`, scenes to train on; for "language", captions of each language.
        seconds, part: how much of each recording is heard, and which; see `sounds.with_audio`.
        encoder: "cnn" or "transformer".
        subtract_mean: take each band's mean over a recording away; see `LogMel`.
        shuffle_labels: train on labels dealt at random, the control that should fail.
        fold: which fifth of the caption groups is held out.
    """

    task: Literal["article", "language", "position", "colour", "shape", "size"] = "article"
    voice: Literal["es", "ca"] = "es"
    examples: Count = 60
    seconds: Rate = 0.5
    part: Literal["all", "speech", "quietest"] = "speech"
    encoder: Literal["cnn", "transformer"] = "transformer"
    dim: Count = 64
    width: Count = 16
    depth: Count = 2
    heads: Count = 4
    dropout: BelowOne = 0.0
    subtract_mean: bool = False
    shuffle_labels: bool = False
    epochs: Count = 8
    batch_size: Count = 32
    lr: Rate = 2e-3
    fold: Fold = 1

    def _check(self) -> None:
        if self.encoder == "transformer":
            require_multiple(self, "dim", "heads")


PRESETS = {
    "tiny": Config(task="position", examples=256, epochs=4, dim=32, width=8, depth=1),
    "cpu": Config(subtract_mean=True),
    "t4": Config(subtract_mean=True, dim=256, width=64, depth=4, dropout=0.1, epochs=60, lr=5e-4),
    "h100": Config(
        subtract_mean=True, dim=384, width=96, depth=6, heads=6, dropout=0.1, epochs=100, lr=3e-4
    ),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train on the training part of `config`'s task and test once on the held-out fold."""
    data, test = split(config)
    trained = train(config, data, test, progress)
    majority = max(Counter(test.column("label").tolist()).values()) / len(test)
    sizes = {"train": len(data), "test": len(test)}
    return trained.result(config, majority=majority, examples=sizes)


def train(config: Config, data: Dataset, test: Dataset, progress: bool = False) -> Trained:
    """An encoder of `config`, trained on `data` (audio, label) and asked about `test`."""
    if config.shuffle_labels:
        data = shuffle_column(data, "label", config.seed)
    classes = {"article": len(ARTICLES), "language": len(LANGUAGES), **ATTRIBUTES}[config.task]
    return train_classifier(config, _build(config), data, test, classes, config.dropout, progress)


def _build(config: Config) -> nn.Module:
    """The encoder of `config`, untrained."""
    torch.manual_seed(config.seed)
    common = {"dim": config.dim, "subtract_mean": config.subtract_mean}
    if config.encoder == "cnn":
        return AudioCNN(width=config.width, **common)
    options = {"depth": config.depth, "heads": config.heads, "dropout": config.dropout}
    return AudioTransformer(**options, **common)


def split(config: Config) -> tuple[Dataset, Dataset]:
    """Training and test sounds (columns audio and label); no caption group is in both."""
    if config.task in ATTRIBUTES:
        count = max(config.examples // 4, 1)
        return _shapes(config, "train", config.examples), _shapes(config, "test", count)
    data = heard(articles(config.voice) if config.task == "article" else _languages(config), config)
    return held_out(data, config.fold)


def held_out(data: Dataset, fold: int) -> tuple[Dataset, Dataset]:
    """`data` without the caption groups of one of five folds, and those groups alone."""
    of_row = fold_of(data.column("group").tolist(), data.column("name"), 5, 0)
    test = torch.from_numpy(of_row) == fold
    return data.subset(~test), data.subset(test)


def _shapes(config: Config, part: str, count: int) -> Dataset:
    """`count` scenes of one object: what they sound like, and the attribute that `config` asks."""
    scene = scenes(part, count, config.seed, max_objects=1)
    label = torch.from_numpy(getattr(scene, config.task)[:, 0])
    return Dataset({"audio": sounds(scene), "label": label}, name=f"shapes/{part}")


def articles(voice: str) -> Dataset:
    """The recordings whose caption begins with "un" or "una"; `label` 0 or 1. Not yet decoded.

    `voice` is a language; a Catalan recording without tags is another voice, and is left out.
    """
    data = _first_catalan_voice(spoken([voice]))
    words = first_words(data.column("caption"))
    data = data.subset([word in ARTICLES for word in words])
    label = [ARTICLES.index(word) for word in words if word in ARTICLES]
    return data.with_column("label", torch.tensor(label))


def _languages(config: Config) -> Dataset:
    """The same captions, read in each of `LANGUAGES`; `label` is the language. Not yet decoded."""
    data = _first_catalan_voice(spoken(LANGUAGES))
    count = Counter(data.column("name"))
    names = sorted(name for name, times in count.items() if times == len(LANGUAGES))
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(config.seed))
    chosen = {names[i] for i in order[: config.examples].tolist()}
    data = data.subset([name in chosen for name in data.column("name")])
    label = [LANGUAGES.index(language) for language in data.column("language")]
    return data.with_column("label", torch.tensor(label))


def second_catalan_voice() -> Dataset:
    """The Catalan recordings of another voice, with the `label` of Catalan. Not yet decoded.

    They are those whose files have no tags; the chapter shows what makes us think so.
    """
    data = spoken(["ca"])
    data = data.subset([not tags(path) for path in data.column("path")])
    return data.with_column("label", torch.full((len(data),), LANGUAGES.index("ca")))


def _first_catalan_voice(data: Dataset) -> Dataset:
    """`data` without the recordings of `second_catalan_voice`."""
    both = zip(data.column("language"), data.column("path"), strict=True)
    return data.subset([language != "ca" or bool(tags(path)) for language, path in both])


def heard(data: Dataset, config: Config) -> Dataset:
    """`data` decoded: the part of each recording that `config` lets the model hear."""
    return with_audio(data, config.seconds, config.part)
