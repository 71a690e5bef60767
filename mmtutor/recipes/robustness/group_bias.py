"""A planted bias: two groups of sellers use one word for different things, and one group is rare.

A British seller's jumper is a pullover, an American's is a dress. The model sees photograph and
title, but not who wrote it. Knows this bias and two ways of training against it; gaps themselves
are measured by `evaluation.robustness.fairness`.
"""

from __future__ import annotations

from typing import Literal

import torch

from mmtutor.data import Dataset
from mmtutor.data.real.fashion_mnist import CLASSES
from mmtutor.data.transforms import Tokenize
from mmtutor.evaluation.predict import predict
from mmtutor.evaluation.robustness.fairness import group_gaps
from mmtutor.losses import cross_entropy
from mmtutor.losses.noisy_labels import inverse_frequency, weighted_cross_entropy
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result, settings, train
from mmtutor.recipes.common.config import Share
from mmtutor.recipes.robustness import defences
from mmtutor.recipes.robustness import product_titles as shop

GROUPS = ("British", "American")
Remedy = Literal["none", "reweight", "resample"]
JUMPER = {"British": CLASSES.index("pullover"), "American": CLASSES.index("dress")}


@settings
class Config(shop.ShopConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        share: of the training titles that are American; in the test it is one half.
        remedy: "none"; "reweight", by `inverse_frequency` of the group; "resample", as many rows,
            drawn so that both groups are equally frequent.
    """

    share: Share = 0.05
    remedy: Remedy = "none"
    train: shop.Pool = 1_500
    test: shop.Tested = 2_000


PRESETS = {
    "tiny": Config(train=200, test=100, dim=16, width=8, epochs=1),
    "cpu": Config(),
    "t4": Config(train=shop.POOL, test=10_000, dim=256, width=64, epochs=10, batch_size=256),
    "h100": Config(train=shop.POOL, test=10_000, dim=512, width=128, epochs=30, batch_size=512),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train once, then measure the gaps on titles of which one half is American."""
    data = _remedied(titles("train", config), config)
    torch.manual_seed(config.seed)
    model = defences.build(defences.Config(task="shop", dim=config.dim, width=config.width))
    loss = weighted_cross_entropy if config.remedy == "reweight" else cross_entropy
    history = train(config, model, loss, data, progress)
    test = titles(config.split, config)
    said = predict(model, test)
    gaps = group_gaps(said.predicted, said.label, test.column("group"), GROUPS)
    metrics = {
        "accuracy": said.accuracy()._asdict(),
        "by_group": {name: interval._asdict() for name, interval in gaps.accuracy.items()},
        "opportunity_gap": gaps.opportunity_gap._asdict(),
    }
    return Result(metrics, history, model, config)


def titles(split: str, config: Config) -> Dataset:
    """Photographs with titles; what a British or an American calls a jumper is called so.

    Columns: image, label, title and tokens as in `shop`, and group (N,) int64, an index into
    GROUPS.
    """
    data = shop.photographs(split, config)
    seed = config.seed + (0 if split == "train" else TEST_SEED_OFFSET)
    share = config.share if split == "train" else 0.5
    drawn = torch.rand(len(data), generator=torch.Generator().manual_seed(seed))
    group = (drawn < share).long()
    label, named = data.column("label"), shop.with_titles(data, seed, wrong=0.0)
    called = torch.tensor([JUMPER[name] for name in GROUPS])[group] == label
    rows = zip(named.column("title"), label.tolist(), called.tolist(), strict=True)
    words = [t.replace(shop.NAMES[k], "jumper") if jumper else t for t, k, jumper in rows]
    columns = {"image": data.column("image"), "label": label, "group": group, "title": words}
    tokenize = Tokenize(shop.tokenizer(), "title")
    return Dataset(columns, tokenize, f"group-bias/{split}")


def _remedied(data: Dataset, config: Config) -> Dataset:
    weight = inverse_frequency(data.column("group"))
    if config.remedy == "reweight":
        return data.with_column("weight", weight)
    if config.remedy == "resample":
        generator = torch.Generator().manual_seed(config.seed)
        return data.subset(weight.multinomial(len(data), replacement=True, generator=generator))
    return data
