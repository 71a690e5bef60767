"""Kinds of arguments: how good values look, how each is spoiled, and what other forms it has.

Everything is drawn from a `random.Random`, so that a seed repeats it and hypothesis can drive it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Tensor

Draw = Callable[[Random, "Sizes"], Any]
Spoil = Callable[[Random, Any], Any]


class Sizes(defaultdict):
    """A size for each letter, between 2 and 6 (or as given), no two alike where that can be."""

    def __init__(self, random: Random, **given: int):
        super().__init__(None, given)
        self.random = random
        self.free = random.sample(range(2, 8), 6)

    def __missing__(self, letter: str) -> int:
        if letter.isdigit():
            return int(letter)
        self[letter] = self.free.pop() if self.free else self.random.randint(2, 7)
        return self[letter]

    def shape(self, pattern: str) -> tuple[int, ...]:
        return tuple(self[letter] for letter in pattern.split())


@dataclasses.dataclass(frozen=True)
class Kind:
    """`good` draws a value. `bad` spoils one, which must be refused; `same` gives another form."""

    good: Draw
    bad: Mapping[str, Spoil] = dataclasses.field(default_factory=dict)
    same: Mapping[str, Spoil] = dataclasses.field(default_factory=dict)
    propagates: frozenset[str] = frozenset()  # bad labels where NaN in and NaN out is right, too
    pattern: str = ""  # the shape, for tensors

    def but(self, **bad: Spoil | None) -> Kind:
        """With further ways to spoil, or without one (None)."""
        merged = {k: v for k, v in (dict(self.bad) | bad).items() if v is not None}
        return dataclasses.replace(self, bad=merged)

    def without(self, *labels: str) -> Kind:
        """Without some ways to spoil it, or some other forms."""
        return dataclasses.replace(
            self,
            bad={k: v for k, v in self.bad.items() if k not in labels},
            same={k: v for k, v in self.same.items() if k not in labels},
        )


def constantly(*values: Any) -> Spoil:
    return lambda random, value: random.choice(values)


NO_TENSOR = {"no tensor": constantly(None, "abc", [None], {"a": 1}, object())}
NO_NUMBER = {"no number": constantly(None, "1", [1], float("nan"), {"a": 1}, 1j)}


def generator(random: Random) -> torch.Generator:
    return torch.Generator().manual_seed(random.getrandbits(31))


def put(random: Random, value: Tensor, number: float | int) -> Tensor:
    """A copy with one element replaced."""
    value = value.clone()
    value.view(-1)[random.randrange(value.numel())] = number
    return value


def _shapes(pattern: str) -> dict[str, Spoil]:
    """Shapes that broadcast or fall short, and none at all. Lengths: see `entry`, for tied axes."""
    found: dict[str, Spoil] = {
        "one axis more": lambda random, x: x.unsqueeze(random.choice([0, -1])),
        "empty": lambda random, x: x[:0],
    }
    if len(pattern.split()) > 1:
        found["one axis less"] = lambda random, x: x.select(random.choice([0, -1]), 0)
    return found


def floats(
    pattern: str, low: float = -3.0, high: float = 3.0, nan: str = "refused", make: Any = None
) -> Kind:
    """A float32 tensor in [low, high]; with `nan="propagates"` NaN may also give NaN.

    `make(random, sizes)` draws it some other way.
    """

    def good(random: Random, sizes: Sizes) -> Tensor:
        if make is not None:
            return make(random, sizes)
        return torch.rand(sizes.shape(pattern), generator=generator(random)) * (high - low) + low

    return Kind(
        good,
        bad=NO_TENSOR
        | _shapes(pattern)
        | {
            "NaN": lambda random, x: put(random, x, float("nan")),
            "infinite": lambda random, x: put(random, x, random.choice([torch.inf, -torch.inf])),
            "complex": lambda random, x: x.to(torch.complex64),
        },
        same={
            "array": lambda random, x: x.numpy(),
            "list": lambda random, x: x.tolist(),
            "double": lambda random, x: x.double(),
            "half": lambda random, x: x.half(),
        },
        propagates=frozenset({"NaN", "infinite"} if nan == "propagates" else ()),
        pattern=pattern,
    )


def labels(pattern: str, below: str | int = "C", make: Any = None) -> Kind:
    """An int64 tensor in [0, below), `below` a letter or a number."""

    def good(random: Random, sizes: Sizes) -> Tensor:
        if make is not None:
            return make(random, sizes)
        most = below if isinstance(below, int) else sizes[below]
        return torch.randint(most, sizes.shape(pattern), generator=generator(random))

    return Kind(
        good,
        bad=NO_TENSOR
        | _shapes(pattern)
        | {
            "negative": lambda random, x: put(random, x, -random.choice([1, 7])),
            "too large": lambda random, x: put(random, x, 10**6),
            "floating": lambda random, x: x + 0.5,
            "NaN": lambda random, x: put(random, x.float(), float("nan")),
        },
        same={
            "array": lambda random, x: x.numpy(),
            "list": lambda random, x: x.tolist(),
            "int32": lambda random, x: x.int(),
        },
        pattern=pattern,
    )


def masks(pattern: str, least: int = 1, make: Any = None) -> Kind:
    """A bool tensor with at least `least` True in every row of the last axis."""

    def good(random: Random, sizes: Sizes) -> Tensor:
        if make is not None:
            return make(random, sizes)
        mask = torch.rand(sizes.shape(pattern), generator=generator(random)) < 0.6
        mask[..., :least] = True
        return mask

    return Kind(
        good,
        bad=NO_TENSOR
        | _shapes(pattern)
        | {
            "two": lambda random, x: put(random, x.int(), 2),
            "minus one": lambda random, x: put(random, x.long(), -1),
            "floating": lambda random, x: x * 0.5,
            "NaN": lambda random, x: put(random, x.float(), float("nan")),
            "words": lambda random, x: "real",
        },
        same={
            "0 and 1": lambda random, x: x.long(),
            "uint8": lambda random, x: x.to(torch.uint8),
            "array": lambda random, x: x.numpy(),
            "list": lambda random, x: x.tolist(),
        },
        pattern=pattern,
    )


def weights(pattern: str) -> Kind:
    """How often each example counts: at least 0, not all 0."""
    kind = floats(pattern, 0.1, 2.0)
    return kind.but(
        negative=lambda random, x: put(random, x, -0.5),
        nothing=lambda random, x: torch.zeros_like(x),
        column=lambda random, x: x.unsqueeze(-1),
    ).without("half", "one axis more")


def count(least: int = 1, most: int = 5) -> Kind:
    """A whole number in [least, most]; one above `most` is not refused, only drawn seldom."""
    return Kind(
        lambda random, sizes: random.randint(least, most),
        bad={
            "too small": lambda random, x: least - random.choice([1, 2, 1000]),
            "broken": lambda random, x: x + 0.5,
            "no number": NO_NUMBER["no number"],
            "infinite": constantly(float("inf"), -float("inf")),
            "text": lambda random, x: str(x),
        },
        same={
            "numpy": lambda random, x: np.int64(x),
            "numpy 32": lambda random, x: np.int32(x),
        },
    )


def number(interval: str, low: float = 0.1, high: float = 0.9) -> Kind:
    """A number drawn from [low, high]; the interval ("(0, 1]") says what is refused."""
    bounds = [float(bound) for bound in interval[1:-1].split(",")]
    outside = []
    if np.isfinite(bounds[0]):
        outside += [bounds[0] - 1, bounds[0] - 1e-3] + [bounds[0]] * (interval[0] == "(")
    if np.isfinite(bounds[1]):
        outside += [bounds[1] + 1, bounds[1] + 1e-3] + [bounds[1]] * (interval[-1] == ")")
    bad = {
        "no number": NO_NUMBER["no number"],
        "NaN": constantly(float("nan")),
        "infinite": constantly(float("inf"), -float("inf")),
        "text": lambda random, x: str(x),
    }
    if outside:
        bad["outside"] = constantly(*outside)
    return Kind(
        lambda random, sizes: random.uniform(low, high),
        bad=bad,
        same={
            "numpy": lambda random, x: np.float64(x),
            "numpy 32": lambda random, x: np.float32(x),
        },
    )


def option(*names: Any) -> Kind:
    """One of some names."""

    def typo(random: Random, value: Any) -> str:
        text = str(value)
        cut = random.randrange(len(text) + 1)
        return random.choice([text[:cut] + "x" + text[cut:], text + " ", text.upper() + "?"])

    return Kind(
        lambda random, sizes: random.choice(names),
        bad={
            "typo": typo,
            "no option": constantly("", 3, None, [names[0]], b"abc", float("nan")),
        },
    )


WORDS = ("a", "red", "small", "circle", "left", "of", "the", "dog", "runs", "home", "über", "猫")


def sentence(random: Random, least: int = 1, most: int = 6) -> str:
    return " ".join(random.choice(WORDS) for _ in range(random.randint(least, most)))


def text(make: Callable[[Random], str] = sentence) -> Kind:
    """One string."""
    return Kind(
        lambda random, sizes: make(random),
        bad={"no text": constantly(None, 3, float("nan"), b"abc", ["abc"], {"a": "b"})},
        same={"numpy": lambda random, x: np.str_(x)},
    )


def texts(letter: str = "N", make: Callable[[Random], str] = sentence) -> Kind:
    """A list of strings, as many as the size of `letter`."""
    return Kind(
        lambda random, sizes: [make(random) for _ in range(sizes[letter])],
        bad={
            "one string": lambda random, x: x[0] or "abc",
            "None in it": lambda random, x: [*x[:-1], None],
            "number in it": lambda random, x: [*x[:-1], 3],
            "list in it": lambda random, x: [*x[:-1], [x[-1]]],
            "bytes in it": lambda random, x: [*x[:-1], b"abc"],
            "no list": constantly(None, 3, float("nan"), b"abc", {"a": "b"}, {"a", "b"}),
            "empty": lambda random, x: [],
        },
        same={
            "tuple": lambda random, x: tuple(x),
            "array": lambda random, x: np.array(x),
        },
        pattern=letter,
    )


def references(letter: str = "N", make: Callable[[Random], str] = sentence) -> Kind:
    """A list of lists of strings, as many as the size of `letter`."""

    def good(random: Random, sizes: Sizes) -> list[list[str]]:
        return [[make(random) for _ in range(random.randint(1, 3))] for _ in range(sizes[letter])]

    return Kind(
        good,
        bad={
            "one string": lambda random, x: x[0][0],
            "strings": lambda random, x: [each[0] for each in x],
            "one a string": lambda random, x: [*x[:-1], "abc"],
            "one without": lambda random, x: [*x[:-1], []],
            "None in one": lambda random, x: [*x[:-1], [None]],
            "one None": lambda random, x: [*x[:-1], None],
            "number in one": lambda random, x: [*x[:-1], [3]],
            "no list": constantly(None, 3, b"abc", {"a": ["b"]}),
            "empty": lambda random, x: [],
        },
        same={"tuples": lambda random, x: tuple(tuple(each) for each in x)},
        pattern=letter,
    )


def given(draw: Draw | Any, bad: Mapping[str, Spoil] | None = None) -> Kind:
    """An object of another kind: a model, a batch, a data set. `draw(random, sizes)` or a value.

    By default None, a word and a number are refused in its place.
    """
    return Kind(
        draw
        if callable(draw) and not isinstance(draw, type | torch.nn.Module)
        else constant(draw).good,
        bad={"no such object": constantly(None, "abc", 3, [1], {"a": 1})} if bad is None else bad,
    )


def constant(value: Any) -> Kind:
    """A value that is not spoiled: a flag, a seed of no consequence, ..."""
    return Kind(lambda random, sizes: value)


def flag() -> Kind:
    """True or False, not spoiled: Python's own truth will do."""
    return Kind(lambda random, sizes: random.random() < 0.5)


def not_to_none(kind: Kind) -> Kind:
    """None is good as well, so nothing is spoiled into it; but it is not drawn."""

    def unless_none(spoil: Spoil) -> Spoil:
        def spoiled(random: Random, value: Any) -> Any:
            found = value
            for _ in range(20):
                found = spoil(random, value)
                if found is not None:
                    return found
            return object()

        return spoiled

    bad = {label: unless_none(spoil) for label, spoil in kind.bad.items()}
    return dataclasses.replace(kind, bad=bad)


def optional(kind: Kind) -> Kind:
    """None is good as well, and drawn now and then."""

    def good(random: Random, sizes: Sizes) -> Any:
        value = kind.good(random, sizes)
        return value if random.random() < 0.7 else None

    return dataclasses.replace(not_to_none(kind), good=good)
