"""Running a model over a loader without training it.

Knows devices and modes. Does not know what the model is or what is made of its outputs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mmtutor.models.modes import evaluating

Batch = dict[str, Tensor]


def outputs(model: nn.Module, loader: Iterable[Batch]) -> Iterator[tuple[Batch, Any]]:
    """Each batch of `loader` and the model's output for it, both on the model's device.

    No gradients are recorded. The model runs in evaluation mode and is left in the mode it came
    in. Raises ValueError if the loader gives no batch.
    """
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    empty = True
    with evaluating(model):
        for batch in loader:
            empty = False
            batch = {key: value.to(device) for key, value in batch.items()}
            with torch.no_grad():
                output = model(batch)
            yield batch, output
    if empty:
        raise ValueError("the loader gave no batch, so there is nothing to evaluate")
