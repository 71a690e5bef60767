"""Image classification from scratch: a small CNN or a small ViT learns Fashion-MNIST.

Knows one whole experiment and the controls that should hurt it. Pretrained networks are elsewhere.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from mmtutor.data import Dataset, load
from mmtutor.data.augment import AugmentPictures
from mmtutor.data.real.fashion_mnist import CLASSES, SIDE
from mmtutor.encoders import SmallCNN, VisionTransformer
from mmtutor.encoders.vision_transformer import rearrange_patches
from mmtutor.recipes.common import Result, TrainConfig, settings, shuffle_column
from mmtutor.recipes.common.classifier import train_classifier
from mmtutor.recipes.common.config import Count, CountOrZero, Rate, require_multiple

POOL = 50_000  # the published training pictures from here on are for validation

Side = Annotated[int, Field(ge=1, le=SIDE)]


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        encoder: "cnn" or "vit".
        train: how many training pictures; which ones, `seed` decides.
        test: how many pictures to test on.
        split: what they are from: "test", or "validation" while anything is still being chosen.
        dim: size of a token.
        width: channels after the CNN's first convolution.
        patch: side of a patch in pixels; None is 4 for the CNN and 7 for the ViT.
        depth, heads: of the ViT.
        shift: move every picture, for training and for testing, by up to so many pixels each way.
        augment: whether training pictures are shifted, mirrored and made brighter or darker.
        rearrange: cut every picture into squares of this side and put them into one other order,
            the same for all pictures; 1 moves single pixels, 0 leaves the pictures alone.
        shuffle_labels: give each training picture the label of another.
    """

    encoder: Literal["cnn", "vit"] = "cnn"
    train: Annotated[int, Field(ge=1, le=POOL)] = 1_200
    test: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    split: Literal["test", "validation"] = "test"
    dim: Count = 48
    width: Count = 24
    patch: Side | None = None
    depth: Count = 2
    heads: Count = 4
    shift: Annotated[int, Field(ge=0, le=SIDE)] = 0
    augment: bool = False
    rearrange: CountOrZero = 0
    shuffle_labels: bool = False
    epochs: Count = 5
    batch_size: Count = 32
    lr: Rate = 3e-3

    def _check(self) -> None:
        if self.encoder == "vit":
            require_multiple(self, "dim", "heads")
        for name in ("patch", "rearrange") if self.encoder == "vit" else ("rearrange",):
            if SIDE % (getattr(self, name) or 1):
                raise ValueError(f"{name} is {getattr(self, name)}: expected a divisor of {SIDE}")


PRESETS = {
    "tiny": Config(train=256, test=100, dim=32, width=8, depth=1, epochs=6),
    "cpu": Config(),
    "t4": Config(
        train=POOL, test=10_000, dim=256, width=96, augment=True, epochs=20, batch_size=256
    ),
    "h100": Config(
        encoder="vit", train=POOL, test=10_000, dim=384, patch=4, depth=8, heads=8, augment=True,
        epochs=100, batch_size=512, lr=1e-3, weight_decay=0.05,
    ),
}  # fmt: skip


def run(config: Config, progress: bool = True) -> Result:
    """Train one encoder with a linear layer, then test it once."""
    torch.manual_seed(config.seed)
    encoder, data, test = _build(config), _training_set(config), test_set(config)
    augment = AugmentPictures() if config.augment else None
    trained = train_classifier(
        config, encoder, data, test, len(CLASSES), progress=progress, augment=augment
    )
    return trained.result(config)


def _build(config: Config) -> nn.Module:
    """The encoder of `config`, untrained."""
    if config.encoder == "cnn":
        return SmallCNN(config.dim, config.width, config.patch or 4)
    return VisionTransformer(config.dim, SIDE, config.patch or 7, config.depth, config.heads)


def _training_set(config: Config) -> Dataset:
    """The pictures to train on, with whatever `config` does to them."""
    generator = torch.Generator().manual_seed(config.seed)
    rows = torch.randperm(POOL, generator=generator)[: config.train]
    data = _changed(load("fashion-mnist", "train").subset(rows), config)
    if config.shuffle_labels:
        data = shuffle_column(data, "label", config.seed)
    return data


def test_set(config: Config) -> Dataset:
    """The pictures to test on, from the split that `config` names."""
    if config.split == "test":
        data = load("fashion-mnist", "test", n=config.test)
    else:
        data = load("fashion-mnist", "train").subset(range(POOL, POOL + config.test))
    return _changed(data, config)


def _shifted(data: Dataset, reach: int, seed: int = 0) -> Dataset:
    """`data` with every picture moved by up to `reach` pixels each way; black comes in."""
    if reach == 0:
        return data
    generator = torch.Generator().manual_seed(seed)
    padded = F.pad(data.column("image").contiguous(), [reach] * 4)
    start = torch.randint(2 * reach + 1, (2, len(data), 1), generator=generator)
    rows, columns = start + torch.arange(SIDE)  # each [N, 28]
    each = torch.arange(len(data))[:, None, None]
    moved = padded[each, :, rows[:, :, None], columns[:, None]]  # [N, 28, 28, 3]
    return data.with_column("image", moved.permute(0, 3, 1, 2))


def _rearranged(data: Dataset, side: int) -> Dataset:
    """`data` with the squares of `side` pixels of every picture in one fixed new order."""
    if side == 0:
        return data
    count = (SIDE // side) ** 2
    order = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    return data.with_column("image", rearrange_patches(data.column("image"), side, order))


def _changed(data: Dataset, config: Config) -> Dataset:
    """What `config` does to training and test pictures alike."""
    return _rearranged(_shifted(data, config.shift, config.seed), config.rearrange)
