"""A shop: photographs of clothes with the titles that sellers give them.

Knows how titles are made up, which are wrong, and what other sellers say instead. The photographs
are real (`fashion_mnist`); the titles are drawn here, so that it is known what they tell.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field

from mmtutor.data import Dataset, load
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.data.transforms import Compose, SynonymReplacement, Tokenize
from mmtutor.recipes.common import TrainConfig, settings
from mmtutor.recipes.common.config import Count, Rate

# What a seller calls each class, in the order of `fashion_mnist.CLASSES`, and what others call it.
SYNONYMS = {
    "tshirt": ("tee",),
    "trousers": ("pants", "slacks"),
    "pullover": ("sweater", "jumper"),
    "dress": ("gown", "frock"),
    "coat": ("overcoat",),
    "sandal": ("slipper",),
    "shirt": ("blouse",),
    "sneaker": ("trainer",),
    "bag": ("handbag", "purse"),
    "boot": ("bootie",),
}
NAMES = tuple(SYNONYMS)
OPENINGS = ("new", "cheap", "classic", "almost new", "elegant", "")
ENDINGS = ("for sale", "as seen", "last one", "free shipping", "")
POOL = 50_000  # the published training pictures from here on are for validation
WRONG = 0.15  # of the titles name another class: sellers are careless

Pool = Annotated[int, Field(ge=1, le=POOL)]  # of photographs to train on
Tested = Annotated[int, Field(ge=1, le=10_000)]


@settings
class ShopConfig(TrainConfig):
    """What both recipes with photographs of clothes are told.

    Attributes:
        train, test: how many photographs.
        split: what is predicted: "test", or "validation" while anything is still being chosen.
        dim, width: size of all tokens, and of the CNN.
    """

    train: Pool = 1_000
    test: Tested = 500
    split: Literal["test", "validation"] = "test"
    dim: Count = 32
    width: Count = 16
    epochs: Count = 5
    lr: Rate = 3e-3


def photographs(split: str, config: ShopConfig) -> Dataset:
    """Pictures of clothes: `config.train` to train on, drawn by its seed, or `config.test` others.

    Args:
        split: "train", "test", or "validation" while anything is still being chosen.
    """
    if split == "test":
        return load("fashion-mnist", "test", n=config.test)
    data = load("fashion-mnist", "train")
    if split == "validation":
        return data.subset(range(POOL, POOL + config.test))
    order = torch.randperm(POOL, generator=torch.Generator().manual_seed(config.seed))
    return data.subset(order[: config.train])


def with_titles(
    data: Dataset, seed: int = 0, new_words: bool = False, wrong: float = WRONG
) -> Dataset:
    """`data` with a column `title` (N strings) and, by a transform, its `tokens`.

    Args:
        data: has `label` (N,) int64, an index into NAMES.
        new_words: whether half of the names are replaced by synonyms, anew at every reading.
        wrong: share of the titles that name another class.
    """
    label = data.column("label")
    generator = torch.Generator().manual_seed(seed)
    n = len(label)
    careless = torch.rand(n, generator=generator) < wrong
    shift = torch.randint(1, len(NAMES), (n,), generator=generator)
    named = (label + careless * shift) % len(NAMES)
    before, after = (
        torch.randint(len(words), (n,), generator=generator) for words in (OPENINGS, ENDINGS)
    )
    titles = [
        f"{OPENINGS[b]} {NAMES[k]} {ENDINGS[a]}".strip()
        for b, k, a in zip(before.tolist(), named.tolist(), after.tolist(), strict=True)
    ]
    words = [SynonymReplacement(SYNONYMS, 0.5, "title", seed)] if new_words else []
    data = Dataset({**data.columns, "title": titles}, name=data.name)
    return data.with_transform(Compose([*words, Tokenize(tokenizer(), "title")]))


def tokenizer() -> WordTokenizer:
    """All words that titles can have, the other sellers' included."""
    others = [word for words in SYNONYMS.values() for word in words]
    return WordTokenizer.fit([*NAMES, *others, *OPENINGS, *ENDINGS])
