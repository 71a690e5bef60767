"""Several models of one architecture, computed at once.

Knows how to stack their parameters and to run them side by side; knows nothing of what they are.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state


class Ensemble(nn.Module):
    """R models with parameters of their own, each on examples of its own, in one pass (`vmap`).

    They learn independently of each other if the objective is a *sum* over models and the gradient
    is not clipped as a whole. Small models train several times faster so than one by one.

    Args:
        models: R models alike but for their parameters, on one device, without buffers.

    Raises:
        ValueError: there are buffers (running statistics cannot be stacked), or no model.
    """

    def __init__(self, models: Sequence[nn.Module]) -> None:
        super().__init__()
        if not models or any(True for model in models for _ in model.buffers()):
            raise ValueError("an ensemble needs at least one model, and models without buffers")
        parameters, _ = stack_module_state(list(models))
        self.names = tuple(parameters)
        self.stacked = nn.ParameterList(parameters.values())  # each [R, ...]
        self._template = (copy.deepcopy(models[0]).to("meta"),)  # in a tuple: not a part of this

    def __len__(self) -> int:
        return len(self.stacked[0])

    def forward(self, batch: dict[str, Tensor]) -> Any:
        """A batch whose entries have models as their second axis, (B, R, ...) -> what a model
        returns, with that second axis in every tensor."""

        def one(parameters: dict[str, Tensor], batch: dict[str, Tensor]) -> Any:
            return functional_call(self._template[0], parameters, (batch,))

        parameters = dict(zip(self.names, self.stacked, strict=True))
        return torch.vmap(one, in_dims=(0, 1), out_dims=1)(parameters, batch)
