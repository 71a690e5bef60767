"""From a recipe's settings to a trained model: the only place that calls `fit`.

Knows settings, batches, the training loop, and where a whole run saves its trainings. Does not know
what is trained.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from itertools import chain, count
from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from mmtutor.data import Dataset, loader
from mmtutor.recipes.common.config import TrainConfig
from mmtutor.training import History, fit
from mmtutor.training.fit import Objective
from mmtutor.training.history import Track
from mmtutor.training.step_folders import Checkpoints

_PLACES: ContextVar[Iterator[dict[str, Any]] | None] = ContextVar("places", default=None)


@contextmanager
def saved_in(checkpoints: Checkpoints, track: str | None = None) -> Iterator[None]:
    """Within the block, each training is saved and gone on with: the first one in the folder of
    `checkpoints` itself, the next in its folder `training-2`, and so on. There `track` writes."""
    folder = checkpoints.folder
    folders = chain([folder], (folder / f"training-{k}" for k in count(2)))
    token = _PLACES.set(
        {
            "checkpoint": replace(checkpoints, folder=place),
            "track": Track(track, place) if track else None,
        }
        for place in folders
    )
    try:
        yield
    finally:
        _PLACES.reset(token)


def train(
    config: TrainConfig,
    model: nn.Module,
    objective: nn.Module | Objective,
    data: Dataset | DataLoader,
    progress: bool = False,
    **options: Any,
) -> History:
    """Train `model` as `config` says on `data`, whose order `config.seed` draws.

    Args:
        data: a data set, or a loader where the batches are special.
        options: further ones of `training.fit`, such as `validate` or `checkpoint`.
    """
    if isinstance(data, Dataset):
        data = loader(data, config.batch_size, shuffle=True, seed=config.seed)
    if places := _PLACES.get():
        options = next(places) | options
    return fit(
        model,
        objective,
        data,
        epochs=config.epochs,
        lr=config.lr,
        weight_decay=config.weight_decay,
        precision=config.precision,
        channels_last=config.channels_last,
        compile=config.compile,
        sharded=config.sharded,
        progress=progress,
        **options,
    )
