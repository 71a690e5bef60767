"""The loop of `loop.train` for real runs: the same lines, and around them what a long run needs.

Adds to the loop: the device, a GPU or several (by `torchrun`, through Hugging Face Accelerate),
precision, clipping, a schedule with warm-up, accumulation over batches, checkpoints, a history and
progress. With these off it trains the same weights as the loop, bit for bit on a CPU. Knows nothing
of modalities, of particular losses or of metrics.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from mmtutor import checks
from mmtutor.training.arguments import check_trained
from mmtutor.training.engine import Engine
from mmtutor.training.history import History
from mmtutor.training.loop import Objective
from mmtutor.training.optim import SCHEDULES, learning_rate_factor, make_optimizer
from mmtutor.training.resume import saved
from mmtutor.training.run import ModelAndObjective, Run, Validate
from mmtutor.training.step_folders import Checkpoints


def fit(
    model: nn.Module,
    objective: nn.Module | Objective,
    loader: DataLoader,
    *,
    epochs: int,
    lr: float = 1e-3,
    weight_decay: float = 0.01,
    warmup: float = 0.1,
    schedule: str = "cosine",
    clip_norm: float | None = 1.0,
    accumulate: int = 1,
    optimizer: torch.optim.Optimizer | None = None,
    validate: Validate | None = None,
    checkpoint: str | Path | Checkpoints | None = None,
    progress: bool = True,
    **engine: Any,
) -> History:
    """Minimise `objective(model(batch), batch)`; leaves the model on its device, in eval mode.

    Args:
        objective: returns a scalar; if it is a module, its parameters are trained too.
        loader: over several processes, its batch size is that of each.
        epochs: passes over the loader, those of a resumed checkpoint included.
        lr, weight_decay: of AdamW; vectors and scalars do not decay. Unused with `optimizer`.
        warmup: share in [0, 1] of all optimiser steps over which the learning rate rises.
        schedule: "cosine" then falls to zero, "constant" stays.
        clip_norm: largest norm of the whole gradient; None does not clip.
        accumulate: batches averaged before a step; each still has its own negatives only.
        optimizer: instead of AdamW; its learning rates are warmed up and scheduled all the same.
        validate: called after every epoch, without gradients; its numbers join the history.
        checkpoint: folder to save in and to go on from, or `Checkpoints`; see `saved`.
        engine: how the device does its work, such as `precision="bf16"`: see `Engine`.

    Raises:
        FloatingPointError: a loss is NaN or infinite; no checkpoint and, on a CPU, no step used it.
        TypeError, ValueError: a bad argument, nothing to train, or a checkpoint that does not fit.
    """
    _check_parts(model, objective, loader, optimizer, validate, checkpoint)
    _check_numbers(epochs, accumulate, lr, weight_decay, warmup, schedule, clip_norm)
    engine = Engine(**engine)
    _check_sharded(engine, optimizer)
    with engine.accelerator() as accelerator:
        both = engine.prepare(ModelAndObjective(model, objective), accelerator.device)
        optimizer = optimizer or make_optimizer(both, lr, weight_decay)
        run = Run(accelerator, engine, model, both, optimizer, loader, accumulate, clip_norm)
        run.factor = lambda step: learning_rate_factor(step, run.steps * epochs, warmup, schedule)
        told = {"epochs": epochs, "warmup": warmup, "schedule": schedule, "decay": weight_decay}
        with saved(run, checkpoint, told, validate), engine.compiled(model):
            return run.train(epochs, validate, progress)


def _check_parts(
    model: nn.Module,
    objective: nn.Module | Objective,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer | None,
    validate: Validate | None,
    checkpoint: str | Path | Checkpoints | None,
) -> None:
    checks.instance((str, Path, Checkpoints, type(None)), checkpoint=checkpoint)
    checks.instance(nn.Module, model=model)
    checks.instance(Callable, objective=objective)
    checks.instance(DataLoader, loader=loader)
    checks.instance((torch.optim.Optimizer, type(None)), optimizer=optimizer)
    checks.instance((Callable, type(None)), validate=validate)
    if not len(loader):
        raise ValueError("loader gives no batch: the dataset is empty or smaller than a batch")
    if checkpoint and loader.persistent_workers:
        raise ValueError(
            "loader must not have persistent_workers where there is a checkpoint: their random "
            "numbers cannot be saved"
        )
    if optimizer is not None:
        check_trained(model, objective, optimizer)


def _check_sharded(engine: Engine, optimizer: torch.optim.Optimizer | None) -> None:
    if engine.sharded and optimizer is not None:
        raise ValueError("optimizer must be None where weights are sharded: it holds whole ones")


def _check_numbers(
    epochs: int,
    accumulate: int,
    lr: float,
    weight_decay: float,
    warmup: float,
    schedule: str,
    clip_norm: float | None,
) -> None:
    checks.at_least(1, epochs=epochs, accumulate=accumulate)
    checks.within("(0, inf)", lr=lr, clip_norm=1.0 if clip_norm is None else clip_norm)
    checks.within("[0, inf)", weight_decay=weight_decay)
    checks.within("[0, 1]", warmup=warmup)
    checks.one_of(SCHEDULES, schedule=schedule)
