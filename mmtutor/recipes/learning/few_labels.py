"""Few labels: pseudo-labels and FixMatch on Fashion-MNIST, questions asked one batch at a time, and
a classifier of emoji lent to another modality.

Knows whole experiments. `run` is the first of them; the others take seconds and are functions that
the chapter calls. What makes labels out of what is known is `training.few_labels`.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset, load
from mmtutor.data.augment import AugmentPictures
from mmtutor.data.real.fashion_mnist import CLASSES
from mmtutor.encoders import EfficientNetLite0, SmallCNN, WordLlama
from mmtutor.evaluation.classification import balanced_accuracy, confusion
from mmtutor.evaluation.predict import predict
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses import cross_entropy, least_squares
from mmtutor.models import Classifier
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count, Rate, Share, Size
from mmtutor.recipes.encoders.images import POOL
from mmtutor.recipes.encoders.linear_probe import features
from mmtutor.recipes.learning.probes import probabilities
from mmtutor.training.few_labels import (
    Cutout,
    FixMatch,
    TwoViews,
    k_centre,
    pseudo_labels,
    uncertainty,
)
from mmtutor.training.fit import Objective

WAYS = ("few labels", "pseudo-labels", "FixMatch", "no threshold", "other pictures", "all labels")
STRATEGIES = ("random", "entropy", "margin", "k-centre")

Way = Literal[WAYS]


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        ways: which are trained, all from the same first weights, for as many steps. "no threshold"
            is FixMatch that believes every pseudo-label; "other pictures" gives it pictures of
            `shapes` as unlabelled ones; "all labels" knows the label of each of them.
        labels: labelled pictures of each class.
        unlabelled: pictures without a label.
        ratio: of them, how many stand beside one labelled picture in a batch.
        threshold, weight: of `FixMatch`.
        warmup: share of the steps over which the weight of plain pseudo-labels rises.
        dim, width: of the CNN.
        test: pictures that are tested on.
        split: what they are from: "test", or "val" while anything is still being chosen.
        epochs: passes over the unlabelled pictures.
    """

    ways: tuple[Way, ...] = WAYS
    labels: Count = 10
    unlabelled: Count = 4_000
    ratio: Count = 4
    threshold: Share = 0.95
    weight: Size = 1.0
    warmup: Share = 0.5
    dim: Count = 48
    width: Count = 24
    test: Count = 2_000
    split: Literal["test", "val"] = "test"
    epochs: Count = 5
    batch_size: Count = 16
    lr: Rate = 3e-3


PRESETS = {
    "tiny": Config(ways=WAYS[::2], unlabelled=560, dim=16, width=8, test=200, epochs=1),
    "cpu": Config(),
    "stored": Config(unlabelled=20_000, ratio=7, epochs=6, test=10_000),  # minutes on a CPU
    "t4": Config(unlabelled=49_900, epochs=40, dim=256, width=96, batch_size=64, test=10_000),
    "h100": Config(unlabelled=49_900, epochs=200, dim=384, width=128, batch_size=64, test=10_000),
}  # fmt: skip


def run(config: Config, progress: bool = True) -> Result:
    """Train a CNN in each of the ways, and test it; the result keeps the last one's model.

    Metrics, by way: `accuracy`, with its interval over test pictures; `gain`, over the first way on
    the same pictures; `sure`, the share of them of which the model is as sure as the threshold
    asks, and `right_if_sure`, how many of these it knows.
    """
    test = test_set(config)
    metrics, right = {}, {}
    for way in config.ways:
        model = build(config, way)
        augment = None if isinstance(model, TwoViews) else _weak()
        chosen = {"progress": progress, "augment": augment}
        history = train(config, model, objective(config, way), data(config, way), **chosen)
        found = predict(model, test)
        right[way] = found.correct.double()
        gain = bootstrap_interval(right[way] - right[config.ways[0]])
        _, sure = pseudo_labels(found.logits, config.threshold)
        metrics[way] = {
            "accuracy": found.accuracy()._asdict(),
            "gain": gain._asdict(),
            "sure": sure.double().mean().item(),
            "right_if_sure": right[way][sure].mean().item(),
        }
    return Result(metrics=metrics, history=history, model=model, config=config)


def data(config: Config, way: Way) -> Dataset:
    """What a way learns from: `image` and `label`, and beside each row `unlabelled`
    (N, ratio, 3, 28, 28) uint8 where it looks at such pictures. All have as many rows."""
    learned = load("fashion-mnist", "train", n=POOL)
    generator = torch.Generator().manual_seed(config.seed)
    order = torch.randperm(POOL, generator=generator)
    place = F.one_hot(learned.column("label")[order]).cumsum(dim=0)  # how many of a class so far
    own = place.gather(1, learned.column("label")[order][:, None]).squeeze(1)
    few, others = order[own <= config.labels], order[own > config.labels][: config.unlabelled]
    rows = len(others) // config.ratio
    if way == "all labels":
        known = torch.cat([few, others])
        return learned.subset(known[torch.randperm(len(known), generator=generator)[:rows]])
    given = learned.subset(few.repeat(-(-rows // len(few)))[:rows])
    if way == "few labels":
        return given
    seen = learned.column("image")[others]
    if way == "other pictures":
        seen = _grey_shapes(config)
    return given.with_column("unlabelled", seen[: rows * config.ratio].unflatten(0, (rows, -1)))


def test_set(config: Config) -> Dataset:
    """The pictures that are tested on; "val" are training pictures that no run learns from."""
    if config.split == "test":
        return load("fashion-mnist", "test", n=config.test)
    return load("fashion-mnist", "train").subset(range(POOL, POOL + config.test))


def build(config: Config, way: Way) -> nn.Module:
    """An untrained CNN; in the ways that look at pictures without labels, behind two views."""
    torch.manual_seed(config.seed)
    model = Classifier(SmallCNN(config.dim, config.width), len(CLASSES))
    if way in ("few labels", "all labels"):
        return model
    return TwoViews(model, _weak(), _weak() if way == "pseudo-labels" else _strong)


def objective(config: Config, way: Way) -> nn.Module | Objective:
    """Cross-entropy, or `FixMatch`."""
    if way in ("few labels", "all labels"):
        return cross_entropy
    if way == "pseudo-labels":
        steps = config.epochs * config.unlabelled / config.ratio / config.batch_size
        return FixMatch(0.0, config.weight, warmup=int(config.warmup * steps))
    return FixMatch(0.0 if way == "no threshold" else config.threshold, config.weight)


def _weak() -> AugmentPictures:
    return AugmentPictures(2, 0.5, 0.0, 0.0)


def _strong(image: Tensor) -> Tensor:
    return Cutout(14)(AugmentPictures(4, 0.5, 0.5, 0.5)(image))


def _grey_shapes(config: Config) -> Tensor:
    """Pictures of `shapes` as small, grey and light on dark as those of clothes."""
    shapes = load("shapes", "train", n=config.unlabelled, size=56, seed=config.seed)
    pictures = F.avg_pool2d(255 - shapes.column("image").float(), 2)
    return pictures.mean(dim=1, keepdim=True).to(torch.uint8).expand(-1, 3, -1, -1)


# Emoji, seen once by a frozen network


def emoji(tower: EfficientNetLite0, split: str, style: str) -> Dataset:
    """Emoji of one style, with three columns more.

    `label` (N,) int64, the number of the category in sorted order; `features` (N, 1280) float32 of
    unit length; `vector` (N, 256) float32 of unit length, the mean of WordLlama's vectors of the
    tokens of the name.
    """
    drawn = load("emoji", split, style=style)
    names = sorted(set(drawn.column("category")))
    found = features(tower, drawn.column("image"), batch_size=64)
    table, tokenizer = WordLlama().embedding.weight, WordLlama.tokenizer()
    vectors = torch.stack([table[tokenizer.encode(x)].mean(dim=0) for x in drawn.column("caption")])
    label = torch.tensor([names.index(name) for name in drawn.column("category")])
    data = drawn.with_column("label", label).with_column("features", F.normalize(found))
    return data.with_column("vector", F.normalize(vectors))


def ask(
    strategy: str, pool: Tensor, known: Tensor, probability: Tensor, count: int, seed: int = 0
) -> Tensor:
    """Rows (count,) of the pool whose labels a strategy of STRATEGIES asks for next.

    Args:
        pool: (N, D) vectors.
        known: (M,) int64, rows that are labelled.
        probability: (N, C), what the model says of each now.
    """
    if strategy == "k-centre":
        return k_centre(pool, count, known)
    if strategy == "random":
        doubt = torch.rand(len(pool), generator=torch.Generator().manual_seed(seed))
    else:
        doubt = uncertainty(probability, strategy)
    return doubt.index_fill(0, known, -1.0).topk(count).indices


def asked(
    strategy: str, pool: Dataset, test: Dataset, seed: int, first: int, step: int, rounds: int
) -> list[float]:
    """Balanced accuracy on `test` after each round of questions: 1 + `rounds` numbers.

    `first` rows, drawn by the seed alone, are labelled at the start, and `step` more a round.
    """
    x, y, classes = (
        pool.column("features"),
        pool.column("label"),
        int(pool.column("label").max()) + 1,
    )
    generator = torch.Generator().manual_seed(seed)
    known, scores = torch.randperm(len(pool), generator=generator)[:first], []
    both = torch.cat([x, test.column("features")])
    for turn in range(rounds + 1):
        said = probabilities(x[known], y[known], both, classes)
        scores.append(balanced(said[len(x) :].argmax(dim=1), test.column("label")))
        if turn < rounds:
            new = ask(strategy, x, known, said[: len(x)], step, 1_000 * seed + turn)
            known = torch.cat([known, new])
    return scores


def balanced(said: Tensor, label: Tensor) -> float:
    """The mean over the classes of how often a class was recognised."""
    return balanced_accuracy(confusion(said, label)).item()


def mapped(x: Tensor, y: Tensor, of: Tensor, penalty: float = 1.0) -> Tensor:
    """Rows (M, D) as vectors (M, E) of another space, by ridge regression learned from pairs (N, D)
    and (N, E); of unit length."""
    weight, bias = least_squares(x, y, penalty / len(x))
    return F.normalize(of @ weight + bias)
