"""CLIP in small, on emoji: concepts that were never seen, and a drawing style that never was.

Knows one whole experiment: two towers, from scratch or pretrained and frozen; names and keywords as
texts; test concepts that no training picture shows. `openmoji`, whose licence asks that what is
made of it be shared alike, is the style that is only ever tested. What the retrieval lab teaches
about losses and scoring is used here, not repeated.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms import v2

from mmtutor.data import Dataset, load, loader
from mmtutor.data.splits import fold_of
from mmtutor.encoders import EfficientNetLite0, FeatureEncoder, WordLlama
from mmtutor.encoders.text import BagOfWords
from mmtutor.evaluation.retrieval.recall import ranks
from mmtutor.losses import ContrastiveObjective
from mmtutor.models import DualEncoder, ProjectionHead
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import (
    BelowOne,
    Count,
    CountOrZero,
    Rate,
    Share,
    Size,
    require_multiple,
)
from mmtutor.recipes.common.controls import shuffle_column
from mmtutor.recipes.learning.towers import (
    BUCKETS,
    Described,
    NGrams,
    ResidualCNN,
    adapted,
    redrawn,
    restyled,
    standardised_head,
)
from mmtutor.recipes.retrieval.scoring import direction
from mmtutor.training import History

TRAINED = ("google", "twitter", "fluent")
UNSEEN = "openmoji"


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        towers: "scratch", a residual CNN and a bag of n-grams; "pretrained", heads on frozen
            EfficientNet features and WordLlama vectors.
        styles: in which the training pictures are drawn.
        augment: of the pictures: "none"; "place", moved, turned and scaled; "colour", recoloured
            too; "style", strongly so, some to grey, some to outlines. Pretrained towers read every
            picture twice, as it is and changed.
        drop_words: share of the keywords left out of a training text, drawn anew each time.
        folds: concepts are held out in so many parts in turn, but those of "val", by which
            settings are chosen, are trained on throughout; 0 holds out those of `split`.
        split: on which concepts is tested without folds; "val" while settings are being chosen.
        shuffle_pairs: a control: pictures with other pictures' texts.
        size: side of the pictures in pixels, a divisor of 64 from scratch.
        width: channels of the CNN's first convolution.
        dim: size of the shared space.
        hidden: of the heads on pretrained towers.
        dropout: in front of the heads.
    """

    towers: Literal["scratch", "pretrained"] = "scratch"
    styles: tuple[Literal[TRAINED], ...] = TRAINED
    augment: Literal["none", "place", "colour", "style"] = "colour"
    drop_words: Share = 0.5
    folds: CountOrZero = 0
    split: Literal["test", "val"] = "test"
    shuffle_pairs: bool = False
    size: Count = 32
    width: Count = 32
    dim: Count = 128
    hidden: Count = 512
    dropout: BelowOne = 0.0
    epochs: Count = 24
    batch_size: Count = 256
    lr: Rate = 2e-3
    weight_decay: Size = 0.1

    def _check(self) -> None:
        if self.folds == 1:
            raise ValueError("folds is 1: expected 0, or at least 2")
        if self.towers == "scratch":
            require_multiple(self, "size", 16)
            if 64 % self.size:
                raise ValueError(f"size is {self.size}: expected a divisor of 64")


PRETRAINED = {"towers": "pretrained", "size": 112, "dim": 256, "dropout": 0.5, "lr": 3e-3}
PRESETS = {
    "tiny": Config(styles=("google",), augment="none", width=8, size=16, epochs=2),
    "cpu": Config(width=24, epochs=8),
    "stored": Config(epochs=32, precision="bf16"),  # minutes on a CPU; the book keeps its results
    "pretrained": Config(**PRETRAINED, augment="none", epochs=20),
    "t4": Config(size=64, width=64, epochs=60),
    "h100": Config(size=64, width=128, dim=256, epochs=100, batch_size=1024),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train, then name pictures of concepts that were held out, among all of them.

    Metrics: for "known" and "unseen" styles, for "name", where the names stand without keywords,
    and for "adapted", the unseen style brought to the statistics of the trained ones, which takes
    pictures of training concepts in it, but no name: recall, over concepts' groups, with intervals.
    With folds a query is ranked among its fold's concepts only; history and model are those of the
    first fold.
    """
    found, galleries, trained = [], [], []
    for learned, asked in held_out(config):
        model = build(config)
        trained.append((model, train_model(model, learned, config, progress)))
        found.append(evaluate(model, asked, learned, config))
        galleries.append(len(asked.column("concept").unique()))
    metrics = {
        name: direction(*ranked) | {"queries": len(ranked[0])}
        for name, ranked in joined(found).items()
    }
    model, history = trained[0]
    return Result(metrics | {"candidates": galleries}, history, model, config)


def joined(found: Sequence[dict[str, tuple[Tensor, Tensor]]]) -> dict[str, tuple[Tensor, Tensor]]:
    """What `evaluate` says of several folds, as of one."""
    return {
        name: tuple(torch.cat([each[name][i] for each in found]) for i in (0, 1))
        for name in found[0]
    }


def held_out(config: Config) -> Iterator[tuple[Dataset, Dataset]]:
    """Training and test pictures, by concepts; those that look alike or are called alike, and so
    have one `group`, are never on both sides."""
    if not config.folds:
        yield drawings("train", config), drawings(config.split, config)
        return
    data, place = drawings("all", config), _fold_of_concept(config.folds)
    folds = place[data.column("concept")]
    for fold in range(config.folds):
        yield data.subset(folds != fold), data.subset(folds == fold)


def _fold_of_concept(folds: int) -> Tensor:
    """The fold of each concept (C,), the same whatever is drawn; -1 for those of "val"."""
    every, chosen_by = (load("emoji", part, style=(UNSEEN,)) for part in ("all", "val"))
    free = every.subset(~torch.isin(every.column("concept"), chosen_by.column("concept")))
    concept, group = free.column("concept"), free.column("group").tolist()
    place = torch.full((int(every.column("concept").max()) + 1,), -1)
    place[concept] = torch.from_numpy(fold_of(group, [str(c) for c in concept.tolist()], folds))
    return place


def drawings(split: str, config: Config) -> Dataset:
    """Pictures of the trained styles and of the unseen one, as small as the model reads them, or
    with `image_features` (N, 1280) for pretrained towers, and `restyled_features` of changed
    pictures where they are asked for."""
    data = load("emoji", split, style=(*config.styles, UNSEEN))
    if config.towers == "scratch":
        small = F.avg_pool2d(data.column("image").float(), 64 // config.size)
        return data.with_column("image", small.round().byte())
    everything = load("emoji", "all", style=(*config.styles, UNSEEN)).column("concept")
    rows = torch.isin(everything, data.column("concept"))
    read = config.styles, config.size
    data = data.with_column("image_features", _features(*read)[rows])
    if config.augment == "none":
        return data
    return data.with_column("restyled_features", _features(*read, config.augment)[rows])


def tokenizer(config: Config):
    """What turns texts into numbers for the text tower of `config`."""
    return NGrams() if config.towers == "scratch" else WordLlama.tokenizer()


def build(config: Config) -> DualEncoder:
    """The untrained model; of pretrained towers only the heads are."""
    torch.manual_seed(config.seed)
    dim, drop = config.dim, config.dropout
    if config.towers == "scratch":
        picture, words = ResidualCNN(config.width, config.augment), BagOfWords(BUCKETS, dim)
        heads = [ProjectionHead(n, dim, dropout=drop) for n in (picture.dim, words.dim)]
        return DualEncoder(picture, words, *heads)
    picture, words = FeatureEncoder(EfficientNetLite0.dim), WordLlama()
    heads = [standardised_head(n, dim, config.hidden, drop) for n in (picture.dim, words.dim)]
    return DualEncoder(picture, words, *heads)


def train_model(
    model: DualEncoder,
    learned: Dataset,
    config: Config,
    progress: bool = True,
    objective: ContrastiveObjective | None = None,
) -> History:
    """Train on the pictures of `config.styles`; all of one concept's group are right answers."""
    pairs = pairs_of(redrawn(_parted(learned, config)[0]), config, drop=config.drop_words)
    if config.shuffle_pairs:
        pairs = shuffle_column(pairs, _picture_key(config), config.seed)
    return train(config, model, objective or ContrastiveObjective(), pairs, progress)


def pairs_of(
    data: Dataset, config: Config, drop: float = 0.0, keywords: bool = True, language: str = "en"
) -> Dataset:
    """What the model reads of `data`: pictures, `tokens`, and `group`."""
    names = (_picture_key(config), "names", "keywords", "group")
    described = Described(tokenizer(config), language, drop, keywords, config.seed)
    return Dataset({name: data.column(name) for name in names}, described, name="emoji")


def _picture_key(config: Config) -> str:
    return "image" if config.towers == "scratch" else "image_features"


@torch.no_grad()
def texts_of(
    model: DualEncoder, data: Dataset, config: Config, keywords: bool = True, language: str = "en"
) -> tuple[Tensor, Tensor]:
    """Text embeddings (C, D) of the concepts in `data`, each once, and their groups (C,)."""
    concept = data.column("concept").tolist()
    once = sorted({number: row for row, number in enumerate(concept)}.values())
    pairs = pairs_of(data.subset(once), config, keywords=keywords, language=language)
    batches = list(loader(pairs, 256))
    model.eval()
    return torch.cat([model.encode_text(b) for b in batches]), torch.cat(
        [b["group"] for b in batches]
    )


@torch.no_grad()
def pictures_of(model: DualEncoder, data: Dataset, config: Config) -> Tensor:
    """Picture embeddings (N, D)."""
    model.eval()
    key = _picture_key(config)
    return torch.cat([model.encode_image(b) for b in loader(Dataset({key: data.column(key)}), 256)])


def evaluate(
    model: DualEncoder, asked: Dataset, learned: Dataset, config: Config
) -> dict[str, tuple[Tensor, Tensor]]:
    """Ranks of the right text among those of all concepts in `asked`, and the pictures' groups.

    `learned` lends "adapted" the statistics of its pictures.
    """
    (known, unseen), other = _parted(asked, config), _parted(learned, config)[1]
    texts = texts_of(model, asked, config)
    bare = texts_of(model, asked, config, keywords=False)
    key = _picture_key(config)
    moved = adapted(model, Dataset({key: other.column(key)}))
    return {
        "known": _ranked(model, known, texts, config),
        "unseen": _ranked(model, unseen, texts, config),
        "name": _ranked(model, known, bare, config),
        "adapted": _ranked(moved, unseen, texts, config),
    }


def known(model: DualEncoder, asked: Dataset, config: Config) -> tuple[Tensor, Tensor]:
    """Of `evaluate`, what it says of the trained styles."""
    return _ranked(model, _parted(asked, config)[0], texts_of(model, asked, config), config)


def _parted(data: Dataset, config: Config) -> tuple[Dataset, Dataset]:
    """The pictures of trained styles, and the others."""
    known = torch.tensor([style in config.styles for style in data.column("style")])
    return data.subset(known), data.subset(~known)


def _ranked(
    model: DualEncoder, data: Dataset, texts: tuple[Tensor, Tensor], config: Config
) -> tuple[Tensor, Tensor]:
    group = data.column("group")
    similarity = pictures_of(model, data, config) @ texts[0].T
    return ranks(similarity, group[:, None] == texts[1]), group


@lru_cache(maxsize=4)
def _features(styles: tuple[str, ...], size: int, augment: str = "none") -> Tensor:
    """Of the frozen tower, for the pictures of these styles and the unseen one: (N, 1280)."""
    torch.manual_seed(0)
    tower, resize = EfficientNetLite0(), v2.Resize((size, size))
    pictures = Dataset({"image": load("emoji", "all", style=(*styles, UNSEEN)).column("image")})
    with torch.no_grad():
        read = (resize(restyled(b["image"], augment)) for b in loader(pictures, 32))
        return torch.cat([tower(image).pooled() for image in read])
