"""What a call comes to, where a clear refusal is as good as the right value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

CLEAR = (ValueError, TypeError, KeyError)


def outcome(call: Callable[[], Any]) -> tuple[bool, Any]:
    """(True, the message) where `call` refuses in words, (False, its value) where it returns."""
    try:
        return False, call()
    except CLEAR as error:
        return True, str(error)
