"""An entry of the registry, and what comes of calling it with good and with spoiled arguments."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import re
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mmtutor
from tests.sweep.kinds import Kind, Sizes

PACKAGE = str(Path(mmtutor.__file__).parent)
CLEAR = (TypeError, ValueError, KeyError)


@dataclasses.dataclass(frozen=True)
class Entry:
    function: Callable
    of: Callable
    kinds: Mapping[str, Kind]
    then: Mapping[str, Kind] | None
    holds: Callable[[Any, SimpleNamespace], Any]
    sizes: Mapping[str, int]

    @property
    def name(self) -> str:
        return f"{self.of.__module__}.{self.of.__qualname__}"

    @property
    def arguments(self) -> Mapping[str, Kind]:
        return {**self.kinds, **(self.then or {})}

    def draw(self, random: Random) -> dict[str, Any]:
        sizes = Sizes(random, **self.sizes)
        return {name: kind.good(random, sizes) for name, kind in self.arguments.items()}

    def value(self, arguments: Mapping[str, Any]) -> Any:
        """What the function returns; whatever it draws at random is the same every time."""
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            made = _call(self.function, {k: arguments[k] for k in self.kinds})
            if self.then is not None:
                made = _call(made, {k: arguments[k] for k in self.then})
            return list(made) if isinstance(made, Iterator) else made


def _call(function: Callable, arguments: dict[str, Any]) -> Any:
    """By name, or by place where the signature asks for it (`self`, *args)."""
    arguments = dict(arguments)
    if "self" in arguments:
        return function(arguments.pop("self"), **arguments)
    return function(**arguments)


def entry(
    function: Callable,
    /,
    *,
    holds: Callable[[Any, SimpleNamespace], Any],
    then: Mapping[str, Kind] | None = None,
    with_sizes: Mapping[str, int] | None = None,
    of: Callable | None = None,
    **kinds: Kind,
) -> Entry:
    """See the package's docstring.

    `with_sizes` fixes letters, where a function asks for large ones. `of` is what the entry stands
    for, where `function` wraps it. Axes whose letter stands in another argument too are also
    spoiled in their length.
    """
    every = list(kinds.values()) + list((then or {}).values())
    letters = [letter for kind in every for letter in set(kind.pattern.split())]

    def tied(kind: Kind) -> Kind:
        axes = [
            axis
            for axis, letter in enumerate(kind.pattern.split())
            if letter.isdigit()
            or letters.count(letter) > 1
            or kind.pattern.split().count(letter) > 1
        ]
        if not axes or len(letters) == 0:
            return kind
        return kind.but(length=lambda random, x: _another_length(random, x, random.choice(axes)))

    parameters = [p.name for p in inspect.signature(function).parameters.values()]
    wrong = set(kinds) - set(parameters)
    if wrong and not any(
        p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values()
    ):
        raise TypeError(f"{function.__qualname__} takes no {', '.join(sorted(wrong))}")
    return Entry(
        function,
        of or function,
        {name: tied(kind) for name, kind in kinds.items()},
        None if then is None else {name: tied(kind) for name, kind in then.items()},
        holds,
        with_sizes or {},
    )


def _another_length(random: Random, x: Any, axis: int) -> Any:
    """One element fewer, or one more, or (which would broadcast) only one."""
    if x is None:
        return object()
    if not isinstance(x, Tensor):
        return random.choice([list(x)[:-1], [*x, x[-1]]])
    first = x.narrow(axis, 0, 1)
    choices = [torch.cat([x, first], axis)]
    if x.shape[axis] > 1:
        choices += [x.narrow(axis, 0, x.shape[axis] - 1), first]
    return random.choice(choices)


def check_good(entry: Entry, random: Random) -> str | None:
    """What is wrong with the value of good arguments, or None."""
    arguments = entry.draw(random)
    before = copy.deepcopy({k: v for k, v in arguments.items() if isinstance(v, Tensor | list)})
    value = entry.value(arguments)
    changed = [k for k, v in before.items() if not equal(arguments[k], v, 0)]
    if changed:
        return f"{', '.join(changed)} changed in place"
    held = entry.holds(value, SimpleNamespace(**arguments))
    if held is not None and not bool(held):
        return f"does not hold for {shown(arguments)}: {shown(value)}"
    return None


def spoilings(entry: Entry) -> list[tuple[str, str, str]]:
    """(argument, "bad" or "same", label): all ways to spoil one argument."""
    return [
        (name, how, label)
        for name, kind in entry.arguments.items()
        for how in ("bad", "same")
        for label in getattr(kind, how)
    ]


def check_spoiled(entry: Entry, random: Random, name: str, how: str, label: str) -> tuple[str, str]:
    """("clear" | "right" | "silent" | "unclear", what happened) with one argument spoiled."""
    kind = entry.arguments[name]
    for _ in range(20):
        arguments = entry.draw(random)
        if arguments[name] is not None:
            break
    if arguments[name] is None:
        return "right", ""
    good = dict(arguments)
    try:
        arguments[name] = getattr(kind, how)[label](random, arguments[name])
    except (TypeError, ValueError, RuntimeError, IndexError, AttributeError) as error:
        return "unclear", f"the sweep cannot spoil it so: {error!r}"
    try:
        value = entry.value(arguments)
    except Exception as error:
        return _refusal(entry, error)
    if how == "same":
        tolerance = 2e-2 if label == "half" else 1e-4
        expected = entry.value(good)
        if equal(value, expected, tolerance):
            return "right", ""
        return "silent", f"{shown(value)} instead of {shown(expected)}"
    if label in kind.propagates and _is_nan(value):
        return "right", ""
    return "silent", shown(value)


def _refusal(entry: Entry, error: Exception) -> tuple[str, str]:
    """Clear if `mmtutor` itself raised it, in one sentence that names an argument."""
    said = str(error.args[0]) if error.args else ""
    last = traceback.extract_tb(error.__traceback__)[-1].filename
    names = [re.escape(name) for name in entry.arguments if name != "self"]
    ours = last.startswith(PACKAGE) and isinstance(error, CLEAR)
    named = bool(names) and re.search(rf"(?<!\w)({'|'.join(names)})(?!\w)", said)
    clear = ours and named and len(said) < 400 and "\n" not in said
    return ("clear" if clear else "unclear"), f"{type(error).__name__}: {said[:200]}"


def equal(one: Any, other: Any, tolerance: float) -> bool:
    """The same numbers up to a tolerance, in the same structure; what holds none is the same."""
    if isinstance(one, Tensor | np.ndarray) or isinstance(other, Tensor | np.ndarray):
        a, b = torch.as_tensor(one).detach().cpu(), torch.as_tensor(other).detach().cpu()
        if a.shape != b.shape:
            return False
        return torch.allclose(a.double(), b.double(), tolerance, tolerance, equal_nan=True)
    if isinstance(one, torch.nn.Module):
        return equal(one.state_dict(), other.state_dict(), tolerance)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(equal(one[k], other[k], tolerance) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(
            equal(a, b, tolerance) for a, b in zip(one, other, strict=True)
        )
    if isinstance(one, float | int) and isinstance(other, float | int):
        return bool(np.isclose(one, other, tolerance, tolerance, equal_nan=True))
    if isinstance(one, str | bytes):
        return one == other
    return type(one) is type(other)


def _is_nan(value: Any) -> bool:
    """Whether some number in it is NaN or infinite."""
    if isinstance(value, Tensor):
        return value.is_floating_point() and not bool(value.isfinite().all())
    if isinstance(value, float):
        return not np.isfinite(value)
    if isinstance(value, Mapping):
        return any(map(_is_nan, value.values()))
    return isinstance(value, list | tuple) and any(map(_is_nan, value))


def shown(value: Any) -> str:
    return re.sub(r"\s+", " ", repr(value))[:160]
