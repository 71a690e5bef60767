"""A scaling law: models of `gpt` that are alike but for their width read the same text, once.

Knows widths, and the law that is fitted to what they score. Does not know how far it holds: with a
floor of its own and five models, not far.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from scipy.optimize import curve_fit
from torch import Tensor

from mmtutor import checks
from mmtutor.data.tokenizer import SubwordTokenizer
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.statistics.bootstrap import (
    Interval,
    bootstrap_draws,
    percentile_interval,
)
from mmtutor.recipes.common import Result, settings
from mmtutor.recipes.common.config import Count, Rate
from mmtutor.recipes.language import gpt
from mmtutor.recipes.language.changes import MODERN

HEAD = 16  # size of a head
BINS = 12  # of the training
RESAMPLES = 500


@settings
class Config(gpt.Config):
    """What one run does: settings of `gpt`, whose `dim` and `heads` follow from `dims`.

    Attributes:
        dims: size of a token in each model, a multiple of HEAD.
    """

    train: Count = 1_500_000
    split: Literal["test", "val"] = "val"
    batch_size: Count = 8
    lr: Rate = 1e-2
    dims: tuple[Count, ...] = (16, 32, 64, 96, 144)

    def _check(self) -> None:
        super()._check()
        if any(dim % HEAD for dim in self.dims):
            raise ValueError(f"dims is {self.dims}: expected multiples of {HEAD}")


SAME = {"optimizer": "muon", **MODERN}
PRESETS = {
    "tiny": Config(
        **SAME, train=20_000, test=4_000, vocabulary=300, length=64, depth=1, dims=(16, 32, 48, 64)
    ),
    "cpu": Config(**SAME),
    "t4": Config(**SAME, train=8_000_000, length=256, depth=6, dims=(64, 128, 256, 384, 512)),
    "h100": Config(**SAME, train=8_000_000, length=512, depth=8, dims=(64, 128, 256, 512, 1_024)),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train a model of each size, and fit the law to their scores.

    Metrics: `models`, for each size its `parameters` without embeddings, `bits_per_byte`, and the
    `course` of its training, in which no text comes twice: after so many `tokens` read, the mean
    `bits_per_byte` of the last ones; and the `law`, with its intervals over documents. History and
    model are the largest one's.
    """
    learned, held_out = (gpt.texts(config, split) for split in ("train", config.split))
    tokenizer = SubwordTokenizer.fit(learned, config.vocabulary, exact=True)
    documents, models, bits = gpt.cut(held_out, tokenizer.encode), [], []
    size = sum(len(text.encode()) for text in learned)
    for dim in sorted(config.dims):
        shaped = replace(config, dim=dim, heads=dim // HEAD)
        model, batches = gpt.build(shaped, tokenizer), gpt.data(shaped, learned, tokenizer)
        history = gpt.fitted(shaped, model, batches, progress)
        count = len(batches.dataset) * config.length
        bits.append(gpt.bits(model, documents))
        course = [part.mean() for part in np.array_split(history.loss, BINS)]
        models.append(
            {
                "parameters": parameters(model.blocks),
                "bits_per_byte": gpt.bits_per_byte(bits[-1], held_out).estimate,
                "course": {
                    "tokens": [count * (i + 1) / BINS for i in range(BINS)],
                    "bits_per_byte": [loss / math.log(2) * count / size for loss in course],
                },
            }
        )
    found = _laws([made["parameters"] for made in models], torch.stack(bits, dim=1), held_out)
    metrics = {"models": models, "law": {name: x._asdict() for name, x in found.items()}}
    return Result(metrics=metrics, history=history, model=model, config=config)


def _laws(sizes: Sequence[int], bits: Tensor, held_out: Sequence[str]) -> dict[str, Interval]:
    """Each number of the law, from what each document takes in each model, bits (N, M)."""
    bytes_ = torch.tensor([len(text.encode()) for text in held_out], dtype=torch.float64)
    draws = bootstrap_draws(lambda w: w @ bits / (w @ bytes_).unsqueeze(1), len(bits), RESAMPLES)
    found = torch.tensor([law(sizes, losses) for losses in draws.tolist()], dtype=torch.float64)
    return dict(zip(Law._fields, map(percentile_interval, found.T), strict=True))


class Law(NamedTuple):
    """L(N) = floor + scale * N ** -exponent (Hoffmann et al. 2022, at a fixed number of tokens)."""

    floor: float
    scale: float
    exponent: float

    def at(self, parameters: float) -> float:
        """The loss of a model with so many parameters."""
        return self.floor + self.scale * parameters**-self.exponent


def law(sizes: Sequence[float], losses: Sequence[float], floor: float | None = None) -> Law:
    """The law that is nearest to the losses (M,) of models of these sizes (M,), least squares.

    Args:
        floor: what no size can go below; None to fit it too, which takes four models or more.
    """
    checks.same_length(sizes=sizes, losses=losses)
    checks.at_least(3 + (floor is None), **{"len(sizes)": len(sizes)})
    sizes, losses = np.asarray(sizes, float), np.asarray(losses, float)
    middle = np.exp(np.log(sizes).mean())  # so that the scale is a loss, of a size among these

    def predicted(n: np.ndarray, scale: float, exponent: float, base: float = floor) -> np.ndarray:
        return base + scale * (n / middle) ** -exponent

    least = losses.min()
    start, low, high = [least / 2, 0.2], [0, 0], [np.inf, 5]
    if floor is None:
        start, low, high = [*start, least / 2], [*low, 0], [*high, least]
    found, _ = curve_fit(predicted, sizes, losses, start, bounds=(low, high))
    scale, exponent, base = (*found, floor)[:3]
    return Law(float(base), float(scale * middle**exponent), float(exponent))
