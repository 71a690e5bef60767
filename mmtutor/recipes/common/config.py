"""The settings that all recipes share, validated when they are made.

Knows what `training.fit` can be told, kinds of settings, and how a recipe names its presets. Knows
no recipe.
"""

from __future__ import annotations

import json
import re
import sys
from functools import wraps
from types import NoneType
from typing import Annotated, Any, Literal, Self, dataclass_transform, get_args, get_type_hints

import numpy as np
from pydantic import (
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from mmtutor.checks import did_you_mean, shortened

# Added to the seed of generated test examples by recipes whose settings were chosen while looking
# at test examples of small seeds: no setting was chosen on these.
TEST_SEED_OFFSET = 1_000

# Kinds of settings, for the annotations of a recipe's fields. Whole numbers are of 32 bits.
Count = Annotated[int, Field(ge=1, lt=2**31)]
CountOrZero = Annotated[int, Field(ge=0, lt=2**31)]
Fold = Annotated[int, Field(ge=0, lt=5)]
Rate = Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)]
Size = Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)]  # of what may be nothing
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
BelowOne = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Words = Annotated[str, Field(pattern=r"\S")]

EXPECTED = {  # what pydantic says in other words
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "literal_error": "{expected}",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number with fewer digits",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text",
    "string_pattern_mismatch": "a text that is not empty",
    "tuple_type": "a list",
    "too_short": "a list of at least {min_length}",
}


@dataclass_transform(kw_only_default=True, frozen_default=True)
def settings(cls: type) -> type:
    """A frozen dataclass whose fields are given by name and checked against their annotations.

    Nothing is guessed: True is no number and "3" neither; but NumPy's numbers become Python's, and
    lists tuples. A value that does not fit raises ValueError: one sentence that names the field,
    what came and what was expected.
    """
    config = ConfigDict(extra="forbid", strict=True)
    made = dataclass(cls, frozen=True, kw_only=True, config=config)
    validated = made.__init__

    @wraps(validated)
    def __init__(self, *args, **values):  # noqa: N807
        try:
            validated(self, *args, **values)
        except ValidationError as error:
            faults = "; ".join(map(_in_words, error.errors()))
            raise ValueError(f"{cls.__qualname__}: {faults}") from None

    made.__init__ = __init__
    return made


@settings
class Presets:
    """A recipe's settings by name."""

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        return tuple(value) if isinstance(value, list) else value

    @field_validator("*")
    @classmethod
    def _each_once(cls, value: Any) -> Any:
        if isinstance(value, tuple) and len(set(value)) < max(len(value), 1):
            raise ValueError("a list of at least one, none of them twice")
        return value

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        self._check()
        return self

    def _check(self) -> None:
        """Where a recipe says which settings do not fit each other, by a ValueError."""

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

    A recipe that declares a field anew, for another default, gives its kind anew: `epochs: Count`.

    Attributes:
        epochs: passes over the training data.
        batch_size: examples a step.
        lr, weight_decay: of AdamW.
        precision, channels_last, compile, sharded: as in `training.engine.Engine`.
        seed: draws data, first weights and the order of batches.
    """

    epochs: Count = 1
    batch_size: Count = 32
    lr: Rate = 1e-3
    weight_decay: Size = 0.01
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "auto"
    channels_last: bool = False
    compile: Literal["inductor", "aot_eager", "eager"] | None = None
    sharded: bool = False
    seed: CountOrZero = 0


def read_setting(cls: type, name: str, text: str) -> Any:
    """The value of the field `name` of a `Config` that stands in `text`, as on a command line.

    A list is written as JSON: `["joint", "wide"]`; where None is allowed, as "none". Raises
    ValueError in one sentence.
    """
    kind = get_type_hints(cls, include_extras=True)[name]
    parts = get_args(kind)
    if NoneType in parts and text.strip().lower() in ("none", "null"):
        return None
    adapter = TypeAdapter(kind)
    try:
        if Ellipsis not in parts:
            return adapter.validate_strings(text)
        json.loads(text)
        return adapter.validate_json(text, strict=True)  # a list of JSON is a tuple, true no 1
    except json.JSONDecodeError:
        example = json.dumps(getattr(cls(), name)[:2])
        raise ValueError(f"{name} is {text!r}: expected a list such as {example}") from None
    except ValidationError as error:
        raise ValueError("; ".join(_in_words(fault, name) for fault in error.errors())) from None


def require_multiple(config: Presets, name: str, of: str | int) -> None:
    """ValueError unless a setting is a multiple of a number, or of another setting."""
    value, divisor = getattr(config, name), getattr(config, of) if isinstance(of, str) else of
    if value % divisor:
        of = f"{of}, which is {divisor}" if isinstance(of, str) else of
        raise ValueError(f"{name} is {value}: expected a multiple of {of}")


def _in_words(fault: dict, field: str = "") -> str:
    """One of pydantic's findings as a clause."""
    for place in fault["loc"]:
        field += f"[{place}]" if isinstance(place, int) else str(place)
    kind, context, came = fault["type"], fault.get("ctx", {}), fault["input"]
    if kind in ("unexpected_keyword_argument", "missing", "missing_keyword_only_argument"):
        return f"{field}: {fault['msg'].lower()}"
    expected = fault["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    if not field:  # settings that do not fit each other, already in words
        return expected
    expected = EXPECTED[kind].format(**context) if kind in EXPECTED else expected
    options = re.findall("'([^']*)'", expected) if kind == "literal_error" else []
    hint = did_you_mean(came, options)
    return f"{field} is {shortened(came)}: expected {expected}{hint}"
