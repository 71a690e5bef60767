"""Pre-training on pictures without labels, and what it is worth once there are a few.

Knows whole experiments on photographs of clothes: a masked autoencoder and momentum contrast,
judged by linear probes against an encoder that learned nothing and one that learned from the labels
alone; the share of a picture that is hidden; and what keeps momentum contrast from collapsing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from mmtutor.data import Dataset, load
from mmtutor.data.augment import AugmentPictures
from mmtutor.data.real.fashion_mnist import CLASSES, SIDE
from mmtutor.encoders import VisionTransformer
from mmtutor.evaluation.predict import outputs
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses.self_supervised import first_among, hidden_patches
from mmtutor.models.masked_autoencoder import MaskedAutoencoder
from mmtutor.models.momentum_contrast import MomentumContrast
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.classifier import train_classifier
from mmtutor.recipes.common.config import (
    BelowOne,
    Count,
    CountOrZero,
    Rate,
    Share,
    require_multiple,
)
from mmtutor.recipes.encoders.images import POOL
from mmtutor.training import History
from mmtutor.training.fit import Objective

Method = Literal["masked", "momentum"]
PARTS = {  # what is taken away from momentum contrast, one thing at a time
    "whole": {},
    "key encoder not slow": {"momentum": 0.0},
    "no negatives": {"queue": 0},
    "neither": {"momentum": 0.0, "queue": 0},
}


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        study: "labels", both methods and their opponents by the number of labels; "ratios", masked
            autoencoders that hide more and more; "collapse", momentum contrast without a part.
        train: how many pictures to pre-train on; which ones, `seed` decides.
        test: how many pictures to test on.
        split: of these: "test", or "validation" while anything is still being chosen.
        shares: of the pictures whose labels may be used.
        ratios: shares of a picture that are hidden, for that study.
        labelled: how many pictures are seen at least, again and again, from labels alone.
        patch, dim, depth, heads: of the encoder.
        ratio: share of the patches that a masked autoencoder hides.
        queue, momentum, temperature: of `MomentumContrast`.
        crop: the smallest share of a picture that a view shows.
        passes: epochs of momentum contrast, whose steps are slower; `epochs` are the others'.
    """

    study: Literal["labels", "ratios", "collapse"] = "labels"
    train: Annotated[int, Field(ge=1, le=POOL)] = 5_000
    test: Annotated[int, Field(ge=1, le=10_000)] = 5_000
    split: Literal["test", "validation"] = "test"
    shares: tuple[Share, ...] = (0.01, 0.05, 0.1, 1.0)
    ratios: tuple[BelowOne, ...] = (0.25, 0.5, 0.75, 0.9)
    labelled: Count = 10_000
    patch: Annotated[int, Field(ge=1, le=SIDE)] = 7
    dim: Count = 64
    depth: Count = 2
    heads: Count = 4
    ratio: BelowOne = 0.75
    queue: CountOrZero = 2_048
    momentum: Share = 0.99
    temperature: Rate = 0.2
    crop: Share = 0.3
    epochs: Count = 20
    passes: Count = 10
    batch_size: Count = 64
    lr: Rate = 2e-3

    def _check(self) -> None:
        require_multiple(self, "dim", "heads")
        if SIDE % self.patch:
            raise ValueError(f"patch is {self.patch}: expected a divisor of {SIDE}")
        if min(self.shares) * self.train < len(CLASSES):
            raise ValueError(
                f"shares begin with {min(self.shares)}: expected at least {len(CLASSES)} labels"
            )


PRESETS = {
    "tiny": Config(
        train=256, test=100, shares=(0.1, 1.0), labelled=256, dim=16, depth=1, queue=64,
        ratios=(0.5, 0.75), epochs=2, passes=1,
    ),
    "cpu": Config(patch=4, epochs=6, batch_size=32),
    "few": Config(epochs=12, passes=6, shares=(0.01, 0.1, 1.0), labelled=8_000),
    "labels": Config(),  # a minute or two on a CPU; the book keeps its results
    "ratios": Config(study="ratios", epochs=6, shares=(0.01, 1.0)),
    "collapse": Config(study="collapse", train=1_500, test=2_000, passes=4, shares=(1.0,)),
    "t4": Config(train=POOL, test=10_000, patch=4, dim=192, depth=6, epochs=100, passes=100),
    "h100": Config(
        train=POOL, test=10_000, patch=4, dim=384, depth=8, heads=8, epochs=400, passes=400
    ),
}  # fmt: skip


def run(config: Config, progress: bool = True) -> Result:
    """Pre-train as the study says, then probe what was learned.

    Metrics: `accuracy[encoder][share]`, each with its interval over test pictures, and
    `minus[encoder][share]`, paired with an encoder that learned nothing. The study of labels has
    "labels alone" and "pixels" too, with `minus_labels_alone`; that of collapse `spread`.
    """
    pictures, held_out = data(config), data(config, config.split)
    variants = variations(config)
    pretrained = {name: pretrain(one, method, progress) for name, (one, method) in variants.items()}
    models = {name: model for name, (model, _) in pretrained.items()}
    found = {
        name: probe(config, model.encoder, pictures, held_out) for name, model in models.items()
    }
    found["nothing learned"] = probe(config, encoder(config), pictures, held_out)
    metrics: dict[str, Any] = {}
    if config.study == "labels":
        found["pixels"] = probe(config, None, pictures, held_out)
        found["labels alone"] = from_labels(config, pictures, held_out, progress)
        metrics["minus_labels_alone"] = _minus(found, "labels alone")
    if config.study == "collapse":
        metrics["spread"] = {name: spread(model, held_out) for name, model in models.items()}
    metrics["minus"] = _minus(found, "nothing learned")
    metrics["accuracy"] = {
        name: {share: _interval(correct.double()) for share, correct in by_share.items()}
        for name, by_share in found.items()
    }
    first = next(iter(variants))
    return Result(metrics, pretrained[first][1], nn.ModuleDict(models), config)


def variations(config: Config) -> dict[str, tuple[Config, Method]]:
    """What the study pre-trains, by name."""
    if config.study == "labels":
        return {"masked": (config, "masked"), "momentum": (config, "momentum")}
    if config.study == "ratios":
        return {
            f"{r:g}".replace(".", "-"): (replace(config, ratio=r), "masked") for r in config.ratios
        }
    return {name: (replace(config, **less), "momentum") for name, less in PARTS.items()}


def data(config: Config, split: str = "train") -> Dataset:
    """The pictures to pre-train on, whose labels are not read then; or those of another split."""
    if split == "test":
        return load("fashion-mnist", "test", n=config.test)
    if split == "validation":
        return load("fashion-mnist", "train").subset(range(POOL, POOL + config.test))
    generator = torch.Generator().manual_seed(config.seed)
    rows = torch.randperm(POOL, generator=generator)[: config.train]
    return load("fashion-mnist", "train").subset(rows)


def encoder(config: Config) -> VisionTransformer:
    """One that has learned nothing."""
    torch.manual_seed(config.seed)
    return VisionTransformer(config.dim, SIDE, config.patch, config.depth, config.heads)


def build(config: Config, method: Method) -> MaskedAutoencoder | MomentumContrast:
    """An untrained model around a new encoder."""
    new = encoder(config)
    if method == "masked":
        return MaskedAutoencoder(new, config.ratio)
    chosen = config.queue, config.momentum, config.temperature
    return MomentumContrast(new, Views(config.crop), config.dim, *chosen)


def objective(config: Config, method: Method) -> Objective:
    """What is minimised; without negatives, only that a pair's two views come closer."""
    if method == "masked":
        return hidden_patches
    if config.queue:
        return first_among
    return lambda output, batch: -output.logits[:, 0].mean()


def pretrain(
    config: Config, method: Method, progress: bool = True
) -> tuple[MaskedAutoencoder | MomentumContrast, History]:
    """A model that has seen the pictures, and no label."""
    model = build(config, method)
    images = Dataset({"image": data(config).column("image")})
    if method == "momentum":
        config = replace(config, epochs=config.passes)
    return model, train(config, model, objective(config, method), images, progress)


class Views:
    """Another view of each picture: at least `crop` of its area, perhaps mirrored, and lit anew."""

    def __init__(self, crop: float) -> None:
        self.crop, self.light = crop, AugmentPictures(shift=0, brightness=0.4, contrast=0.4)

    def __call__(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> the same shape; draws PyTorch's global random numbers."""
        drawn = torch.rand(3, len(image), device=image.device)
        size = (self.crop + (1 - self.crop) * drawn[0]).sqrt()  # of a side
        shift = (2 * drawn[1:] - 1) * (1 - size)  # of the middle, on an axis from -1 to 1
        turn = torch.diag_embed(size[:, None].expand(-1, 2))
        window = torch.cat([turn, shift.T.unsqueeze(2)], dim=2)  # [B, 2, 3]
        grid = F.affine_grid(window, list(image.shape), align_corners=False)
        return self.light(F.grid_sample(image, grid, padding_mode="border", align_corners=False))


def features(reader: nn.Module | None, pictures: Dataset) -> Tensor:
    """What an encoder makes of pictures, the mean of its tokens: (N, D); of None, grey pixels."""
    if reader is None:
        return pictures.column("image")[:, 0].flatten(1).float() / 255
    images = Dataset({"image": pictures.column("image")})
    found = outputs(_Pooled(reader), images)
    return torch.cat([pooled.cpu() for _, pooled in found])


def probe(
    config: Config, reader: nn.Module | None, pictures: Dataset, held_out: Dataset
) -> dict[float, Tensor]:
    """For each share of labels, which test pictures a linear classifier gets right: (N,) bool."""
    known, asked = features(reader, pictures), features(reader, held_out)
    return {s: linear(known, asked, pictures, held_out, _count(config, s)) for s in config.shares}


def linear(known: Tensor, asked: Tensor, pictures: Dataset, held_out: Dataset, n: int) -> Tensor:
    """Logistic regression on the features (N, D) of the first n pictures: what is right (M,)."""
    from sklearn.linear_model import LogisticRegression

    mean, deviation = known.mean(dim=0), known.std(dim=0).clamp(min=1e-3)  # needs no labels
    known, asked = (((x - mean) / deviation).numpy() for x in (known[:n], asked))
    judge = LogisticRegression(C=0.1, max_iter=1_000).fit(
        known, pictures.column("label")[:n].numpy()
    )
    return torch.from_numpy(judge.predict(asked)) == held_out.column("label")


def from_labels(
    config: Config, pictures: Dataset, held_out: Dataset, progress: bool = True
) -> dict[float, Tensor]:
    """The same of the same encoder, trained from the start on the labels and nothing else."""
    found = {}
    for share in config.shares:
        n = _count(config, share)
        epochs = max(2, -(-config.labelled // n))
        one = replace(config, epochs=epochs, batch_size=min(config.batch_size, 64))
        few = pictures.subset(range(n))
        options = {"progress": progress, "augment": AugmentPictures()}
        trained = train_classifier(one, encoder(config), few, held_out, len(CLASSES), **options)
        found[share] = trained.test.correct
    return found


def spread(model: MomentumContrast, pictures: Dataset) -> float:
    """How far apart queries (N, D) lie: 1 minus the length of their mean; 0, all are the same."""
    queries = [model.query(batch) for batch, _ in outputs(_Pooled(model.encoder), pictures)]
    return 1 - torch.cat(queries).mean(dim=0).norm().item()


class _Pooled(nn.Module):
    """An encoder's pooled tokens."""

    def __init__(self, reader: nn.Module) -> None:
        super().__init__()
        self.reader = reader

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return self.reader(batch["image"]).pooled()


def _count(config: Config, share: float) -> int:
    return round(share * config.train)


def _minus(found: Mapping[str, Mapping[float, Tensor]], other: str) -> dict[str, Any]:
    """Accuracy less that of another encoder, picture by picture."""
    return {
        name: {s: _interval(right.double() - found[other][s].double()) for s, right in one.items()}
        for name, one in found.items()
        if name != other
    }


def _interval(values: Tensor) -> dict[str, float]:
    return bootstrap_interval(values)._asdict()
