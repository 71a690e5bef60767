"""A planted bias: two groups of sellers use one word for different things, and one group is rare.

A British seller's jumper is a pullover, an American's is a dress. The model sees photograph and
title, but not who wrote it. Knows this bias and two ways of training against it; gaps themselves
are measured by `evaluation.fairness`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from mmtutor.data import Dataset, load, loader
from mmtutor.data.real.fashion_mnist import CLASSES
from mmtutor.data.transforms import Tokenize
from mmtutor.evaluation.predict import Predictions, predict
from mmtutor.evaluation.robustness.fairness import group_gaps
from mmtutor.losses import cross_entropy
from mmtutor.losses.noisy_labels import inverse_frequency, weighted_cross_entropy
from mmtutor.recipes.common.presets import UNTOUCHED, choose
from mmtutor.recipes.common.result import Result
from mmtutor.recipes.robustness import defences as robustness
from mmtutor.recipes.robustness import product_titles as shop
from mmtutor.training import fit

GROUPS = ("British", "American")
REMEDIES = ("none", "reweight", "resample")
JUMPER = {"British": CLASSES.index("pullover"), "American": CLASSES.index("dress")}
POOL = 50_000  # the published training pictures from here on are for validation


@dataclass(frozen=True)
class Config:
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        share: of the training titles that are American; in the test it is one half.
        remedy: "none"; "reweight", by `inverse_frequency` of the group; "resample", as many rows,
            drawn so that both groups are equally frequent.
        split: what is predicted: "test", or "validation" while anything is still being chosen.
    """

    share: float = 0.05
    remedy: str = "none"
    train: int = 1_500
    test: int = 2_000
    split: str = "test"
    dim: int = 32
    width: int = 16
    epochs: int = 5
    batch_size: int = 32
    lr: float = 3e-3
    precision: str = "auto"
    seed: int = 0

    @classmethod
    def preset(cls, name: str) -> Config:
        """The configuration called `name`; raises ValueError naming the presets there are."""
        return choose(PRESETS, name)


PRESETS = {
    "tiny": Config(train=200, test=100, dim=16, width=8, epochs=1),
    "cpu": Config(),
    "t4": Config(train=POOL, test=10_000, dim=256, width=64, epochs=10, batch_size=256),
    "h100": Config(train=POOL, test=10_000, dim=512, width=128, epochs=30, batch_size=512),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train once, then measure the gaps on titles of which one half is American."""
    data = _remedied(titles("train", config), config)
    torch.manual_seed(config.seed)
    model = robustness.build(
        robustness.Config(task="shop", dim=config.dim, width=config.width, seed=config.seed)
    )
    history = fit(
        model,
        weighted_cross_entropy if config.remedy == "reweight" else cross_entropy,
        loader(data, config.batch_size, shuffle=True, seed=config.seed),
        epochs=config.epochs,
        lr=config.lr,
        precision=config.precision,
        progress=progress,
    )
    test = titles(config.split, config)
    said = predictions(model, test)
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
    if split == "train":
        order = torch.randperm(POOL, generator=torch.Generator().manual_seed(config.seed))
        data = load("fashion-mnist", "train").subset(order[: config.train])
    elif split == "test":
        data = load("fashion-mnist", "test", n=config.test)
    else:
        data = load("fashion-mnist", "train").subset(range(POOL, POOL + config.test))
    seed = config.seed + (0 if split == "train" else UNTOUCHED)
    share = config.share if split == "train" else 0.5
    drawn = torch.rand(len(data), generator=torch.Generator().manual_seed(seed))
    group = (drawn < share).long()
    label, named = data.column("label"), shop.with_titles(data, seed, wrong=0.0)
    called = torch.tensor([JUMPER[name] for name in GROUPS])[group] == label
    words = [
        title.replace(shop.NAMES[k], "jumper") if jumper else title
        for title, k, jumper in zip(
            named.column("title"), label.tolist(), called.tolist(), strict=True
        )
    ]
    columns = {"image": data.column("image"), "label": label, "group": group, "title": words}
    tokenize = Tokenize(shop.tokenizer(), "title")
    return Dataset(columns, tokenize, f"sellers/{split}")


def predictions(model: nn.Module, data: Dataset) -> Predictions:
    """What the model says of every photograph with its title."""
    return predict(model, loader(data, 256))


def _remedied(data: Dataset, config: Config) -> Dataset:
    weight = inverse_frequency(data.column("group"))
    if config.remedy == "reweight":
        return data.with_column("weight", weight)
    if config.remedy == "resample":
        generator = torch.Generator().manual_seed(config.seed)
        return data.subset(weight.multinomial(len(data), replacement=True, generator=generator))
    if config.remedy != "none":
        known = ", ".join(REMEDIES)
        raise ValueError(f"unknown remedy {config.remedy!r}: expected one of {known}")
    return data
