"""Classifying texts from scratch: five encoders, three ways to cut a text, two tasks.

Knows one whole experiment on captions: word order on `shapes`, or the language of real captions.
Vectors made by others are `retrieval`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from mmtutor.data import Dataset
from mmtutor.data.shapes.scene import COLOURS
from mmtutor.data.synthetic.text_tasks import LANGUAGES, language_of, leading_colour
from mmtutor.data.tokenizer import SubwordTokenizer, WordTokenizer
from mmtutor.encoders import BagOfWords, RecurrentEncoder, SmallTransformer
from mmtutor.encoders.text import POSITIONS
from mmtutor.recipes.common import Result, TrainConfig, settings, shuffle_column
from mmtutor.recipes.common.classifier import Trained, train_classifier
from mmtutor.recipes.common.config import BelowOne, Count, Fold, Rate, require_multiple

ENCODERS = ("bag", "rnn", "lstm", "gru", "transformer")
TOKENS = ("word", "char", "bpe")
Tokenizer = WordTokenizer | SubwordTokenizer


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        task: "order", the colour of the object that is left or above, or "language".
        language: of the captions of task "order": "en" or "zh".
        train, test: pairs of captions of task "order"; the other task has all that there are.
        encoder: one of ENCODERS.
        bidirectional: of a recurrent encoder.
        positions: of a Transformer, one of POSITIONS.
        tokens: one of TOKENS; `vocabulary` is the size of a BPE.
        max_length: longer texts are cut.
        shuffle_labels: a control: train on the labels of other texts.
        fold: of the stamps, for task "language".
        split: what is predicted: "test", or "val" while settings are being chosen.
    """

    task: Literal["order", "language"] = "order"
    language: Literal["en", "zh"] = "en"
    train: Count = 2_500
    test: Count = 300
    encoder: Literal[ENCODERS] = "transformer"
    bidirectional: bool = False
    positions: Literal[POSITIONS] = "learned"
    tokens: Literal[TOKENS] = "word"
    vocabulary: Count = 2_000
    max_length: Count = 96
    shuffle_labels: bool = False
    fold: Fold = 0
    split: Literal["test", "val"] = "test"
    dim: Count = 64
    depth: Count = 1
    heads: Count = 4
    dropout: BelowOne = 0.0
    epochs: Count = 1
    batch_size: Count = 16
    lr: Rate = 2e-3

    def _check(self) -> None:
        if self.encoder == "transformer":
            require_multiple(self, "dim", "heads")
            if self.positions == "rotary":
                require_multiple(self, "dim", 2 * self.heads)
        if self.bidirectional:
            require_multiple(self, "dim", 2)


PRESETS = {
    "tiny": Config(train=200, test=50, dim=16),
    "cpu": Config(),
    "t4": Config(train=50_000, test=5_000, dim=256, depth=4, epochs=5, batch_size=256, lr=5e-4),
    "h100": Config(
        train=200_000, test=10_000, dim=512, depth=6, heads=8, batch_size=512, lr=3e-4, epochs=5
    ),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train one text classifier, then predict the held-out texts once."""
    return train(config, progress).result(config)


def train(config: Config, progress: bool = False) -> Trained:
    """As `run`, with the predictions: `test` holds one for each row of `texts(config, split)`."""
    data, held_out = texts(config, "train"), texts(config, config.split)
    if config.shuffle_labels:
        data = shuffle_column(data, "label", config.seed)
    tokenizer = tokenizer_of(config, data.column("text"))
    torch.manual_seed(config.seed)
    encoder, count = _build(config, tokenizer.size), len(classes(config))
    data, held_out = (_prepared(part, tokenizer, config.max_length) for part in (data, held_out))
    return train_classifier(config, encoder, data, held_out, count, config.dropout, progress)


def texts(config: Config, split: str) -> Dataset:
    """The texts and labels of a split."""
    if config.task == "language":
        return language_of(split, fold=config.fold)
    n = config.train if split == "train" else config.test
    return leading_colour(split, n, config.language, config.seed)


def classes(config: Config) -> tuple[str, ...]:
    """The names of the labels."""
    return COLOURS if config.task == "order" else tuple(LANGUAGES.values())


def tokenizer_of(config: Config, train_texts: list[str]) -> Tokenizer:
    """The vocabulary of the training texts."""
    if config.tokens == "bpe":
        return SubwordTokenizer.fit(train_texts, config.vocabulary)
    return WordTokenizer.fit(train_texts, unit={"word": "word", "char": "character"}[config.tokens])


def _build(config: Config, size: int) -> nn.Module:
    """An untrained encoder for `size` token ids."""
    if config.encoder == "bag":
        return BagOfWords(size, config.dim)
    if config.encoder == "transformer":
        shape = config.dim, config.depth, config.heads, config.max_length
        return SmallTransformer(size, *shape, config.dropout, config.positions)
    return RecurrentEncoder(size, config.dim, config.encoder, config.bidirectional)


def _prepared(data: Dataset, tokenizer: Tokenizer, max_length: int) -> Dataset:
    """Only what a classifier reads: token ids, each text's once for all epochs, and labels."""
    ids = [torch.tensor(tokenizer.encode(text)[:max_length]) for text in data.column("text")]
    return Dataset({"tokens": ids, "label": data.column("label")}, name=data.name)
