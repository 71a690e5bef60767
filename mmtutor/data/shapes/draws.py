"""Random numbers that are equal on every platform and in every version.

Knows integers and choices, one an example. Does not know what is chosen.
"""

from __future__ import annotations

from numbers import Integral

import numpy as np
import torch

from mmtutor import checks

IntArray = np.ndarray  # of int64


def whole(**arguments: tuple[IntArray, str, int, int]) -> None:
    """Hold arrays to int64, to a shape and to a lowest and a highest value.

    `whole(shape=(shape, "N K", -1, 5))`: see `checks.shaped` for the letters.

    Raises TypeError for what is no array of int64, and ValueError for another shape or value.
    """
    for name, (array, _, low, high) in arguments.items():
        checks.instance(np.ndarray, **{name: array})
        if array.dtype != np.int64:
            raise TypeError(f"{name} must be int64, got {array.dtype}")
        if array.size and not low <= array.min() <= array.max() <= high:
            found = f"{array.min()} to {array.max()}"
            raise ValueError(f"{name} must be in [{low}, {high}], got {found}")
    like = {name: torch.empty(rule[0].shape, device="meta") for name, rule in arguments.items()}
    checks.shaped(**{name: (like[name], rule[1]) for name, rule in arguments.items()})


class Draws:
    """The random words of N examples, handed out in a fixed order.

    Bits come from PCG64, whose stream NumPy keeps fixed between versions, and every step after them
    is integer arithmetic. Example i depends on the stream and i alone.

    Args:
        n: how many examples.
        stream: non-negative integers that name the random stream.
        words: how many words are set aside for each example.
        times: how often each example's words are repeated, row after row; N is n * times.

    Raises ValueError for a count below 1, or when more words are asked for than set aside.
    """

    def __init__(self, n: int, stream: tuple[int, ...], words: int, times: int = 1) -> None:
        checks.at_least(1, n=n, words=words, times=times)
        for number in checks.listed(Integral, stream=stream):
            checks.at_least(0, stream=number)
        bits = np.random.PCG64(np.random.SeedSequence(stream)).random_raw((n, words))
        high = (bits >> np.uint64(32)).astype(np.int64)  # [n, words], 32 random bits each
        self._words = iter(high.repeat(times, axis=0).T if times > 1 else high.T)

    def word(self) -> IntArray:
        """(N,) 32 random bits."""
        if (word := next(self._words, None)) is None:
            raise ValueError("words: more are asked for than were set aside")
        return word

    def below(self, bound: int | IntArray) -> IntArray:
        """(N,) uniform integers in [0, bound)."""
        return (self.word() * bound) >> 32

    def each(self, *bounds: int | IntArray) -> IntArray:
        """(N, B) uniform integers, one column for each of B bounds."""
        return np.stack([self.below(bound) for bound in bounds], axis=1)

    def pick(self, allowed: np.ndarray) -> IntArray:
        """(N,) for each row of `allowed` (N, M) bool, one of its True columns, evenly."""
        return self.nth(allowed, self.below(allowed.sum(axis=1)))

    @staticmethod
    def nth(allowed: np.ndarray, rank: IntArray) -> IntArray:
        """(N,) the column of True number `rank` (N,), from 0, in each row of `allowed` (N, M)."""
        return (allowed.cumsum(axis=1, dtype=np.int16) > rank[:, None]).argmax(axis=1)
