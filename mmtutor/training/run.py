"""One call of `fit`: what its epochs share, and what an epoch does.

Knows forward, loss, backward and step on one device or several, accumulation, clipping, when losses
are read and when state is saved. Knows nothing of how it is written, or of what is trained.
"""

import math
from collections.abc import Callable
from contextlib import nullcontext
from time import perf_counter

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from mmtutor.training.arguments import check_loss
from mmtutor.training.engine import Engine
from mmtutor.training.history import History
from mmtutor.training.loop import Objective
from mmtutor.training.processes.batches import Batches
from mmtutor.training.processes.sharding import average_and_clip, gathered
from mmtutor.training.resume import Saves

Validate = Callable[[nn.Module], dict[str, float]]


class ModelAndObjective(nn.Module):
    """One module from batch to loss, so that precision and several processes wrap both at once."""

    def __init__(self, model: nn.Module, objective: nn.Module | Objective) -> None:
        super().__init__()
        self.model = model
        self.objective = objective

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        return check_loss(self.objective(self.model(batch), batch))


class PendingLosses:
    """Losses that are read into the history, at once or in groups.

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
    saves: Saves | None = None

    def __init__(
        self,
        accelerator: Accelerator,
        engine: Engine,
        given: nn.Module,
        both: ModelAndObjective,
        optimizer: torch.optim.Optimizer,
        loader: DataLoader,
        accumulate: int,
        clip_norm: float | None,
    ) -> None:
        self.accelerator, self.given, self.both, self.loader = accelerator, given, both, loader
        self.track = engine.track if accelerator.is_main_process else None
        self.batches = Batches(accelerator, loader, engine.arrange)
        self.sharded = engine.sharded  # it is placed, and averages gradients, by itself
        self.wrapped = accelerator.prepare_model(both, not self.sharded, self.sharded)
        # Not by Accelerate, whose wrapper searches the disk for a package at every step.
        self.optimizer = optimizer
        self.scaler = accelerator.scaler or torch.amp.GradScaler("cpu", enabled=False)  # for fp16
        self.parameters = [p for p in both.parameters() if p.requires_grad]
        self.rates = [group["lr"] for group in optimizer.param_groups]
        self.accumulate, self.clip_norm = accumulate, clip_norm
        self.steps = -(-len(self.batches) // accumulate)  # optimiser steps in an epoch
        self.history = History()

    def train(self, epochs: int, validate: Validate | None, progress: bool) -> History:
        """Go on from the newest checkpoint until `epochs` are done."""
        if self.saves:
            self.saves.resume()
        show = progress and self.accelerator.is_main_process
        self.shown = done = len(self.history.loss)
        with (
            tqdm(total=self.steps * epochs, initial=done, disable=not show, unit="step") as bar,
            self.track.writing() if self.track else nullcontext() as self.log,
        ):
            losses = PendingLosses(self.accelerator, self.history, bar)
            for epoch in range(len(self.history.epochs), epochs):
                bar.set_description(f"epoch {epoch + 1}/{epochs}")
                self.train_epoch(epoch, losses)
                self.end_epoch(epoch, validate)
                steps = (epoch + 1) * self.steps
                if self.saves and self.saves.due_after_epoch(steps, last=epoch + 1 == epochs):
                    self.saves.save(steps)
        self.whole()
        return self.history

    def whole(self) -> nn.Module:
        """The model that was given, with all that it learned, in eval mode."""
        self.both.eval()
        if self.sharded:
            self.given.load_state_dict(gathered(self.both.model.state_dict()))
            self.given.to(self.accelerator.device)
        return self.given.eval()

    def train_epoch(self, epoch: int, losses: PendingLosses) -> None:
        """All batches that are not done yet; a step every `accumulate`."""
        self.both.train()
        started, count = perf_counter(), len(self.batches)
        for i, batch in self.batches.epoch(epoch):
            first = i - i % self.accumulate
            group = min(self.accumulate, count - first)  # the last group may be smaller
            closes = i == first + group - 1
            step = epoch * self.steps + i // self.accumulate
            place = f"step {step}, epoch {epoch}, batch {i} of {count}"
            with nullcontext() if closes else self.accelerator.no_sync(self.wrapped):
                loss = self.wrapped(batch)
                losses.add(loss, 1 / group, step, place)
                self.scaler.scale(loss / group if group > 1 else loss).backward()
            self.history.examples += _size(batch) * self.accelerator.num_processes
            if closes:
                self.update(step)
                self.history.seconds += perf_counter() - started
                self.save_if_due(step + 1, i + 1, losses)
                if self.log and not losses.pending:
                    self.log_steps()
                started = perf_counter()
        losses.flush()

    def update(self, step: int) -> None:
        """One optimiser step, at the learning rate of `step`."""
        factor = self.factor(step)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        if self.sharded:
            average_and_clip(self.parameters, self.clip_norm)
        elif self.clip_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.parameters, self.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.history.learning_rate.append(self.rates[0] * factor)

    def save_if_due(self, steps: int, batches: int, losses: PendingLosses) -> None:
        """After so many steps of the run and batches of the epoch."""
        self.batches.done = batches
        if self.saves and self.saves.due(steps, last=batches == len(self.batches)):
            losses.flush()  # no state is saved whose losses are not finite
            self.saves.save(steps)

    def end_epoch(self, epoch: int, validate: Validate | None) -> None:
        """Note the epoch's mean loss and what `validate` says of the model."""
        losses = self.history.loss[epoch * self.steps :]
        record = {"epoch": epoch, "loss": sum(losses) / len(losses)}
        if validate:
            with torch.no_grad():
                record |= validate(self.whole())
            if self.sharded:
                self.given.cpu()
        self.history.epochs.append(record)
        self.batches.done = 0
        if self.log:
            self.log_steps()
            row = {f"epoch/{name}": x for name, x in record.items() if name != "epoch"}
            self.log(row, step=(epoch + 1) * self.steps)

    def log_steps(self) -> None:
        """Rows of the steps that are done and not logged yet."""
        losses, rates = self.history.loss, self.history.learning_rate
        for step in range(self.shown, len(rates)):
            row = {"step/loss": losses[step], "step/learning_rate": rates[step]}
            self.log(row, step=step)
        self.shown = len(rates)


def _size(batch: dict[str, Tensor]) -> int:
    return len(next(iter(batch.values())))
