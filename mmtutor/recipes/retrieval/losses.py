"""One small dual encoder, one optimiser, several losses: what the loss alone decides.

Knows one experiment on pictures of a single shape. Two of its losses are there to fail: article
004's has the wrong sign, and agreement alone is content with one point for everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, load
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.encoders import SmallCNN
from mmtutor.encoders.text import BagOfWords
from mmtutor.evaluation.retrieval.recall import chance_recall, embed, hit_rates
from mmtutor.losses import ContrastiveObjective, triplet
from mmtutor.models import DualEncoder, ProjectionHead
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count, Rate
from mmtutor.recipes.retrieval.scoring import KS, score

Batch = dict[str, Tensor]
Pairs = tuple[Tensor, Tensor]


def _wrong_sign(output: Pairs, batch: Batch) -> Tensor:
    """Article 004's loss (004:175) over all pairs of a batch, halves and all.

    A pair's score z' is the sigmoid of ten times its cosine; y is 1 for a pair and else 0.
    """
    z = (10 * output.image @ output.text.T).sigmoid()
    y = _same(batch).to(z.dtype)
    return ((z * y + (1 - z) * (1 - y)) / 2).mean()


def _agreement(output: Pairs, batch: Batch) -> Tensor:
    """One minus the mean cosine of the pairs: no pair is ever told apart from another."""
    return 1 - (output.image * output.text).sum(dim=1).mean()


def triplets(hardest: bool) -> Callable[[Pairs, Batch], Tensor]:
    """The triplet loss as an objective."""
    return lambda output, batch: triplet(
        output.image, output.text, hardest=hardest, relevant=_same(batch)
    )


def _same(batch: Batch) -> Tensor:
    """(B, B) bool: picture i and caption j show and say the same."""
    return batch["group"][:, None] == batch["group"]


OBJECTIVES: dict[str, Callable[[], nn.Module | Callable]] = {
    "wrong_sign": lambda: _wrong_sign,
    "agreement": lambda: _agreement,
    "triplet_hardest": lambda: triplets(hardest=True),
    "triplet_mean": lambda: triplets(hardest=False),
    "sigmoid": lambda: ContrastiveObjective("sigmoid"),
    "info_nce": lambda: ContrastiveObjective("info_nce"),
}


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        loss: a name in `OBJECTIVES`.
        train, test: how many pictures to train on, and how many in the test gallery.
        size: side of the pictures, in pixels.
        dim: size of tokens and of the shared space.
        width: channels after the CNN's first convolution.
    """

    loss: Literal[tuple(OBJECTIVES)] = "info_nce"
    train: Count = 512
    test: Count = 200
    size: Count = 32
    dim: Count = 32
    width: Count = 8
    epochs: Count = 8
    batch_size: Count = 64
    lr: Rate = 5e-3


PRESETS = {
    "tiny": Config(train=256, test=64, epochs=6, batch_size=32),
    "cpu": Config(),
    "t4": Config(train=50_000, test=1_000, size=64, dim=128, width=32, epochs=5, batch_size=256),
    "h100": Config(train=200_000, test=1_000, size=64, dim=256, width=64, epochs=5, batch_size=512),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train with the loss of `config`, then search for captions and pictures of new scenes.

    Metrics: `recall_at_k` of both directions together and `chance_at_k`; `spread`, the variance of
    the picture embeddings, between 0 (all are one point) and 1.
    """
    torch.manual_seed(config.seed)
    model, data = build(config), prepared(config, "train")
    history = train(config, model, OBJECTIVES[config.loss](), data, progress)
    return Result(evaluate(model, prepared(config, "test")), history, model, config)


def evaluate(model: DualEncoder, test: Dataset) -> dict[str, float]:
    """The metrics of `run`."""
    scores, (image, _, _) = score(model, test), embed(model, test)
    recall = hit_rates(torch.cat(list(scores.ranks().values())), KS)
    metrics = {f"recall_at_{k}": v for k, v in recall.items()}
    metrics |= {f"chance_at_{k}": v for k, v in chance_recall(scores.relevant, KS).items()}
    return metrics | {"spread": image.var(dim=0, correction=0).sum().item()}


def build(config: Config) -> DualEncoder:
    """A small CNN and a bag of words, untrained."""
    dim = config.dim
    heads = ProjectionHead(dim, dim), ProjectionHead(dim, dim)
    text = BagOfWords(_tokenizer(config).size, dim)
    return DualEncoder(SmallCNN(dim, config.width), text, *heads)


def prepared(config: Config, split: str) -> Dataset:
    """Pictures, `tokens` of their captions, and `group`, equal where captions mean the same."""
    data, words = scenes(config, split), _tokenizer(config)
    captions = [torch.tensor(words.encode(text)) for text in data.column("caption")]
    columns = {"image": data.column("image"), "tokens": captions, "group": data.column("scene")}
    return Dataset(columns, name=data.name)


def scenes(config: Config, split: str) -> Dataset:
    """The pictures and captions of `split`."""
    n = config.train if split == "train" else config.test
    return load("shapes", split, n=n, size=config.size, seed=config.seed, max_objects=1)


def _tokenizer(config: Config) -> WordTokenizer:
    """The vocabulary of the training captions."""
    return WordTokenizer.fit(scenes(config, "train").column("caption"))
