"""The loop of `loop.train` for real runs: the same lines, and around them what a long run needs.

Adds to the loop: the device, a GPU or several (by `torchrun`, through Hugging Face Accelerate),
precision, clipping, a schedule with warm-up, accumulation over batches, checkpoints, a history and
progress. With these off it trains the same weights as the loop, bit for bit on a CPU. Knows nothing
of modalities, of particular losses or of metrics.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from time import perf_counter

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState, GradientState
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mmtutor import checks
from mmtutor.training.arguments import check_loss, check_trained
from mmtutor.training.history import History
from mmtutor.training.loop import Objective
from mmtutor.training.optim import (
    SCHEDULES,
    learning_rate_factor,
    make_optimizer,
    mixed_precision,
)
from mmtutor.training.resume import load_training, save_training

Validate = Callable[[nn.Module], dict[str, float]]


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
    precision: str = "auto",
    optimizer: torch.optim.Optimizer | None = None,
    validate: Validate | None = None,
    checkpoint: str | Path | None = None,
    progress: bool = True,
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
        precision: "auto", "fp32", "fp16" or "bf16"; see `mixed_precision`.
        optimizer: instead of AdamW; its learning rates are warmed up and scheduled all the same.
        validate: called after every epoch, without gradients; its numbers join the history.
        checkpoint: folder whose `training.safetensors` is written after every epoch, and resumed
            if there; bit for bit in one process, but for transforms' own random streams.

    Raises:
        FloatingPointError: a loss is NaN or infinite; names step, epoch and batch. On a CPU no
            update has used that loss; elsewhere a few may have, but no checkpoint.
        TypeError, ValueError: a bad argument, nothing to train, an optimiser of another model or
            objective, an objective that returns no scalar, or a checkpoint that does not fit.
    """
    _check_parts(model, objective, loader, optimizer, validate, checkpoint)
    _check_numbers(epochs, accumulate, lr, weight_decay, warmup, schedule, clip_norm)
    with _fresh_settings():
        accelerator = Accelerator(mixed_precision=mixed_precision(precision))
        both = _ModelAndObjective(model, objective).to(accelerator.device)
        optimizer = optimizer or make_optimizer(both, lr, weight_decay)
        run = Run(accelerator, both, optimizer, loader, accumulate, clip_norm)
        run.factor = lambda step: learning_rate_factor(step, run.steps * epochs, warmup, schedule)
        return run.train(epochs, validate, checkpoint and Path(checkpoint), progress)


@contextmanager
def _fresh_settings() -> Iterator[None]:
    """Accelerate keeps its settings for the whole process; the next fit may want others."""
    try:
        yield
    finally:
        AcceleratorState._reset_state()
        GradientState._reset_state()


def _check_parts(
    model: nn.Module,
    objective: nn.Module | Objective,
    loader: DataLoader,
    optimizer: torch.optim.Optimizer | None,
    validate: Validate | None,
    checkpoint: str | Path | None,
) -> None:
    checks.instance((str, Path, type(None)), checkpoint=checkpoint)
    checks.instance(nn.Module, model=model)
    checks.instance(Callable, objective=objective)
    checks.instance(DataLoader, loader=loader)
    checks.instance((torch.optim.Optimizer, type(None)), optimizer=optimizer)
    checks.instance((Callable, type(None)), validate=validate)
    if not len(loader):
        raise ValueError("loader gives no batch: the dataset is empty or smaller than a batch")
    if optimizer is not None:
        check_trained(model, objective, optimizer)


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


class _ModelAndObjective(nn.Module):
    """One module from batch to loss, so that precision and several processes wrap both at once."""

    def __init__(self, model: nn.Module, objective: nn.Module | Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return check_loss(self.objective(self.model(batch), batch))


class _PendingLosses:
    """Losses on their way from the device into a `History`.

    On a CPU a loss is read at once, before its gradient is computed. On a GPU reading waits for all
    queued work, and over several processes it takes a message, so there they are read in groups.
    """

    def __init__(self, accelerator: Accelerator, history: History, bar: tqdm) -> None:
        self.accelerator, self.history, self.bar = accelerator, history, bar
        alone = accelerator.device.type == "cpu" and accelerator.num_processes == 1
        self.at_once = 1 if alone else 16
        self.pending: list[tuple[Tensor, float, int, str]] = []

    def add(self, loss: Tensor, weight: float, step: int, place: str) -> None:
        """Remember a batch's scalar loss; it counts with `weight` in the loss of its `step`.

        Raises:
            FloatingPointError: this loss or an earlier one is not finite; the message says `place`.
        """
        self.pending.append((loss.detach(), weight, step, place))
        if len(self.pending) >= self.at_once:
            self.flush()

    def flush(self) -> None:
        """Read what is pending into the history; raises as `add` does."""
        if not self.pending:
            return
        values = torch.stack([loss for loss, *_ in self.pending])
        if self.accelerator.num_processes > 1:
            values = self.accelerator.reduce(values, "mean")
        losses = self.history.loss
        for value, (_, weight, step, place) in zip(values.tolist(), self.pending, strict=True):
            if not math.isfinite(value):
                raise FloatingPointError(f"the loss is {value} at {place}")
            if step == len(losses):
                losses.append(0.0)
                self.bar.update()
            losses[step] += value * weight
        self.bar.set_postfix_str(f"loss {value:.3f}", refresh=False)
        self.pending.clear()


class Run:
    """One call of `fit`: what its epochs share."""

    factor: Callable[[int], float]

    def __init__(
        self,
        accelerator: Accelerator,
        both: _ModelAndObjective,
        optimizer: torch.optim.Optimizer,
        loader: DataLoader,
        accumulate: int,
        clip_norm: float | None,
    ) -> None:
        self.accelerator, self.both, self.loader = accelerator, both, loader
        # Not the optimiser: Accelerate's wrapper searches the disk for a package at every step.
        self.wrapped, self.batches = accelerator.prepare(both, loader)
        self.optimizer = optimizer
        self.scaler = accelerator.scaler or torch.amp.GradScaler("cpu", enabled=False)  # for fp16
        self.parameters = [p for p in both.parameters() if p.requires_grad]
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.accumulate, self.clip_norm = accumulate, clip_norm
        self.steps = -(-len(self.batches) // accumulate)  # optimiser steps in an epoch
        self.history = History()

    def train(
        self, epochs: int, validate: Validate | None, folder: Path | None, progress: bool
    ) -> History:
        """Go on from what `folder` holds until `epochs` are done."""
        file = folder and folder / "training.safetensors"
        if file and file.exists():
            load_training(file, self)
        show = progress and self.accelerator.is_main_process
        done = len(self.history.loss)
        with tqdm(total=self.steps * epochs, initial=done, disable=not show, unit="step") as bar:
            for epoch in range(len(self.history.epochs), epochs):
                bar.set_description(f"epoch {epoch + 1}/{epochs}")
                self.train_epoch(epoch, _PendingLosses(self.accelerator, self.history, bar))
                self.end_epoch(epoch, validate)
                if file and self.accelerator.is_main_process:
                    save_training(file, self)
        self.both.eval()
        return self.history

    def train_epoch(self, epoch: int, losses: _PendingLosses) -> None:
        """All batches once; a step every `accumulate`."""
        self.both.train()
        self.batches.set_epoch(epoch)  # for samplers that shuffle by the epoch's number
        started, count = perf_counter(), len(self.batches)
        for i, batch in enumerate(self.batches):
            first = i - i % self.accumulate
            group = min(self.accumulate, count - first)  # the last group may be smaller
            closes = i == first + group - 1
            step = epoch * self.steps + i // self.accumulate
            place = f"step {step}, epoch {epoch}, batch {i} of {count}"
            with nullcontext() if closes else self.accelerator.no_sync(self.wrapped):
                loss = self.wrapped(batch)
                losses.add(loss, 1 / group, step, place)
                self.scaler.scale(loss / group if group > 1 else loss).backward()
            if closes:
                self.update(step)
            self.history.examples += _size(batch) * self.accelerator.num_processes
        losses.flush()
        self.history.seconds += perf_counter() - started

    def update(self, step: int) -> None:
        """One optimiser step, at the learning rate of `step`."""
        factor = self.factor(step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        if self.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.history.learning_rate.append(self.rates[0] * factor)

    def end_epoch(self, epoch: int, validate: Validate | None) -> None:
        """Note the epoch's mean loss and what `validate` says of the model."""
        losses = self.history.loss[epoch * self.steps :]
        record = {"epoch": epoch, "loss": sum(losses) / len(losses)}
        if validate:
            self.both.eval()
            with torch.no_grad():
                record |= validate(self.both.model)
        self.history.epochs.append(record)


def _size(batch: dict[str, Tensor]) -> int:
    return len(next(iter(batch.values())))
