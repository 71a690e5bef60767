"""Running a model over a data set or a loader without training it.

Knows batches, devices and modes. Does not know what the model is or what is made of its outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from mmtutor.data.batch import Batch, loader
from mmtutor.data.dataset import Dataset
from mmtutor.models.modes import evaluating

BATCH_SIZE = 256


def outputs(model: nn.Module, data: Dataset | Iterable[Batch]) -> Iterator[tuple[Batch, Any]]:
    """Each batch of `data` and the model's output for it, both on the model's device.

    A data set is read in its order, `BATCH_SIZE` examples at a time; batches may come ready-made.

    No gradients are recorded. The model runs in evaluation mode and is left in the mode it came
    in. Raises ValueError if the loader gives no batch.
    """
    empty = True
    with evaluating(model):
        for batch in loader(data, BATCH_SIZE) if isinstance(data, Dataset) else data:
            empty = False
            batch = on_device_of(model, batch)
            with torch.no_grad():
                output = model(batch)
            yield batch, output
    if empty:
        raise ValueError("the loader gave no batch, so there is nothing to evaluate")


def on_device_of(model: nn.Module, batch: Batch) -> Batch:
    """The batch where the model's parameters are."""
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    return {name: value.to(device) for name, value in batch.items()}
