"""One check for each kind of bad input: what is right passes, what is not gets one sentence.

Arguments are given by name, `at_least(1, steps=steps)`, and the refusal names them: "steps must be
a whole number of at least 1, got 0". A wrong type is a TypeError, a wrong value a ValueError. Where
a tensor may be None, `shaped` says so and `finite`, `floating` and `indices` let it pass; all else
refuses None. Knows kinds of values; does not know what they are for.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from difflib import get_close_matches
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor


def listed(of: type | tuple[type, ...], /, **argument: Any) -> list:
    """The argument as a list, each element an `of`.

    Any ordered collection will do (list, tuple, array, generator); a string is none, though Python
    would read it letter by letter. Raises TypeError, which names the first element that is wrong.
    """
    [(name, value)] = argument.items()
    kind = _kind(of)
    wrong = isinstance(value, str | bytes | Mapping | Set) or not isinstance(value, Iterable)
    if wrong or getattr(value, "ndim", 1) == 0:
        _refuse(name, f"a list, each element {kind}", value, TypeError)
    value = value.tolist() if isinstance(value, Tensor | np.ndarray) else list(value)
    for i, each in enumerate(value):
        if not isinstance(each, of) or (isinstance(each, bool) and of is int):
            _refuse(f"{name}[{i}]", kind, each, TypeError)
    return value


def same_length(**arguments: Any) -> int:
    """How many elements each of the arguments has; ValueError where they differ or have none."""
    sizes = {}
    for name, value in arguments.items():
        if not hasattr(value, "__len__") or getattr(value, "ndim", 1) == 0:
            _refuse(name, "a list", value, TypeError)
        sizes[name] = len(value)
    if len(set(sizes.values())) > 1 or 0 in sizes.values():
        found = " and ".join(map(str, sizes.values()))
        alike = "as long as each other, and " if len(sizes) > 1 else ""
        raise ValueError(f"{' and '.join(sizes)} must be {alike}not empty, got {found} elements")
    return next(iter(sizes.values()))


def as_mask(**argument: Any) -> Tensor:
    """The argument as a bool tensor, from booleans or from whole numbers that are all 0 or 1.

    Takes tensors, arrays and lists. Whole numbers would otherwise be read as rows, and their
    complement as -1 and -2. Raises TypeError for another type and ValueError for another number.
    """
    [(name, value)] = argument.items()
    expected = "True or False (or 1 and 0) everywhere"
    mask = _tensor(name, value, expected)
    if mask.dtype == torch.bool:
        return mask
    if mask.is_floating_point() or mask.is_complex():
        _refuse(name, expected, value, TypeError)
    if mask.numel() and not 0 <= int(mask.min()) <= int(mask.max()) <= 1:
        _refuse(name, expected, f"values from {int(mask.min())} to {int(mask.max())}", plain=True)
    return mask.bool()


def shaped(**arguments: tuple[Any, str]) -> dict[str, int]:
    """Hold tensors to the shapes of their documentation; the size of each letter.

    `shaped(logits=(logits, "N C"), label=(label, "N"), weights=(weights, "N | R N"))`: a letter is
    one size of at least 1, the same wherever it stands ("N?" may be 0); a number is itself; "..."
    stands for any axes in front; "|" parts alternatives, of which None may be one ("N | None").
    Raises TypeError for what is no tensor and ValueError for another shape.
    """
    sizes: dict[str, int] = {}
    for name, (value, pattern) in arguments.items():
        alternatives = [alternative.split() for alternative in pattern.split("|")]
        if ["None"] in alternatives:
            alternatives.remove(["None"])
            if value is None:
                continue
        if not isinstance(value, Tensor):
            _refuse(name, f"a tensor {_shape(alternatives)}", value, TypeError)
        for letters in alternatives:
            if (found := _matched(value.shape, letters, sizes)) is not None:
                sizes = found
                break
        else:
            known = {k: v for k, v in sizes.items() if k in pattern.replace("?", "").split()}
            with_ = " with " + ", ".join(f"{k} = {v}" for k, v in known.items()) if known else ""
            _refuse(name, _shape(alternatives) + with_, value)
    return sizes


def finite(**arguments: Any) -> None:
    """ValueError unless each tensor, array or number is finite and real (None passes).

    The sum is tested first: one infinite or missing number makes it so.
    """
    for name, value in arguments.items():
        if value is None:
            continue
        x = _tensor(name, value, "a number or a tensor").detach()
        if x.is_complex():
            _refuse(name, "real", value, TypeError)
        if not x.is_floating_point():
            continue
        if not x.sum().isfinite() and not (good := x.isfinite()).all():
            first = tuple((~good).nonzero()[0].tolist())
            where = f" at {list(first)}" if first else ""
            _refuse(name, "finite", f"{x[first].item()}{where}", plain=True)


def floating(**arguments: Any) -> None:
    """TypeError unless each argument is a tensor of floating-point numbers (None passes)."""
    for name, value in arguments.items():
        if value is not None and not (isinstance(value, Tensor) and value.is_floating_point()):
            _refuse(name, "a floating-point tensor", value, TypeError)


def whole(**arguments: Any) -> None:
    """TypeError unless each argument is a tensor of whole numbers, booleans apart (None passes)."""
    for name, value in arguments.items():
        if value is not None and not _is_whole(value):
            _refuse(name, "a tensor of whole numbers", value, TypeError)


def indices(below: int | None, /, **arguments: Any) -> None:
    """Each argument is an integer tensor in [0, below), or from 0 on if `below` is None.

    None passes. Raises TypeError for another dtype (booleans too) and ValueError for a number
    outside.
    """
    expected = "whole numbers from 0 on" if below is None else f"whole numbers in [0, {below})"
    for name, value in arguments.items():
        if value is None:
            continue
        if not _is_whole(value):
            _refuse(name, expected, value, TypeError)
        if value.numel():
            low, high = (int(bound) for bound in value.aminmax())
            if low < 0 or (below is not None and high >= below):
                _refuse(name, expected, low if low < 0 else high)


def at_least(least: int, /, **arguments: Any) -> None:
    """Each argument is a whole number of at least `least`: TypeError or ValueError otherwise."""
    for name, value in arguments.items():
        expected = f"a whole number of at least {least}"
        if not isinstance(value, Integral) or isinstance(value, bool | np.bool_):
            _refuse(name, expected, value, TypeError)
        if value < least:
            _refuse(name, expected, value)


def within(interval: str, /, **arguments: Any) -> None:
    """Each number, and each element of a tensor, lies in an interval such as "(0, 1]".

    Infinity is outside of "[0, inf)", and NaN of all. Raises TypeError for what is no number and
    ValueError for a number outside.
    """
    low, high, closed_low, closed_high = _interval(interval)
    for name, value in arguments.items():
        expected = f"in {interval}"
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real | Tensor | np.ndarray):
            _refuse(name, f"a number {expected}", value, TypeError)
        least, most = value, value
        if isinstance(value, Tensor | np.ndarray):
            x = _tensor(name, value, expected).detach()
            if not x.numel():
                continue
            if x.dtype == torch.bool or x.is_complex():
                _refuse(name, f"numbers {expected}", value, TypeError)
            least, most = (bound.item() for bound in x.aminmax())
        above = least >= low if closed_low else least > low
        below = most <= high if closed_high else most < high
        if not (above and below):
            _refuse(name, expected, most if above else least)


def one_of(options: Iterable[Any], /, **arguments: Any) -> None:
    """ValueError unless each argument is one of the options; names the closest of the strings."""
    options = list(options)
    for name, value in arguments.items():
        if any(
            value is option or (isinstance(value, type(option)) and value == option)
            for option in options
        ):
            continue
        hint = did_you_mean(value, list(map(str, options)))
        expected = " or ".join(
            filter(None, [", ".join(map(repr, options[:-1])), repr(options[-1])])
        )
        raise ValueError(f"{name} must be {expected}, got {_came(value)}{hint}")


def instance(of: type | tuple[type, ...], /, **arguments: Any) -> None:
    """TypeError unless each argument is an `of`."""
    for name, value in arguments.items():
        if not isinstance(value, of):
            _refuse(name, _kind(of), value, TypeError)


def did_you_mean(value: Any, options: Sequence[str]) -> str:
    """The end of a refusal: the option that a string is closest to, or nothing."""
    near = get_close_matches(value, options, 1) if isinstance(value, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def shortened(value: Any) -> str:
    """`repr(value)` on one line, in at most 60 characters."""
    text = " ".join(repr(value).splitlines())
    return text if len(text) <= 60 else f"{text[:57]}..."


def _refuse(
    name: str, expected: str, value: Any, error: type[Exception] = ValueError, plain: bool = False
) -> NoReturn:
    raise error(f"{name} must be {expected}, got {value if plain else _came(value)}")


def _came(value: Any) -> str:
    """What came, in a few words."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim:
        return f"{str(value.dtype).removeprefix('torch.')} of shape {tuple(value.shape)}"
    if isinstance(value, list | tuple | dict | set) and len(repr(value)) > 60:
        return f"a {type(value).__name__} of {len(value)}"
    return shortened(value)


def _is_whole(value: Any) -> bool:
    """Whether it is a tensor of whole numbers, which booleans are not."""
    if not isinstance(value, Tensor) or value.dtype == torch.bool:
        return False
    return not (value.is_floating_point() or value.is_complex())


def _kind(of: type | tuple[type, ...]) -> str:
    """A type in words: "a str", "an int or a float"."""
    if isinstance(of, tuple):
        return " or ".join(map(_kind, of))
    name = {str: "string", int: "whole number", float: "number"}.get(of, of.__name__)
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _tensor(name: str, value: Any, expected: str) -> Tensor:
    """The value as a tensor, where it holds numbers."""
    try:
        return value if isinstance(value, Tensor) else torch.tensor(np.asarray(value))
    except (TypeError, ValueError, RuntimeError):
        _refuse(name, expected, value, TypeError)


def _shape(alternatives: list[list[str]]) -> str:
    """(N, C) of the letters N and C."""
    shapes = (", ".join(each).replace("?", "") + "," * (len(each) == 1) for each in alternatives)
    return " or ".join(f"({shape})" for shape in shapes)


def _matched(
    shape: torch.Size, letters: list[str], sizes: Mapping[str, int]
) -> dict[str, int] | None:
    """`sizes` with those of this shape, or None where it is another."""
    free = bool(letters) and letters[0] == "..."
    letters = letters[1:] if free else letters
    if len(shape) < len(letters) or (len(shape) > len(letters) and not free):
        return None
    found = dict(sizes)
    for letter, size in zip(letters, shape[len(shape) - len(letters) :], strict=True):
        least = 0 if letter.endswith("?") else 1
        letter = letter.rstrip("?")
        expected = int(letter) if letter.isdigit() else found.setdefault(letter, size)
        if size != expected or size < least:
            return None
    return found


@lru_cache
def _interval(text: str) -> tuple[float, float, bool, bool]:
    """The bounds of "[0, 1)", and which of them belong to it; an infinite one never does."""
    low, high = (float(bound) for bound in text[1:-1].split(","))
    return low, high, text[0] == "[" and math.isfinite(low), text[-1] == "]" and math.isfinite(high)
