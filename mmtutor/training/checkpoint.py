"""Models and training states on disk: safetensors, written atomically, read strictly.

Knows files and state dicts; knows nothing of the training loop. A file is written under a temporary
name in the same folder, flushed to the disk and renamed, so what stands under the final name is
always whole, whatever kills the process. Nothing is pickled.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: damaged, or of another model."""


def save_model(model: nn.Module, path: str | Path) -> None:
    """Write the model's parameters and buffers to `path` as safetensors, atomically.

    Raises:
        OSError: the folder cannot be written or the disk is full; an older file stays as it was.
    """
    write_tensors(path, model.state_dict())


def load_model(model: nn.Module, path: str | Path) -> None:
    """Read `path` into `model`, in place; every name and every shape must match.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or lacks, adds or reshapes a tensor (all are named).
    """
    tensors, _ = read_tensors(path)
    load_strictly(model, tensors, path)


def load_strictly(model: nn.Module, tensors: Mapping[str, Tensor], path: str | Path) -> None:
    """`model.load_state_dict`, but any difference is a `CheckpointError` that lists them all."""
    expected = model.state_dict()
    faults = [f"missing {name}" for name in expected if name not in tensors]
    faults += [f"unexpected {name}" for name in tensors if name not in expected]
    faults += [
        f"{name} is {tuple(tensors[name].shape)} in the file, {tuple(expected[name].shape)} here"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    if faults:
        raise CheckpointError(f"{path} does not fit {type(model).__name__}: {'; '.join(faults)}")
    model.load_state_dict(tensors)


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: dict[str, Any] | None = None
) -> None:
    """Write tensors and JSON metadata as safetensors: temporary name, fsync, rename."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Copies, because safetensors refuses tensors that share memory (tied weights).
    copies = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        save_file(copies, temporary, {"json": json.dumps(metadata or {})})
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote, to the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged or is no safetensors file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("json", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or is no safetensors file: {error}") from error
