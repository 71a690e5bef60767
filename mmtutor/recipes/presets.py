"""Presets by name. Knows no recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

Config = TypeVar("Config")


def choose(presets: Mapping[str, Config], name: str) -> Config:
    """The configuration called `name`; raises ValueError naming the presets there are."""
    if name not in presets:
        raise ValueError(f"unknown preset {name!r}: expected one of {', '.join(presets)}")
    return presets[name]
