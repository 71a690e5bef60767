"""Models and training states on disk: safetensors, written atomically, read strictly.

Knows files and state dicts; knows nothing of the training loop. What stands under a checkpoint's
name is always whole, whatever kills the process (`atomic_file`). Nothing is pickled.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.files import atomic_file
from mmtutor.training.processes.sharding import divided_as


class CheckpointError(ValueError):
    """A checkpoint that cannot be used: damaged, or of another model."""


def save_model(model: nn.Module, path: str | Path) -> None:
    """Write the model's parameters and buffers to `path` as safetensors, atomically.

    Raises:
        CacheError: the folder cannot be written or is full; an older file stays as it was.
    """
    checks.instance(nn.Module, model=model)
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
    checks.instance(nn.Module, model=model)
    _check_tensors(tensors)
    expected = model.state_dict()
    faults = [f"missing {name}" for name in expected if name not in tensors]
    faults += [f"unexpected {name}" for name in tensors if name not in expected]
    faults += [
        f"{name} is {tuple(tensors[name].shape)} in the file, {tuple(expected[name].shape)} here"
        for name in expected
        if name in tensors and tensors[name].shape != expected[name].shape
    ]
    if faults:
        raise CheckpointError(
            f"{path} does not fit model {type(model).__name__}: {'; '.join(faults)}"
        )
    model.load_state_dict({name: divided_as(expected[name], x) for name, x in tensors.items()})


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: dict[str, Any] | None = None
) -> None:
    """Write tensors and JSON metadata as safetensors, whole or not at all."""
    checks.instance((str, Path), path=path)
    content = as_bytes(tensors, metadata)
    with atomic_file(path) as file:
        file.write(content)


def as_bytes(tensors: Mapping[str, Tensor], metadata: dict[str, Any] | None = None) -> bytes:
    """What `write_tensors` writes."""
    _check_tensors(tensors)
    checks.instance((dict, type(None)), metadata=metadata)
    try:
        text = json.dumps(metadata or {})
    except TypeError as error:
        raise TypeError(f"metadata must be what JSON can hold: {error}") from error
    # Copies, because safetensors refuses tensors that share memory (tied weights).
    copies = {k: v.detach().to("cpu", copy=True).contiguous() for k, v in tensors.items()}
    return save(copies, {"json": text})


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `write_tensors` wrote, to the CPU.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged or is no safetensors file.
    """
    checks.instance((str, Path), path=path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {}).get("json", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except SafetensorError as error:
        if _is_pickle(Path(path)):
            reason = "is a pickle, which may run code when read: expected safetensors"
        else:
            reason = f"is damaged or is no safetensors file: {error}"
        raise CheckpointError(f"{path} {reason}") from error


def _is_pickle(path: Path) -> bool:
    """Whether a file begins as `torch.save` or `pickle.dump` writes it."""
    with open(path, "rb") as file:
        return file.read(4).startswith((b"PK\x03\x04", *(b"\x80%c" % i for i in range(2, 6))))


def _check_tensors(tensors: Mapping[str, Tensor]) -> None:
    checks.instance(Mapping, tensors=tensors)
    checks.listed(str, **{"names of tensors": list(tensors)})
    checks.instance(Tensor, **{f"tensors[{name!r}]": x for name, x in tensors.items()})
