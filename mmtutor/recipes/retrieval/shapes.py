"""Image-text retrieval from scratch: a small CNN and a small Transformer learn `shapes`.

Knows one whole experiment whose ground truth is exact. Pretrained towers on photographs are
`retrieval`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mmtutor.data import Dataset, load
from mmtutor.data.shapes.captions import chinese, english
from mmtutor.data.shapes.dataset import scenes
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import SmallCNN, SmallTransformer
from mmtutor.evaluation.retrieval.recall import embed
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval
from mmtutor.losses import ContrastiveObjective
from mmtutor.models import DualEncoder, ProjectionHead
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count, Rate, require_multiple
from mmtutor.recipes.retrieval.scoring import score, summary


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        train, test: how many scenes to train on, and how many in each test gallery.
        size: side of the pictures, in pixels.
        caption: the column that holds the text: "caption" (English) or "caption_zh" (Chinese).
        dim: size of tokens and of the shared space.
        width: channels after the CNN's first convolution.
        depth, heads: of the Transformer.
        loss: of `ContrastiveObjective`.
    """

    train: Count = 60_000
    test: Count = 1_000
    size: Count = 32
    caption: Literal["caption", "caption_zh"] = "caption"
    dim: Count = 96
    width: Count = 24
    depth: Count = 1
    heads: Count = 4
    loss: Literal["info_nce", "sigmoid"] = "info_nce"
    epochs: Count = 3
    batch_size: Count = 128
    lr: Rate = 2e-3

    def _check(self) -> None:
        require_multiple(self, "dim", "heads")


PRESETS = {
    "tiny": Config(train=512, test=64, epochs=6, dim=32, width=8, batch_size=64),
    "cpu": Config(train=12_000, test=500, epochs=5, dim=64, width=16),
    "stored": Config(),  # minutes on a CPU; the book keeps its results
    "t4": Config(train=200_000, size=64, dim=256, width=64, depth=2, epochs=5, batch_size=512),
    "h100": Config(train=500_000, size=64, dim=512, width=96, depth=4, heads=8, batch_size=1024),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train on `shapes`, then test on new scenes and on combinations never seen in training."""
    torch.manual_seed(config.seed)
    tokenizer = tokenizer_of(config)
    model = build(config, tokenizer)
    data = prepared(gallery(config, "train"), config, tokenizer)
    history = train(config, model, ContrastiveObjective(config.loss), data, progress)
    metrics = {
        split: summary([score(model, prepared(gallery(config, split), config, tokenizer))])
        for split in ("test", "unseen")
    }
    if config.caption == "caption":
        metrics["foil_accuracy"] = foil_accuracy(model, config)._asdict()
    metrics["training_examples_per_second"] = history.examples_per_second
    return Result(metrics=metrics, history=history, model=model, config=config)


def build(config: Config, tokenizer: WordTokenizer) -> DualEncoder:
    """Two towers and two linear heads, untrained."""
    dim = config.dim
    text = SmallTransformer(tokenizer.size, dim, config.depth, config.heads)
    heads = ProjectionHead(dim, dim), ProjectionHead(dim, dim)
    return DualEncoder(SmallCNN(dim, config.width), text, *heads)


def prepared(data: Dataset, config: Config, tokenizer: WordTokenizer) -> Dataset:
    """Only what the model reads: pictures, tokens, and `group`, equal where meanings are."""
    columns = {
        "image": data.column("image"),
        "tokens": tokens(data.column(config.caption), tokenizer),
        "group": data.column("scene"),
    }
    return Dataset(columns, name=data.name)


def tokens(captions: list[str], tokenizer: WordTokenizer) -> list[Tensor]:
    """Each caption's token ids (L,) int64, once for all epochs."""
    return [torch.tensor(tokenizer.encode(caption)) for caption in captions]


def tokenizer_of(config: Config) -> WordTokenizer:
    """The vocabulary of the training captions of `config`."""
    write = {"caption": english, "caption_zh": chinese}[config.caption]
    return WordTokenizer.fit(write(scenes("train", config.train, config.seed)))


def gallery(config: Config, split: str) -> Dataset:
    """The scenes of `split` that `config` trains or tests on."""
    n = config.train if split == "train" else config.test
    return load("shapes", split, n=n, size=config.size, seed=config.seed)


def foil_accuracy(model: DualEncoder, config: Config) -> Interval:
    """Share of two-object scenes that `model` finds closer to their caption than to its foil.

    The foil is the caption with the colours of its two objects exchanged, so guessing scores 1/2
    and so does any model that reads a bag of words. Ties count against the model. English only.
    """
    data = gallery(config, "test")
    data = data.subset([foil != "" for foil in data.column("foil")])
    tokenizer = tokenizer_of(config)
    truth = prepared(data, config, tokenizer)
    false = truth.with_column("tokens", tokens(data.column("foil"), tokenizer))
    image, text, _ = embed(model, truth)
    _, foil, _ = embed(model, false)
    preferred = (image * text).sum(1) > (image * foil).sum(1)
    return bootstrap_interval(preferred.double().cpu(), groups=data.column("scene"))
