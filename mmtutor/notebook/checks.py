"""Answers put to the test: a call that must fail, and an exercise's result.

Knows how to compare and to say so in one line; knows no exercise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

LOCATION = re.compile(r" \((?:/|[A-Z]:\\)[^)]*\)$")


def fails(call: Callable[[], Any]) -> None:
    """Run `call`, which must raise, and print `ExceptionType: first line`.

    Raises:
        AssertionError: it did not raise.
    """
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
        answer: the reader's result: a number, tensor, text, or a list, tuple or dict of these.
        expected: the right one. Numbers may differ by `tolerance`, absolute and relative.
        hint: what to look at when it is wrong.

    Raises:
        AssertionError: the answer is wrong.
    """
    if not _same(answer, expected, tolerance):
        advice = f" Hint: {hint}" if hint else ""
        raise AssertionError(f"Not yet: got {answer!r}.{advice}")
    print("Correct.")


def _same(answer: Any, expected: Any, tolerance: float) -> bool:
    if isinstance(expected, Tensor):
        alike = isinstance(answer, Tensor) and answer.shape == expected.shape
        return alike and answer.double().allclose(expected.double(), tolerance, tolerance)
    if isinstance(expected, Mapping):
        alike = isinstance(answer, Mapping) and answer.keys() == expected.keys()
        return alike and all(_same(answer[k], expected[k], tolerance) for k in expected)
    if isinstance(expected, Sequence) and not isinstance(expected, str):
        alike = isinstance(answer, Sequence) and len(answer) == len(expected)
        return alike and all(_same(*pair, tolerance) for pair in zip(answer, expected, strict=True))
    if isinstance(expected, float):
        return math.isclose(_number(answer), expected, rel_tol=tolerance, abs_tol=tolerance)
    return bool(answer == expected)


def _number(answer: Any) -> float:
    """A number, or a tensor or array of one number; NaN for anything else."""
    try:
        return math.nan if isinstance(answer, str) else float(answer)
    except (TypeError, ValueError, RuntimeError):
        return math.nan
