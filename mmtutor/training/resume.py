"""Saving a run while it trains, and going on with one as if it had not been interrupted.

Knows what the state of a run is made of, and who writes and reads it among several processes. How
folders are written is `step_folders`'s; what an epoch does is `run`'s.
"""

from __future__ import annotations

import io
import pickle
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event, current_thread, main_thread
from time import perf_counter
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn
from torch.utils.data import DataLoader

from mmtutor.training.checkpoint import CheckpointError, as_bytes, load_strictly, read_tensors
from mmtutor.training.generators import RandomNumbers
from mmtutor.training.history import History
from mmtutor.training.processes.batches import Batches
from mmtutor.training.processes.sharding import gathered, restore_optimizer
from mmtutor.training.step_folders import Checkpoints, newest_step, write_step

STATE = "state.pt"
TOGETHER = 16  # steps between two questions whether another process wants to save or stop


class StoppedError(RuntimeError):
    """Training was told to stop (SIGTERM), has saved its state and ended."""


class _Run(Protocol):
    """What of a run is kept: `run.Run` has these."""

    accelerator: Accelerator
    both: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    loader: DataLoader
    batches: Batches
    history: History
    accumulate: int
    clip_norm: float | None
    rates: list[float]
    saves: Any


@contextmanager
def saved(
    run: _Run,
    checkpoint: str | Path | Checkpoints | None,
    told: Mapping[str, Any],
    validate: Any = None,
) -> Iterator[None]:
    """Within the block, `run` has `saves`; nothing where `checkpoint` is None.

    A run gone on with equals the uninterrupted one bit for bit on a CPU, in up to two processes,
    with all random numbers that `RandomNumbers` finds. SIGTERM saves and raises `StoppedError`.

    Args:
        checkpoint: a folder, or `Checkpoints` that say more.
        told: settings that tell runs apart, besides those that the run itself knows.
        validate: may hold random generators too.
    """
    if checkpoint is None:
        yield
        return
    if not isinstance(checkpoint, Checkpoints):
        checkpoint = Checkpoints(Path(checkpoint))
    about = {**checkpoint.run, **told, **_about(run)}
    if not told["warmup"] and told["schedule"] == "constant":
        about["epochs"] = "any"  # one may train longer than was meant at first
    stopped = Event()
    with on_sigterm(lambda *_: stopped.set()):
        run.saves = Saves(run, replace(checkpoint, run=about), stopped, validate)
        yield


def _about(run: _Run) -> dict[str, Any]:
    """What decides the numbers of a run, as far as the run itself knows."""
    return {
        "batches": len(run.loader),
        "workers": run.loader.num_workers,
        "accumulate": run.accumulate,
        "clip_norm": run.clip_norm,
        "optimizer": type(run.optimizer).__name__,
        "lr": run.rates,
        "precision": run.accelerator.mixed_precision,
        "processes": run.accelerator.num_processes,
    }


class Saves:
    """The checkpoints of one run: when they are due, how they are written and read."""

    def __init__(
        self, run: _Run, checkpoints: Checkpoints, stopped: Event, validate: Any = None
    ) -> None:
        self.run, self.checkpoints = run, checkpoints
        self.stopped, self.stopping = stopped, False
        owners = run.loader, run.both, validate, run.batches.arrange
        self.random = RandomNumbers(run.accelerator.device, *owners)
        run.batches.random = self.random
        self.parts = {"model": run.both.model, "objective": run.both.objective}
        self.parts = {k: v for k, v in self.parts.items() if _has_state(v)}
        self.saved_at, self.counted = perf_counter(), 0.0

    def due(self, step: int, last: bool) -> bool:
        """Whether to save after `step` steps, `last` of its epoch; the same in all processes."""
        budget, seconds = self.checkpoints.budget, self.run.history.seconds
        budget.training += seconds - self.counted
        self.counted = seconds
        every, minutes = self.checkpoints.every, self.checkpoints.minutes
        late = perf_counter() - self.saved_at >= 60 * minutes and budget.affords_one()
        self.stopping, late = self._anybody(self.stopped.is_set(), late, now=step % TOGETHER == 0)
        return self.stopping or (not last and (late or (every is not None and step % every == 0)))

    def due_after_epoch(self, step: int, last: bool) -> bool:
        """Whether to save at the end of an epoch, the `last` of the run or another."""
        every, budget = self.checkpoints.every, self.checkpoints.budget
        self.stopping, fits = self._anybody(self.stopped.is_set(), budget.affords_one(), now=True)
        return self.stopping or last or fits or (every is not None and step % every == 0)

    def _anybody(self, *flags: bool, now: bool) -> list[bool]:
        """Each flag, if any process has it set; several processes ask one another `now` or not."""
        accelerator = self.run.accelerator
        if accelerator.num_processes == 1:
            return list(flags)
        if not now:
            return [False] * len(flags)
        counts = torch.tensor(flags, dtype=torch.float32, device=accelerator.device)
        return [count > 0 for count in accelerator.reduce(counts, "sum").tolist()]

    def save(self, step: int) -> None:
        """Write the state after `step` steps.

        Raises:
            CacheError: in all processes, if the folder cannot be written.
            StoppedError: the run was told to stop; the state is saved.
        """
        started, run = perf_counter(), self.run
        mine = {"now": self.random.state(), "start": run.batches.start}
        processes = gather_object([mine])
        weights, optimizer = gathered(  # by all processes, though one writes
            ({k: v.state_dict() for k, v in self.parts.items()}, run.optimizer.state_dict())
        )
        failed: list[Exception | None] = [None]
        if run.accelerator.is_main_process:
            try:
                files = self._files(weights, optimizer, processes)
                write_step(self.checkpoints, step, files, self._score())
            except OSError as error:
                failed = [error]
        if failed := broadcast_object_list(failed)[0]:
            raise failed
        self.saved_at = perf_counter()
        self.checkpoints.budget.spend(self.saved_at - started)
        if self.stopping:
            place = self.checkpoints.folder / f"step-{step}"
            raise StoppedError(f"SIGTERM: saved as {place}; the same call goes on from there")

    def _files(self, weights: dict, optimizer: dict, processes: list) -> dict[str, bytes]:
        run = self.run
        state = {
            "optimizer": optimizer,
            "scaler": run.scaler.state_dict(),
            "history": asdict(run.history),
            "done": run.batches.done,
            "processes": processes,
        }
        file = io.BytesIO()
        torch.save(state, file)
        files = {f"{k}.safetensors": as_bytes(tensors) for k, tensors in weights.items()}
        return files | {STATE: file.getvalue()}

    def _score(self) -> float | None:
        """Of the last whole epoch, smaller is better."""
        best, history = self.checkpoints.best, self.run.history
        if self.run.batches.done or not history.epochs or best not in history.epochs[-1]:
            return None
        value = float(history.epochs[-1][best])
        return value if best == "loss" else -value

    def resume(self) -> None:
        """Put the run where its newest whole checkpoint is, if there is one.

        Raises:
            CheckpointError: a checkpoint of another run, or one that does not fit.
        """
        found: list[Any] = [None]
        if self.run.accelerator.is_main_process:
            try:
                found = [newest_step(self.checkpoints)]
            except (OSError, CheckpointError) as error:
                found = [error]
        place = broadcast_object_list(found)[0]
        if isinstance(place, Exception):
            raise place
        if place is not None:
            self._load(place)
            self.checkpoints.say(f"found {place}, saved by this run: goes on from there")

    def _load(self, place: Path) -> None:
        """Read a whole checkpoint; weights last, so that a fault elsewhere leaves them alone."""
        run = self.run
        state = _read_state(place / STATE)
        files = {name: place / f"{name}.safetensors" for name in self.parts}
        tensors = {name: read_tensors(file)[0] for name, file in files.items()}
        try:
            restore_optimizer(run.optimizer, state["optimizer"])
            run.history = History(**state["history"])
            run.batches.done = state["done"]
            mine = state["processes"][run.accelerator.process_index]
            run.batches.start = mine["start"]
            self.random.restore(mine["now"])
            if run.scaler.is_enabled():
                run.scaler.load_state_dict(state["scaler"])
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise CheckpointError(f"{place / STATE} does not fit this run: {error}") from error
        for name, part in self.parts.items():
            load_strictly(part, tensors[name], files[name])
        self.counted = run.history.seconds


def _has_state(part: Any) -> bool:
    return isinstance(part, nn.Module) and bool(part.state_dict())


def _read_state(path: Path) -> dict[str, Any]:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        reason = str(error).partition("\n")[0]
        raise CheckpointError(f"{path} is damaged or holds more than data: {reason}") from error


@contextmanager
def on_sigterm(handler: Callable[..., Any]) -> Iterator[None]:
    """Within the block SIGTERM calls `handler`; only in the main thread, where Python hears it."""
    if current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)
