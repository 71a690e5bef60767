"""The state of a training run on disk, so that an interrupted one goes on as if it had not been.

Knows what a run must keep: weights, optimiser, random generators, history. How files are written
is `checkpoint`'s; what an epoch does is `fit`'s.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.utils.data import DataLoader

from mmtutor.training.checkpoint import CheckpointError, load_strictly, read_tensors, write_tensors
from mmtutor.training.history import History


class _Run(Protocol):
    """What of a run is kept: `fit`'s own has these."""

    accelerator: Accelerator
    both: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    loader: DataLoader
    history: History
    steps: int


def save_training(path: Path, run: _Run) -> None:
    """Write the state of `run` after a whole epoch, atomically."""
    generators, others = _random_state()
    if run.loader.generator is not None:
        generators["loader"] = run.loader.generator.get_state()
    tensors = {
        "module": run.both.state_dict(),
        "optimizer": _optimizer_tensors(run.optimizer),
        "random": generators,
    }
    metadata = {
        "history": asdict(run.history),
        "steps": run.steps,
        "random": others,
        "scaler": run.scaler.state_dict(),
    }
    flat = {f"{part}/{k}": v for part, named in tensors.items() for k, v in named.items()}
    write_tensors(path, flat, metadata)


def load_training(path: Path, run: _Run) -> None:
    """Put `run` where `save_training` left one of the same model, objective, optimiser and loader.

    Raises:
        CheckpointError: the file is damaged, or was written by another run.
    """
    tensors, metadata = read_tensors(path)
    if metadata.get("steps") != run.steps:
        raise CheckpointError(
            f"{path} is of a run with {metadata.get('steps')} steps an epoch, "
            f"this one has {run.steps}; give it another checkpoint folder"
        )
    load_strictly(run.both, _part(tensors, "module"), path)
    _load_optimizer_tensors(run.optimizer, _part(tensors, "optimizer"))
    if metadata["scaler"] and run.scaler.is_enabled():
        run.scaler.load_state_dict(metadata["scaler"])
    run.history = History(**metadata["history"])
    generators = _part(tensors, "random")
    if run.loader.generator is not None and "loader" in generators:
        run.loader.generator.set_state(generators["loader"])
    if run.accelerator.is_main_process:  # the file holds the first process's generators
        _restore_random_state(generators, metadata["random"])


def _part(tensors: Mapping[str, Tensor], part: str) -> dict[str, Tensor]:
    return {k.removeprefix(f"{part}/"): v for k, v in tensors.items() if k.startswith(f"{part}/")}


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimiser's state as flat tensors, "<parameter index>.<name>".

    Hyperparameters are not in it: they come from the call that resumes.
    """
    state = optimizer.state_dict()["state"]
    return {
        f"{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
        if value is not None
    }


def _load_optimizer_tensors(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]
) -> None:
    """Put `_optimizer_tensors` back into an optimiser of the same parameters."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def _random_state() -> tuple[dict[str, Tensor], dict[str, Any]]:
    """States of PyTorch's, NumPy's and Python's global generators, as tensors and JSON."""
    tensors = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        tensors["cuda"] = torch.cuda.get_rng_state()
    name, keys, *rest = np.random.get_state()  # noqa: NPY002 (the global state is what is kept)
    return tensors, {"numpy": [name, keys.tolist(), *rest], "python": random.getstate()}


def _restore_random_state(tensors: Mapping[str, Tensor], rest: Mapping[str, Any]) -> None:
    """Put back what `_random_state` returned."""
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
    name, keys, *numbers = rest["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), *numbers))  # noqa: NPY002
    version, internal, gauss = rest["python"]
    random.setstate((version, tuple(internal), gauss))
