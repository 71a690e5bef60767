"""A scene in which a given question has a given answer.

Knows how many objects must match the question, which may stand beside them and where. Does not know
how questions and answers are drawn (`shapes_questions_sample.py`).
"""

from __future__ import annotations

from itertools import product

import numpy as np

from mmtutor.data.shapes.questions.forms import (
    ATTRIBUTE_OF,
    COUNT,
    EXIST,
    FORMS,
    HAS,
    HELD_OUT,
    MATCH,
    MENTIONS_TWO,
    MORE,
    MOST_OBJECTS,
    NEAR,
    OBJECTS,
    QUERY,
    RELATE,
    SAME,
    YES,
    Questions,
)
from mmtutor.data.shapes.scene import BACKGROUNDS, OFFSETS, WORDINGS, IntArray, Scene

DRAWS = 64  # random words set aside for each example
SHARES = np.array(list(product(range(MOST_OBJECTS + 1), repeat=2)))  # [36, 2]
_row, _column = np.divmod(np.arange(9), 3)
_left, _above = _column[:, None] < _column, _row[:, None] < _row  # [9, 9] from cell, to cell
STANDS = np.stack([_left, _left.T, _above, _above.T]).reshape(4, 81)  # as RELATIONS


class Draws:
    """The random words of N examples, handed out in a fixed order.

    Bits come from PCG64, whose stream NumPy keeps fixed between versions, and every step after them
    is integer arithmetic: equal on every platform. Example i depends on the stream and i alone.
    """

    def __init__(self, n: int, stream: tuple[int, ...], times: int = 1) -> None:
        bits = np.random.PCG64(np.random.SeedSequence(stream)).random_raw((n, DRAWS))
        words = (bits >> np.uint64(32)).astype(np.int64)  # [N, DRAWS], 32 random bits each
        self._words = iter(words.repeat(times, axis=0).T)

    def word(self) -> IntArray:
        """(N,) 32 random bits."""
        return next(self._words)

    def below(self, bound: int | IntArray) -> IntArray:
        """(N,) uniform integers in [0, bound)."""
        return (self.word() * bound) >> 32

    def pick(self, allowed: np.ndarray) -> IntArray:
        """(N,) for each row of `allowed` (N, M) bool, one of its True columns, evenly."""
        return nth(allowed, self.below(allowed.sum(axis=1)))


def nth(allowed: np.ndarray, rank: IntArray) -> IntArray:
    """(N,) the column of the True number `rank` (N,), from 0, in each row of `allowed` (N, M)."""
    return (allowed.cumsum(axis=1, dtype=np.int16) > rank[:, None]).argmax(axis=1)


def values_of(universe: np.ndarray) -> np.ndarray:
    """(189, 3, OPTIONS) bool: has an object that fits the descriptor this value of the attribute?

    Only objects of `universe` (96,) bool count.
    """
    return np.einsum("dm,avm->dav", MATCH & universe, HAS)


def build(
    draws: Draws,
    questions: Questions,
    option: IntArray,
    max_objects: int,
    universe: np.ndarray,
    unseen: bool,
    twins: bool,
) -> Scene:
    """N scenes, such that the answer to question i is `option` (N,); see `sample`."""
    shares, count = _numbers(draws, questions.form, option, max_objects, 3 if unseen else 2)
    if twins:
        count = count.reshape(-1, 2).max(axis=1).repeat(2)
    wanted = _wanted(draws, questions, option, universe)
    objects = []
    novel = np.full(len(questions), not unseen)  # is there one already, or is none needed?
    for k in range(max_objects):
        near = (draws.below(2) == 0) & (k > 0 or not unseen)  # leaves room for one novel object
        allowed = _allowed(k, questions, shares, wanted, universe, near)
        held = allowed & HELD_OUT & (~novel & (k < count))[:, None]
        novel |= held.any(axis=1)
        objects.append(draws.pick(np.where(held.any(axis=1, keepdims=True), held, allowed)))
    cells = _cells(draws, questions.form, option)[:, :max_objects]
    return _scene(draws, np.stack(objects, axis=1), cells, count)


def _numbers(
    draws: Draws, form: IntArray, option: IntArray, max_objects: int, fewest: int
) -> tuple[IntArray, IntArray]:
    """How many objects match the first and the second descriptor (N, 2), and how many there are.

    The number of objects in the scene tells nothing of the answer, but where it is counted.
    """
    low = np.where(form == COUNT, np.maximum(option, fewest), fewest)
    count = low + draws.below(max_objects + 1 - low)
    first, second = SHARES.T
    truth = np.ones((len(FORMS), len(SHARES)), dtype=bool)
    truth[MORE:RELATE] = first > second, first < second, first == second
    fits = first + second <= count[:, None]
    compared = SHARES[draws.pick(fits & (truth[form] == (option == YES)[:, None]))]
    found = np.where(option == YES, 1 + draws.below(2), 0)
    shares = np.stack([np.ones_like(form), MENTIONS_TWO[form]], axis=1)  # of "the" objects
    shares[:, 0] = np.select([form == EXIST, form == COUNT], [found, option], shares[:, 0])
    compares = (form >= MORE) & (form < RELATE)
    return np.where(compares[:, None], compared, shares), count


def _wanted(
    draws: Draws, questions: Questions, option: IntArray, universe: np.ndarray
) -> np.ndarray:
    """(N, 2, 96) bool: the objects that have the value that the answer demands of each referent."""
    form, attribute = questions.form, ATTRIBUTE_OF[questions.form]
    mentioned = np.stack([questions.first, questions.second], axis=1)
    values = values_of(universe)[mentioned, attribute[:, None]]  # [N, 2, OPTIONS]
    first = np.where((form >= QUERY) & (form < SAME), option, draws.pick(values.all(axis=1)))
    others = values[:, 1] & (np.arange(values.shape[2]) != first[:, None])
    second = np.where(option == YES, first, draws.pick(others))
    free = (attribute < 0)[:, None, None]
    return HAS[attribute[:, None], np.stack([first, second], axis=1)] | free


def _allowed(
    k: int,
    questions: Questions,
    shares: IntArray,
    wanted: np.ndarray,
    universe: np.ndarray,
    prefer_near: np.ndarray,
) -> np.ndarray:
    """(N, 96) bool: what object k may be.

    First come those that match the first descriptor, then those that match the second. The rest
    match neither; where `prefer_near` (N,) they share something with the first, if any such exists.
    """
    first, second = MATCH[questions.first], MATCH[questions.second] & questions.two[:, None]
    outside = universe & ~first & ~second
    near = outside & NEAR[questions.first] & prefer_near[:, None]
    rest = np.where(near.any(axis=1, keepdims=True), near, outside)
    is_first, is_second = k < shares[:, :1], k < shares.sum(axis=1, keepdims=True)
    second = np.where(is_second, second & wanted[:, 1] & universe, rest)
    return np.where(is_first, first & wanted[:, 0] & universe, second)


def _cells(draws: Draws, form: IntArray, option: IntArray) -> IntArray:
    """(N, 9) the cells in a random order, in which the first two stand as the answer demands.

    Where the answer to a relation is no, its inverse holds.
    """
    keys = np.stack([draws.word() for _ in range(9)], axis=1)
    pair = draws.pick(STANDS[np.maximum(form - RELATE, 0)])
    places = np.stack(np.divmod(pair, 9), axis=1)  # [N, 2]
    places = np.where((option == YES)[:, None], places, places[:, ::-1])
    rows = np.flatnonzero(form >= RELATE)
    keys[rows[:, None], places[rows]] = (-2, -1)
    return keys.argsort(axis=1, kind="stable")


def _scene(draws: Draws, objects: IntArray, cells: IntArray, count: IntArray) -> Scene:
    """The scene of `objects` (N, K) at `cells` (N, K), the first `count` (N,), in reading order."""
    n, most = objects.shape
    absent = np.arange(most) >= count[:, None]
    offset = np.stack([draws.below(OFFSETS) for _ in range(2 * most)], axis=1).reshape(n, most, 2)
    order = np.where(absent, 9, cells).argsort(axis=1, kind="stable")
    size, colour, shape = np.moveaxis(OBJECTS[objects], 2, 0)
    parts = {"shape": shape, "colour": colour, "size": size, "position": cells}
    sorted_parts = {
        key: np.take_along_axis(np.where(absent, -1, part), order, axis=1)
        for key, part in parts.items()
    }
    offset = np.take_along_axis(np.where(absent[..., None], -1, offset), order[..., None], axis=1)
    wording = np.stack([draws.below(WORDINGS), draws.below(WORDINGS)], axis=1)
    return Scene(count, draws.below(BACKGROUNDS), offset=offset, wording=wording, **sorted_parts)
