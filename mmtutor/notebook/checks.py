"""Answers put to the test: a call that must fail, and an exercise's result.

Knows how to compare and to say so in one line; knows no exercise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Number, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks

LOCATION = re.compile(r" \((?:/|[A-Z]:\\)[^)]*\)$")


def fails(call: Callable[[], Any]) -> None:
    """Run `call`, which must raise, and print `ExceptionType: first line`.

    Raises:
        AssertionError: it did not raise.
    """
    checks.instance(Callable, call=call)
    try:
        result = call()
    except Exception as error:
        print(in_one_line(error))
        return
    raise AssertionError(f"this was meant to fail, but returned {result!r}")


def in_one_line(error: Exception) -> str:
    """`ExceptionType: first line`, less where the reader's Python lies, which teaches nothing."""
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {LOCATION.sub('', first_line)}".rstrip(": ")


def check(answer: Any, expected: Any, hint: str = "", tolerance: float = 1e-4) -> None:
    """Print that the answer is right, or raise with the hint.

    Args:
        answer: the reader's result: a number, tensor, array, text, or a list, tuple or dict of
            these. A list will do for a tensor of its shape, and a tensor of one number for a
            number.
        expected: the right one. Numbers may differ by `tolerance`, absolute and relative; whole
            numbers must be equal.
        hint: what to look at when it is wrong.

    Raises:
        AssertionError: the answer is wrong.
    """
    checks.within("[0, inf)", tolerance=tolerance)
    checks.instance(str, hint=hint)
    if not _same(answer, expected, tolerance):
        advice = f" Hint: {hint}" if hint else ""
        raise AssertionError(f"Not yet: got {answer!r}.{advice}")
    print("Correct.")


def _same(answer: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, Mapping):
        alike = isinstance(answer, Mapping) and answer.keys() == expected.keys()
        return alike and all(_same(answer[k], expected[k], tolerance) for k in expected)
    if isinstance(expected, Number | np.generic):
        return _same_number(answer, expected, tolerance)
    if isinstance(answer, Tensor | np.ndarray) and isinstance(expected, Tensor | np.ndarray):
        return _same_tensor(*map(_tensor, (answer, expected)), tolerance)
    answer, expected = (_listed(x) for x in (answer, expected))
    if isinstance(expected, Sequence) and not isinstance(expected, str):
        alike = isinstance(answer, Sequence) and not isinstance(answer, str)
        alike = alike and len(answer) == len(expected)
        return alike and all(_same(*pair, tolerance) for pair in zip(answer, expected, strict=True))
    found = answer == expected
    return isinstance(found, bool | np.bool_) and bool(found)


def _same_tensor(answer: Any, expected: Any, tolerance: float) -> bool:
    if not isinstance(answer, Tensor) or not isinstance(expected, Tensor):  # arrays of texts
        return np.array_equal(answer, expected)
    if answer.shape != expected.shape:
        return False
    if not (answer.is_floating_point() or expected.is_floating_point()):
        return torch.equal(answer, expected.to(answer.dtype))
    return answer.double().allclose(expected.double(), tolerance, tolerance)


def _same_number(answer: Any, expected: Any, tolerance: float) -> bool:
    """Whether the answer is this number, or a tensor or array of it alone."""
    if isinstance(answer, Tensor | np.ndarray | np.generic):
        answer = answer.item() if np.prod(answer.shape) == 1 else None
    if isinstance(expected, np.generic):
        expected = expected.item()
    if not isinstance(answer, Number):
        return False
    exact = isinstance(expected, int) or not isinstance(expected, Real)
    return answer == expected or (
        not exact
        and isinstance(answer, Real)
        and math.isclose(answer, expected, rel_tol=tolerance, abs_tol=tolerance)
    )


def _tensor(values: Tensor | np.ndarray) -> Tensor | np.ndarray:
    """On the CPU, without a graph; an array of texts stays one."""
    if isinstance(values, Tensor):
        return values.detach().cpu()
    return torch.from_numpy(values.copy()) if values.dtype.kind in "biufc" else values


def _listed(values: Any) -> Any:
    """A tensor or an array with axes as lists; what else there is, as it is."""
    several = isinstance(values, Tensor | np.ndarray) and values.ndim
    return values.tolist() if several else values
