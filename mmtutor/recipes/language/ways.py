"""The ways of a picture into a language model, compared: same eyes, same questions, same size.

Knows what all ways share, and no more; each is a setting of `vlm`. Three seeds say whether a
difference is more than luck.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from mmtutor.recipes.common import Result, settings
from mmtutor.recipes.common.config import Count
from mmtutor.recipes.language import vlm


@settings
class Config(vlm.Config):
    """What one run does: settings of `vlm`, where `way` is each of `ways`.

    Larger batches than there: with few questions it takes them to come past the language prior.

    Attributes:
        ways: which to train.
    """

    train: Count = 80_000
    batch_size: Count = 128
    ways: tuple[Literal[tuple(vlm.BLOCKS)], ...] = tuple(vlm.BLOCKS)


PRESETS = {
    "tiny": Config(train=500, test=90, pictures=64, dim=16, ways=("gated", "stream")),
    "cpu": Config(),  # minutes; the book keeps its results
    "t4": Config(train=500_000, test=10_000, dim=128, batch_size=256),
    "h100": Config(train=1_000_000, test=20_000, dim=256, pairs=3, batch_size=512, lr=1e-3),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train a model for each way; metrics of each as of `vlm`. Its eyes are the same for all but
    "stream". The history and the model are the last one's."""
    learned, asked = (vlm.questions(config, split) for split in ("train", config.split))
    eyes, metrics = vlm.detector(config), {}
    for way in config.ways:
        sees = None if way == "stream" else eyes
        result = vlm.measured(replace(config, way=way), learned, asked, sees, progress)
        metrics[way] = result.metrics
    return Result(metrics=metrics, history=result.history, model=result.model, config=config)
