"""Running a model over a loader without training it.

Knows devices and modes. Does not know what the model is or what is made of its outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import nn

from mmtutor.data.batch import Batch
from mmtutor.models.modes import evaluating


def outputs(model: nn.Module, loader: Iterable[Batch]) -> Iterator[tuple[Batch, Any]]:
    """Each batch of `loader` and the model's output for it, both on the model's device.

    No gradients are recorded. The model runs in evaluation mode and is left in the mode it came
    in. Raises ValueError if the loader gives no batch.
    """
    empty = True
    with evaluating(model):
        for batch in loader:
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
