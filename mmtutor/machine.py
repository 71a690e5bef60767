"""What a result was made on: hardware and versions, without host names or paths.

Knows the operating system and the packages that are installed. Knows nothing of models or data.
"""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path

PACKAGES = ("mmtutor", "torch", "numpy", "accelerate", "safetensors")
GIB = 2**30


def hardware() -> dict[str, str | int | float]:
    """`cpu`, `cores` it may use and `memory_gib`; with a GPU also `gpu` and `gpu_memory_gib`."""
    import psutil
    import torch

    found: dict[str, str | int | float] = {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / GIB, 1),
    }
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_properties(0)
        found |= {"gpu": gpu.name, "gpu_memory_gib": round(gpu.total_memory / GIB, 1)}
    return found


def cores() -> int:
    """How many cores this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        return os.cpu_count() or 1


def _cpu_model() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def versions(*packages: str) -> dict[str, str]:
    """Versions of Python, of `PACKAGES` and of `packages`; those not installed are left out."""
    found = {"python": platform.python_version()}
    for package in (*PACKAGES, *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
