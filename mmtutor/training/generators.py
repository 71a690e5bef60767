"""The random generators that a run draws from, found and put back where they stood.

Knows generators of PyTorch, NumPy and Python; does not know what is drawn, or how states are kept.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

KINDS = (torch.Generator, np.random.Generator, np.random.RandomState, random.Random)
LONGEST = 1_000  # longer lists are data, not parts
Generator = torch.Generator | np.random.Generator | np.random.RandomState | random.Random


class RandomNumbers:
    """The global generators, the device's, and every generator that an owner holds.

    Held means: in an attribute, a list, a dict, a closure or a default of the owner or of what it
    holds itself. A generator that a function reads from its module is not found.

    Args:
        device: whose generator counts too.
        owners: any objects, such as a loader, a model and an objective.
    """

    def __init__(self, device: torch.device, *owners: Any) -> None:
        self.held = held(owners)
        on_cpu = device.type == "cpu"
        self.device = None if on_cpu else torch.get_device_module(device)

    def state(self) -> dict[str, Any]:
        """Where all stand: dicts, lists, numbers, strings and tensors."""
        return {
            "torch": torch.get_rng_state(),
            "device": self.device and self.device.get_rng_state(),
            "numpy": _plain(np.random.get_state(legacy=False)),  # noqa: NPY002 (that is kept)
            "python": random.getstate(),
            "held": [_state(generator) for generator in self.held],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put all back to a `state()` of the same owners. Raises ValueError for one of others."""
        if len(state["held"]) != len(self.held):
            raise ValueError(
                f"state must be of {len(self.held)} random generators, got {len(state['held'])}"
            )
        torch.set_rng_state(state["torch"])
        if self.device and state["device"] is not None:
            self.device.set_rng_state(state["device"])
        np.random.set_state(state["numpy"])  # noqa: NPY002
        random.setstate(state["python"])
        for generator, one in zip(self.held, state["held"], strict=True):
            _set_state(generator, one)


def held(owners: Iterable[Any], kinds: tuple[type, ...] = KINDS) -> list[Any]:
    """The generators that can be reached from the owners, in the order of the parts."""
    queue, seen, found = list(owners), {}, []
    for value in queue:
        if id(value) in seen:
            continue
        seen[id(value)] = value
        if isinstance(value, kinds):
            found.append(value)
        else:
            queue += _parts(value)
    return found


def _parts(value: Any) -> list[Any]:
    """What `value` consists of; nothing for data, classes and modules of Python."""
    if isinstance(value, Tensor | np.ndarray | type | ModuleType | str | bytes | int | float):
        return []
    if isinstance(value, Mapping | list | tuple) and len(value) > LONGEST:
        return []
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    if isinstance(value, MethodType):
        return [value.__self__, value.__func__]
    if isinstance(value, FunctionType):
        return [*_closed_over(value), *(value.__defaults__ or ())]
    inner = [value.func, value.args, value.keywords] if isinstance(value, partial) else []
    return [*inner, *getattr(value, "__dict__", {}).values()]


def _closed_over(function: Callable) -> list[Any]:
    cells = function.__closure__ or ()
    return [cell.cell_contents for cell in cells if _is_filled(cell)]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a name that has no value yet
        return False


def _state(generator: Generator) -> Any:
    if isinstance(generator, torch.Generator):
        return generator.get_state()
    if isinstance(generator, random.Random):
        return generator.getstate()
    if isinstance(generator, np.random.RandomState):
        return _plain(generator.get_state(legacy=False))
    return _plain(generator.bit_generator.state)


def _set_state(generator: Generator, state: Any) -> None:
    if isinstance(generator, torch.Generator):
        generator.set_state(state)
    elif isinstance(generator, random.Random):
        generator.setstate(state)
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.bit_generator.state = state


def _plain(value: Any) -> Any:
    """NumPy's arrays and numbers as Python's."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value
