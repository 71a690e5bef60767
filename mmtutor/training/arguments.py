"""What both loops ask before and while they train: bad input in one sentence, not in a silence.

Knows modules, objectives, batches and optimisers; knows nothing of how they are trained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from mmtutor import checks


def check_trained(model: nn.Module, objective: Callable, optimizer: torch.optim.Optimizer) -> None:
    """ValueError unless the optimiser moves some of what either of the two has to learn.

    One made for another model, or without the objective's own parameters, trains nothing of it.
    """
    moved = {id(p) for group in optimizer.param_groups for p in group["params"]}
    for name, part in (("model", model), ("objective", objective)):
        own = part.parameters() if isinstance(part, nn.Module) else ()
        learns = [p for p in own if p.requires_grad]
        if learns and not any(id(p) in moved for p in learns):
            raise ValueError(
                f"optimizer must hold the parameters of the {name}, got one without any of them; "
                f"freeze the {name} if it is not to learn"
            )


def check_loss(loss: Tensor, objective: str = "objective") -> Tensor:
    """The loss itself, if it is one number with a gradient: TypeError or ValueError otherwise.

    `objective` is the name, in a refusal, of what returned it.
    """
    if not isinstance(loss, Tensor) or not loss.is_floating_point() or loss.shape != ():
        came = tuple(loss.shape) if isinstance(loss, Tensor) else type(loss).__name__
        raise TypeError(f"{objective} must return a loss, one floating-point number, got {came}")
    if not loss.requires_grad:
        raise ValueError(f"{objective} must return a loss of what is trained, got a constant")
    return loss


def refuses_bad_input(loop: Callable) -> Callable:
    """The training loop, behind checks of its arguments, its batches and each of its losses."""

    @wraps(loop)
    def checked(
        model: nn.Module,
        objective: nn.Module | Callable,
        loader: Iterable[Mapping[str, Any]],
        optimizer: torch.optim.Optimizer,
        epochs: int = 1,
    ) -> list[float]:
        checks.instance(nn.Module, model=model)
        checks.instance(Callable, objective=objective)
        checks.instance(Iterable, loader=loader)
        checks.instance(torch.optim.Optimizer, optimizer=optimizer)
        checks.at_least(1, epochs=epochs)
        check_trained(model, objective, optimizer)

        def scalar(output: Any, batch: Mapping[str, Any]) -> Tensor:
            return check_loss(objective(output, batch))

        return loop(model, scalar, _Batches(loader), optimizer, epochs)

    return checked


class _Batches:
    """A loader that has batches to give, every time."""

    def __init__(self, loader: Iterable) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        batch = None
        for batch in self.loader:
            checks.instance(Mapping, **{"each batch of loader": batch})
            yield batch
        if batch is None:
            raise ValueError("loader must give a batch in every epoch, got none")
