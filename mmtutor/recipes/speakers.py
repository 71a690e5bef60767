"""People describe shapes in two languages, one of which is rare in training.

Knows this planted bias, whose cause is known, and two ways of training against it. Gaps themselves
are measured by `evaluation.fairness`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from mmtutor.data import Dataset, loader
from mmtutor.data.shapes import scenes
from mmtutor.data.shapes_captions import chinese, english
from mmtutor.data.shapes_scene import SHAPES
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.data.transforms import Tokenize
from mmtutor.encoders import BagOfWords
from mmtutor.evaluation.classification import Predictions, predict
from mmtutor.evaluation.fairness import group_gaps
from mmtutor.losses import cross_entropy
from mmtutor.losses.noisy_labels import inverse_frequency, weighted_cross_entropy
from mmtutor.models import Classifier
from mmtutor.recipes.presets import UNTOUCHED, choose
from mmtutor.recipes.results import Result
from mmtutor.training import fit

GROUPS = ("English", "Chinese")
REMEDIES = ("none", "reweight", "resample")


@dataclass(frozen=True)
class Config:
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        share: of the training captions that are Chinese; in the test it is one half.
        remedy: "none"; "reweight", by `inverse_frequency` of the group; "resample", as many rows,
            drawn so that both groups are equally frequent.
    """

    share: float = 0.05
    remedy: str = "none"
    train: int = 1_200
    test: int = 1_000
    dim: int = 32
    epochs: int = 4
    batch_size: int = 32
    lr: float = 1e-2
    precision: str = "auto"
    seed: int = 0

    @classmethod
    def preset(cls, name: str) -> Config:
        """The configuration called `name`; raises ValueError naming the presets there are."""
        return choose(PRESETS, name)


PRESETS = {
    "tiny": Config(train=300, test=100, epochs=1),
    "cpu": Config(),
    "t4": Config(train=20_000, test=10_000, dim=128, share=0.005),
    "h100": Config(train=100_000, test=50_000, dim=256, share=0.001),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train once, then measure the gaps on captions of which one half is Chinese."""
    data = _remedied(captions("train", config.train, config.share, config.seed), config)
    torch.manual_seed(config.seed)
    model = Classifier(BagOfWords(_tokenizer().size, config.dim), len(SHAPES))
    history = fit(
        model,
        weighted_cross_entropy if config.remedy == "reweight" else cross_entropy,
        loader(data, config.batch_size, shuffle=True, seed=config.seed),
        epochs=config.epochs,
        lr=config.lr,
        clip_norm=None,  # it would cut down the very gradients that weights have made large
        precision=config.precision,
        progress=progress,
    )
    test = held_out(config)
    said = predictions(model, test)
    gaps = group_gaps(said.predicted, said.label, test.column("group"), GROUPS)
    metrics = {
        "accuracy": said.accuracy()._asdict(),
        "by_group": {name: interval._asdict() for name, interval in gaps.accuracy.items()},
        "accuracy_gap": gaps.accuracy_gap._asdict(),
    }
    return Result(metrics, history, model, config)


def captions(split: str, n: int, share: float, seed: int = 0) -> Dataset:
    """Captions of one shape each, `share` of them Chinese; the label is the shape.

    Columns: text (N strings), tokens by a tokenizer that knows both languages, label (N,) int64,
    and group (N,) int64, an index into GROUPS.
    """
    scene = scenes(split, n, seed, max_objects=1)
    group = torch.rand(n, generator=torch.Generator().manual_seed(seed)) < share
    pairs = zip(english(scene), chinese(scene), group.tolist(), strict=True)
    columns = {
        "text": [theirs if rare else ours for ours, theirs, rare in pairs],
        "label": torch.from_numpy(scene.shape[:, 0]),
        "group": group.long(),
    }
    data = Dataset(columns, name=f"speakers/{split}")
    return data.with_transform(Tokenize(_tokenizer(), "text"))


def held_out(config: Config) -> Dataset:
    """The test captions of `config`, one half in either language."""
    return captions("test", config.test, 0.5, config.seed + UNTOUCHED)


def predictions(model: Classifier, data: Dataset) -> Predictions:
    """What the model says of every caption."""
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


def _tokenizer() -> WordTokenizer:
    scene = scenes("train", 2_000, 0, max_objects=1)
    return WordTokenizer.fit([*english(scene), *chinese(scene)])
