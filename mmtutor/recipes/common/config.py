"""The settings that all recipes share, validated when they are made.

Knows what `training.fit` can be told and how a recipe names its presets. Knows no recipe.
"""

from __future__ import annotations

import math
import sys
from functools import wraps
from typing import Literal, Self, dataclass_transform

from pydantic import ConfigDict, ValidationError, field_validator
from pydantic.dataclasses import dataclass

# Added to the seed of generated test examples by recipes whose settings were chosen while looking
# at test examples of small seeds: no setting was chosen on these.
TEST_SEED_OFFSET = 1_000


@dataclass_transform(kw_only_default=True, frozen_default=True)
def settings(cls: type) -> type:
    """A frozen dataclass whose fields are given by name and checked against their annotations.

    A value that does not fit raises ValueError: one sentence that names the field, what came and
    what was expected.
    """
    made = dataclass(cls, frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
    validated = made.__init__

    @wraps(validated)
    def __init__(self, *args, **values):  # noqa: N807
        try:
            validated(self, *args, **values)
        except ValidationError as error:
            faults = "; ".join(_in_words(fault) for fault in error.errors())
            raise ValueError(f"{cls.__qualname__}: {faults}") from None

    made.__init__ = __init__
    return made


class Presets:
    """A recipe's settings by name."""

    @classmethod
    def preset(cls, name: str) -> Self:
        """The configuration called `name` in the `PRESETS` of the recipe's module.

        Raises ValueError, naming the presets there are.
        """
        presets = sys.modules[cls.__module__].PRESETS
        if name not in presets:
            raise ValueError(f"unknown preset {name!r}: expected one of {', '.join(presets)}")
        return presets[name]


@settings
class TrainConfig(Presets):
    """What every training run is told; a recipe's `Config` adds its own fields.

    Attributes:
        epochs: passes over the training data.
        batch_size: examples a step.
        lr, weight_decay: of AdamW.
        precision: as in `training.fit`.
        seed: draws data, first weights and the order of batches.
    """

    epochs: int = 1
    batch_size: int = 32
    lr: float = 1e-3
    weight_decay: float = 0.01
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    seed: int = 0

    # Validators, and not constrained types, because a recipe declares its own defaults anew.
    @field_validator("epochs", "batch_size", "lr")
    @classmethod
    def _positive(cls, value: float) -> float:
        if not 0 < value < math.inf:
            raise ValueError("a number above 0")
        return value

    @field_validator("weight_decay", "seed")
    @classmethod
    def _not_negative(cls, value: float) -> float:
        if not 0 <= value < math.inf:
            raise ValueError("a number of at least 0")
        return value


def _in_words(fault: dict) -> str:
    """One of pydantic's findings as a clause."""
    field = ".".join(map(str, fault["loc"]))
    if fault["type"] in ("unexpected_keyword_argument", "missing", "missing_keyword_only_argument"):
        return f"{field}: {fault['msg'].lower()}"
    expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    return f"{field} is {fault['input']!r}: expected {expected}"
