"""What training costs: where the time of a step goes, and what a run of a given size comes to.

Knows the phases of a training step and counts of operations; knows nothing of what is learned.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, pairwise
from statistics import median
from typing import NamedTuple

import torch
from torch import nn

from mmtutor import checks
from mmtutor.data.batch import Batch
from mmtutor.evaluation.efficiency import clock, flops, peak_bytes
from mmtutor.training.arguments import check_loss, check_trained


class _StepCost(NamedTuple):
    """One training step, on the device that the model is on.

    Attributes:
        data, forward, backward, update: seconds, the median of each phase; the loss is a part of
            `forward`, clearing the gradients of `update`.
        examples_per_second: from the sum of the four.
        flops: floating-point operations of forward and backward; see `efficiency.Cost.flops`.
        peak_bytes: most memory held at once in forward, backward and update, on top of parameters,
            batch and what the optimiser keeps.
        utilisation: `flops` a second over what the device could do; None without that figure.
    """

    data: float
    forward: float
    backward: float
    update: float
    examples_per_second: float
    flops: int
    peak_bytes: int
    utilisation: float | None


def step_cost(
    model: nn.Module,
    objective: nn.Module | Callable,
    loader: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    steps: int = 9,
    peak_flops: float | None = None,
) -> _StepCost:
    """Train for `steps` + 2 steps and measure them: the first two are counted, the others timed.

    They are real steps, as those of `loop.train`: give a copy of a model that should not learn.

    Args:
        loader: gives at least `steps` + 1 batches; the size of the last is that of the rates.
        peak_flops: operations a second that the maker of the device promises at this precision.
            What is done twice to save memory is counted twice: this is the hardware's utilisation,
            and the model's (Chowdhery et al. 2022) where nothing is.

    Raises ValueError for a loader that gives too few, and as `loop.train` does.
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Callable, objective=objective)
    checks.instance(Iterable, loader=loader)
    checks.instance(torch.optim.Optimizer, optimizer=optimizer)
    checks.at_least(1, steps=steps)
    checks.within("(0, inf)", peak_flops=1.0 if peak_flops is None else peak_flops)
    check_trained(model, objective, optimizer)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    batches = _batches(loader, steps + 1, device)
    was_training = model.training
    model.train()
    try:
        first = next(batches)
        phases = _phases(model, objective, optimizer, first)
        operations = flops(lambda: list(phases()))
        held = peak_bytes(lambda: list(phases()), device)
        times = [_timed(model, objective, optimizer, batches) for _ in range(steps)]
    finally:
        model.train(was_training)
    *seconds, sizes = zip(*times, strict=True)
    seconds = [median(each) for each in seconds]
    total = sum(seconds)
    used = None if peak_flops is None else operations / total / float(peak_flops)
    return _StepCost(*seconds, sizes[-1] / total, operations, held, used)


def _batches(loader: Iterable[Batch], count: int, device: torch.device) -> Iterator[Batch]:
    """The first `count`, on the device; ValueError where there are fewer."""
    given = 0
    for batch in islice(loader, count):
        checks.instance(Mapping, **{"each batch of loader": batch})
        checks.same_length(**{f"batch[{key!r}]": column for key, column in batch.items()})
        given += 1
        yield {key: column.to(device) for key, column in batch.items()}
    raise ValueError(f"loader must give {count} batches, one more than steps, got {given}")


def _phases(
    model: nn.Module, objective: Callable, optimizer: torch.optim.Optimizer, batch: Batch
) -> Callable[[], Iterator[None]]:
    """A training step that stops after forward, backward and update."""

    def phases() -> Iterator[None]:
        loss = check_loss(objective(model(batch), batch))
        yield
        loss.backward()
        yield
        optimizer.step()
        optimizer.zero_grad()
        yield

    return phases


def _timed(
    model: nn.Module,
    objective: Callable,
    optimizer: torch.optim.Optimizer,
    batches: Iterator[Batch],
) -> tuple[float, ...]:
    """The seconds of the four phases of one step, and how many examples it saw."""
    marks = [clock()]
    batch = next(batches)
    marks.append(clock())
    for _ in _phases(model, objective, optimizer, batch)():
        marks.append(clock())
    spent = (end - start for start, end in pairwise(marks))
    return *spent, len(next(iter(batch.values())))


def training_flops(parameters: float, tokens: float) -> float:
    """Operations that training a Transformer takes: 6 N D (Kaplan et al. 2020, section 2.1).

    Two for a multiplication and an addition, once forward and twice backward, for each of N
    `parameters` (embeddings apart) and each of D `tokens`. Attention over a context much longer
    than the model is wide comes on top.
    """
    checks.within("(0, inf)", parameters=parameters, tokens=tokens)
    return 6 * float(parameters) * float(tokens)


class _RunCost(NamedTuple):
    """Hours from start to end, hours of all GPUs together, and what these cost."""

    hours: float
    gpu_hours: float
    price: float


def run_cost(
    operations: float, peak_flops: float, utilisation: float, gpus: int = 1, hour_price: float = 0.0
) -> _RunCost:
    """What a run takes on `gpus` GPUs that share the work evenly.

    Args:
        operations: floating-point operations of the whole run; see `training_flops`.
        peak_flops: operations a second of one GPU, as its maker promises at this precision.
        utilisation: the share in (0, 1] of it that training reaches; see `step_cost`.
        hour_price: of one GPU for an hour, in any currency.
    """
    checks.within("(0, inf)", operations=operations, peak_flops=peak_flops)
    checks.within("(0, 1]", utilisation=utilisation)
    checks.within("[0, inf)", hour_price=hour_price)
    checks.at_least(1, gpus=gpus)
    gpu_hours = float(operations) / (float(peak_flops) * float(utilisation)) / 3600
    return _RunCost(gpu_hours / int(gpus), gpu_hours, gpu_hours * float(hour_price))
