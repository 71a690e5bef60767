"""What moves which way? Video encoders learn the motion classes of `moving-shapes`.

Knows one whole experiment in which no single frame tells the class, and its controls: frames in
another order, and clips played backwards. Knows no other data.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from mmtutor.data import Dataset, load
from mmtutor.data.shapes.motion import MOTIONS, OPPOSITE
from mmtutor.encoders import VideoCNN, VideoTransformer
from mmtutor.evaluation import bootstrap_interval, predict
from mmtutor.evaluation.predict import Predictions
from mmtutor.models import Classifier
from mmtutor.recipes.common import TEST_SEED_OFFSET, Result, TrainConfig, settings
from mmtutor.recipes.common.classifier import train_classifier
from mmtutor.recipes.common.config import Count, Rate


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        encoder: "2d", "3d" or "2+1d", the kind of a `VideoCNN`; or "transformer".
        train, test: how many clips.
        frames: frames of a clip.
        see: how many frames, from the first on, the encoder may see; 1 is the control.
        motions: how many of the classes; 4 leaves out the orbits.
        size: side of a frame in pixels.
        dim, width: of the encoder.
    """

    encoder: Literal["2d", "3d", "2+1d", "transformer"] = "3d"
    train: Count = 2_000
    test: Count = 300
    frames: Annotated[int, Field(ge=2, le=1_000)] = 8
    see: Count = 8
    motions: Annotated[int, Field(ge=2, le=len(MOTIONS))] = 4
    size: Count = 32
    dim: Count = 32
    width: Count = 8
    epochs: Count = 2
    batch_size: Count = 32
    lr: Rate = 1e-2

    def _check(self) -> None:
        if self.see > self.frames:
            raise ValueError(f"see is {self.see}: expected at most frames, {self.frames}")


PRESETS = {
    "tiny": Config(train=256, test=64, frames=4, see=4, dim=16, width=4, epochs=2),
    "cpu": Config(),
    "t4": Config(train=20_000, test=2_000, motions=6, dim=128, width=32, epochs=5, batch_size=128),
    "h100": Config(
        train=100_000, test=5_000, motions=6, size=64, dim=256, width=64, epochs=5, batch_size=256
    ),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train one encoder, then test it on clips as they are, out of order and backwards.

    Metrics besides those of `Trained`, each with a 95 % interval:
        shuffled: accuracy when the frames of every test clip stand in a random order.
        reversed: accuracy when they stand backwards and the label is the opposite motion.
        flipped: share of the clips named rightly whose name turns into its opposite when they are
            played backwards; 0 if none is named rightly.
    """
    torch.manual_seed(config.seed)
    test = clips(config, "test")
    encoder, data = build(config), clips(config, "train")
    trained = train_classifier(config, encoder, data, test, config.motions, progress=progress)
    return trained.result(config, **_controls(trained.model, test, trained.test))


def build(config: Config) -> nn.Module:
    """The encoder of `config`, untrained."""
    if config.encoder == "transformer":
        return VideoTransformer(config.dim, config.width)
    return VideoCNN(config.dim, config.width, config.encoder)


def clips(config: Config, split: str) -> Dataset:
    """The clips of `split` that `config` trains or tests on: `video` and `label`.

    All but the training clips come from seeds of their own (`TEST_SEED_OFFSET`): no setting of the
    presets was chosen on them.
    """
    options = {"frames": config.frames, "size": config.size, "motions": config.motions}
    n, seed = (config.train, 0) if split == "train" else (config.test, TEST_SEED_OFFSET)
    data = load("moving-shapes", split, n=n, seed=seed + config.seed, **options)
    video, label = data.column("video")[:, : config.see], data.column("label")
    return Dataset({"video": video, "label": label}, name=data.name)


def _backwards(data: Dataset) -> Dataset:
    """The clips played backwards, which makes each an honest clip of the opposite motion."""
    video, label = data.column("video").flip(1), data.column("label")
    return Dataset({"video": video, "label": torch.tensor(OPPOSITE)[label]}, name=data.name)


def _shuffled(data: Dataset, seed: int = 0) -> Dataset:
    """The clips with the frames of each in a random order of its own."""
    video = data.column("video")
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(video.shape[:2], generator=generator).argsort(dim=1)  # [N, F]
    rows = torch.arange(len(video)).unsqueeze(1)
    return data.with_column("video", video[rows, order])


def _controls(model: Classifier, data: Dataset, straight: Predictions) -> dict[str, dict]:
    """The three measures of `run` that look at order; `straight` is what the model said first."""
    reverse, mixed = (predict(model, changed) for changed in (_backwards(data), _shuffled(data)))
    intervals = {
        "shuffled": mixed.accuracy(),
        "reversed": reverse.accuracy(),
        "flipped": bootstrap_interval(_flipped(straight, reverse)),
    }
    return {name: interval._asdict() for name, interval in intervals.items()}


def _flipped(straight: Predictions, reverse: Predictions) -> Tensor:
    """(M,) for the M clips named rightly: 1.0 where their reverse gets the opposite name."""
    opposite = torch.tensor(OPPOSITE)[straight.predicted] == reverse.predicted
    flipped = opposite[straight.correct].double()
    return flipped if len(flipped) else torch.zeros(1)
