"""What a recipe returns, and how it is put on disk.

Knows files; every one is written whole or not at all. Does not know any recipe, nor how curves are
drawn.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor, nn

from mmtutor.files import atomic_file
from mmtutor.machine import hardware, versions
from mmtutor.reach import fingerprint
from mmtutor.training.checkpoint import save_model
from mmtutor.training.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Result:
    """One finished experiment: its numbers, the course of its training, its model, and its recipe's
    `Config`, which says how to do it again."""

    metrics: dict[str, Any]
    history: History
    model: nn.Module
    config: Any


def require_writable(folder: Path) -> None:
    """Make `folder` and write a byte into it, so that nobody trains for an hour and then fails.

    Raises OSError if that is impossible.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".writable-{os.getpid()}"
    try:
        probe.write_bytes(b"\n")
    finally:
        probe.unlink(missing_ok=True)


def write_result(
    result: Result,
    folder: Path,
    command: str,
    preset: str,
    module: str,
    curve: Figure | None = None,
) -> None:
    """Write `model.safetensors`, `curve.png` if given, and last `metrics.json` into `folder`.

    The JSON has `metrics`, `history`, `config`, `preset`, `seed`, `command`, `date` (UTC),
    `hardware`, `versions`, and the recipe's `module` with a `fingerprint` of the code it reaches;
    numbers that are not finite become null. Older files are replaced.
    Raises OSError if the folder cannot be written or is full; no file is then half written.
    """
    config = plain(result.config)
    record = {
        "metrics": plain(result.metrics),
        "history": plain(result.history.to_dict()),
        "config": config,
        "preset": preset,
        "seed": config.get("seed"),
        "command": command,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "hardware": hardware(),
        "versions": versions(),
        "module": module,
        "fingerprint": fingerprint(module),
    }
    save_model(result.model, folder / "model.safetensors")
    if curve is not None:
        with atomic_file(folder / "curve.png") as file:
            curve.savefig(file, format="png", dpi=150)
    with atomic_file(folder / "metrics.json") as file:
        file.write(json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False).encode())


def plain(value: Any) -> Any:
    """`value` as JSON can hold it: dataclasses as dicts, tensors and arrays as lists, NaN as None.

    NumPy's numbers become Python's; what is neither number nor text is written as `str` gives it.
    """
    if is_dataclass(value):
        return plain(asdict(value))
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, (str, int, type(None))) else str(value)
