"""The settings of the scorecard recipe: how candidates are trained, and how long the suite is."""

from __future__ import annotations

from typing import Literal

from mmtutor.recipes.common import TrainConfig, settings
from mmtutor.recipes.common.config import Count, Rate, Size, require_multiple


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        train: questions to train on, one half in English and one in Chinese.
        pictures: of those, the pictures from which all models' image encoder learns.
        test: questions of the suite.
        split: "val" while settings are being chosen.
        size: side of a picture, a multiple of 12.
        dim, width: of the image encoder's tokens and its first layer; hidden, of fusion and head.
        look: passes over the pictures; epochs: over the questions.
        hub: whether a tiny ViLT is saved into a folder and loaded by `transformers` from there.
        hub_steps: batches that it is trained for.
        examined: see `EvaluationSuite`.
    """

    train: Count = 10_000
    pictures: Count = 6_000
    test: Count = 600
    split: Literal["test", "val"] = "test"
    size: Count = 36
    dim: Count = 48
    width: Count = 16
    hidden: Count = 48
    look: Count = 8
    epochs: Count = 8
    batch_size: Count = 128
    lr: Rate = 1e-2
    weight_decay: Size = 0.05
    hub: bool = True
    hub_steps: Count = 100
    examined: Count = 100

    def _check(self) -> None:
        require_multiple(self, "size", 12)
        if self.pictures > self.train:
            raise ValueError(f"pictures is {self.pictures}: expected at most train, {self.train}")


PRESETS = {
    "tiny": Config(
        train=1_000, pictures=600, test=80, dim=16, width=8, hidden=16, look=2, epochs=1,
        hub_steps=2, examined=20,
    ),
    "cpu": Config(),
    "t4": Config(
        train=200_000, pictures=100_000, test=4_000, size=48, dim=128, width=32, hidden=128,
        look=10, epochs=10, batch_size=512, lr=4e-3, hub_steps=4_000, examined=1_000,
    ),
    "h100": Config(
        train=1_000_000, pictures=400_000, test=10_000, size=48, dim=256, width=64, hidden=256,
        look=10, epochs=10, batch_size=1_024, lr=2e-3, hub_steps=20_000, examined=2_000,
    ),
}  # fmt: skip
