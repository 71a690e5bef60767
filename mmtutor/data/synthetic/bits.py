"""A world of five bits seen by two modalities, and seven questions about it.

Knows which bits each modality shows, the right answer to every question, and the exact joint
distribution of what is shown and what is asked. Does not know how information is measured.

The bits a0, a1, b0, b1 and c are fair and independent. Modality "a" shows a0, a1 and c; modality
"b" shows b0, b1 and c. So c is in both, and everything else in one. What differs between the tasks
is the question alone:

    unique            a0: one modality has the answer
    redundant         c: either has
    copy              (a0, b0): each has one half of it
    and               a0 and b0
    xor               a0 or b0, but not both: neither knows anything
    redundant + xor   (c, a0 xor b0)
    unique + xor      (a1, a0 xor b0)
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.dataset import Dataset

BITS = ("a0", "a1", "b0", "b1", "c")
SHOWN = {"a": ("a0", "a1", "c"), "b": ("b0", "b1", "c")}
WORLDS = 2 ** len(BITS)
SIZE = 8  # numbers in a token
LENGTH = 2.0  # of a token without noise
SPLITS = ("train", "val", "test")

World = dict[str, Tensor]  # each bit by name: (N,) int64

QUESTIONS: dict[str, Callable[[World], Tensor]] = {
    "unique": lambda w: w["a0"],
    "redundant": lambda w: w["c"],
    "copy": lambda w: 2 * w["a0"] + w["b0"],
    "and": lambda w: w["a0"] & w["b0"],
    "xor": lambda w: w["a0"] ^ w["b0"],
    "redundant + xor": lambda w: 2 * w["c"] + (w["a0"] ^ w["b0"]),
    "unique + xor": lambda w: 2 * w["a1"] + (w["a0"] ^ w["b0"]),
}


def load(
    split: str = "train", n: int = 1024, task: str = "xor", seed: int = 0, noise: float = 0.2
) -> Dataset:
    """N = n examples of `split`, every world equally often (as far as n is a multiple of 32).

    A bit is shown as a token: a direction of its own, plus where it is 1 and minus where it is 0,
    with noise. Directions and order are the same everywhere, so that every 32 examples in a row
    hold every world; the noise depends on split and seed.

    Columns: a, b (N, 3, 8) float32, the tokens of the bits in the order of SHOWN; label (N,) int64,
    the answer to `task`.

    Args:
        noise: standard deviation of the noise in each of the 8 numbers; a bit's two tokens are
            4 apart, so that it is hard to misread before noise 1 (one time in 44).

    Raises:
        ValueError: an unknown split or task, or a negative noise.
    """
    checks.one_of(SPLITS, split=split)
    checks.at_least(1, n=n)
    checks.at_least(0, seed=seed)
    checks.within("[0, inf)", noise=noise)
    checks.one_of(QUESTIONS, task=task)
    generator = torch.Generator().manual_seed(int(len(SPLITS) * seed + SPLITS.index(split)))
    world = worlds(torch.arange(n) % WORLDS)
    columns = {name: _tokens(world, name, noise, generator) for name in SHOWN}
    return Dataset({**columns, "label": answer(task, world)}, name=f"{task}/{split}")


def worlds(number: Tensor | None = None) -> World:
    """The worlds of these numbers (N,) in 0..31; all of them, in order, without numbers."""
    checks.shaped(number=(number, "N | None"))
    checks.indices(WORLDS, number=number)
    number = torch.arange(WORLDS) if number is None else number
    return {name: number >> place & 1 for place, name in enumerate(BITS)}


def answer(task: str, world: World) -> Tensor:
    """(N,) int64: the right answers. Raises ValueError for an unknown task or another world."""
    checks.one_of(QUESTIONS, task=task)
    checks.instance(dict, world=world)
    if missing := set(BITS) - set(world):
        raise ValueError(f"world lacks {', '.join(sorted(missing))}")
    checks.shaped(**{f"world[{name!r}]": (world[name], "N") for name in BITS})
    checks.indices(2, **{f"world[{name!r}]": world[name] for name in BITS})
    return QUESTIONS[task](world)


def classes(task: str) -> int:
    """How many answers there are, C."""
    return int(answer(task, worlds()).max()) + 1


def joint(task: str) -> Tensor:
    """The exact distribution p[x1, x2, y] of what "a" shows, "b" shows and the answer, float64.

    (8, 8, C): x1 and x2 are the three bits of a modality read as a number, before any noise.
    """
    world = worlds()
    x1, x2 = (_number(world, name) for name in SHOWN)
    p = torch.zeros(SIZE, SIZE, classes(task), dtype=torch.float64)
    one = torch.full((WORLDS,), 1 / WORLDS, dtype=torch.float64)
    return p.index_put_((x1, x2, answer(task, world)), one, accumulate=True)


def _number(world: World, modality: str) -> Tensor:
    return sum(world[bit] << place for place, bit in enumerate(SHOWN[modality]))


def _tokens(world: World, modality: str, noise: float, generator: torch.Generator) -> Tensor:
    """What a modality shows: (N, 3, SIZE)."""
    bits = torch.stack([world[bit] for bit in SHOWN[modality]], dim=1)  # [N, 3]
    directions = torch.eye(SIZE)[list(SHOWN).index(modality) :][: bits.shape[1]]
    clean = LENGTH * (2 * bits - 1).unsqueeze(-1) * directions
    return clean + noise * torch.randn(clean.shape, generator=generator)
