"""From a recipe's settings to a trained model: the only place that calls `fit`.

Knows settings, batches and the training loop. Does not know what is trained.
"""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.utils.data import DataLoader

from mmtutor.data import Dataset, loader
from mmtutor.recipes.common.config import TrainConfig
from mmtutor.training import History, fit
from mmtutor.training.fit import Objective


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
    return fit(
        model,
        objective,
        data,
        epochs=config.epochs,
        lr=config.lr,
        weight_decay=config.weight_decay,
        precision=config.precision,
        progress=progress,
        **options,
    )
