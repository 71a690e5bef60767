"""Questions and answers at random, such that the question alone gives away least, and their scenes.

Knows how a question and then its answer are drawn, and how a scene is made in which the question
has that answer: how many objects must match, which may stand beside them and where. Does not know
words (`words.py`).

The answer is drawn when only the question is known, evenly among all that some scene allows. So
nothing about a question, neither content nor wording, tells anything about its answer.
"""

from __future__ import annotations

from itertools import product

import numpy as np

from mmtutor.data.shapes.draws import Draws, IntArray
from mmtutor.data.shapes.questions import forms
from mmtutor.data.shapes.questions.forms import Questions
from mmtutor.data.shapes.scene import BACKGROUNDS, OFFSETS, WORDINGS, Scene

WORDS = 64  # random ones set aside for each example
BIAS = 85  # per cent of the answers to a question that are its favourite, if priors are biased

# The kinds of descriptor of each form, by what they mention: z size, c colour, s shape.
KINDS = {
    "exist": ("c", "s", "cs", "zs", "zc", "zcs"),
    "count": ("z", "c", "s", "cs", "zs", "zc"),
    "query size": ("c", "s", "cs"),
    "query colour": ("s", "zs"),
    "query shape": ("c", "zc"),
    "same size": ("c", "s", "cs"),
    "same colour": ("s", "zs"),
    "same shape": ("c", "zc"),
    **dict.fromkeys(("more", "fewer", "equal"), ("c", "s", "cs")),
    **dict.fromkeys(forms.FORMS[forms.RELATE :], ("c", "s", "cs", "zs", "zc")),
}
# What decides a question's favourite answer: the shape it mentions first, else colour, else size.
_size, _colour, _shape = forms.DESCRIPTORS.T
HEAD = np.where(_shape >= 0, _shape, np.where(_colour >= 0, _colour, _size))
SHARES = np.array(list(product(range(forms.MOST_OBJECTS + 1), repeat=2)))  # [36, 2]
_row, _column = np.divmod(np.arange(9), 3)
_left, _above = _column[:, None] < _column, _row[:, None] < _row  # [9, 9] from cell, to cell
STANDS = np.stack([_left, _left.T, _above, _above.T]).reshape(4, 81)  # as RELATIONS


def sample(
    n: int,
    stream: tuple[int, ...],
    max_objects: int,
    types: tuple[str, ...],
    unseen: bool = False,
    favourite: int | None = None,
    twins: bool = False,
) -> tuple[Questions, Scene]:
    """n questions, each with a scene of 2 to `max_objects` objects in reading order.

    Args:
        stream: names the random stream; fewer questions are a prefix of more.
        unseen: descriptors of colour and shape name pairs that are otherwise never combined, and of
            3 or more objects at least one is such a pair; without it none is.
        favourite: None for even answers; else BIAS per cent of the answers are, of those that are
            possible, number HEAD + favourite, counted round.
        twins: 2n rows; rows 2k and 2k + 1 have the same question, different answers, and scenes
            that differ in no more than the answers demand.
    """
    draws = Draws(n, stream, WORDS, times=1 + twins)
    questions = _questions(draws, types, unseen)
    possible = _possible(questions, max_objects, unseen)
    option = _options(draws, questions, possible, favourite)
    if twins:  # in odd rows, an answer that is not that of the row before
        others = _without(possible, option)
        option = np.where(np.arange(len(option)) % 2 == 0, option, draws.pick(others))
    return questions, _build(draws, questions, option, max_objects, unseen, twins)


def _questions(draws: Draws, types: tuple[str, ...], unseen: bool) -> Questions:
    """Type, form, kind of descriptor, descriptors: each drawn evenly, given those before."""
    spans = np.array([(forms.FORMS_OF[kind].start, len(forms.FORMS_OF[kind])) for kind in types])
    start, length = spans[draws.below(len(types))].T
    form = start + draws.below(length)
    kinds = np.array([len(KINDS[name]) for name in forms.FORMS])  # of each form
    listed = np.stack([_descriptors(kind, unseen) for name in forms.FORMS for kind in KINDS[name]])
    entries = (~listed).argsort(axis=1, kind="stable")  # [kinds, 189], those listed first
    kind = (kinds.cumsum() - kinds)[form] + draws.below(kinds[form])
    many = listed.sum(axis=1)[kind]
    index = draws.below(many)
    second = (index + 1 + draws.below(many - 1)) % many  # another of the same kind
    wording = draws.each(forms.WORDINGS, forms.WORDINGS)
    return Questions(form, entries[kind, index], entries[kind, second], wording)


def _descriptors(kind: str, unseen: bool) -> np.ndarray:
    """(189,) bool: the descriptors that mention just this; of colour and shape, those `unseen`."""
    chosen = ((forms.DESCRIPTORS >= 0) == [letter in kind for letter in "zcs"]).all(axis=1)
    if "cs" in kind:
        chosen &= (forms.MATCH & (unseen == forms.HELD_OUT)).any(axis=1)
    return chosen


def _possible(questions: Questions, max_objects: int, unseen: bool) -> np.ndarray:
    """(N, OPTIONS) bool: the answers that the question has in some scene of what there is."""
    option = np.arange(forms.OPTIONS)
    truths = np.broadcast_to(option < 2, (len(forms.FORMS), forms.OPTIONS)).copy()
    truths[forms.COUNT] = option <= max_objects
    asked = forms.VALUES_THERE[int(unseen), questions.first, forms.ATTRIBUTE_OF[questions.form]]
    return np.where(forms.QUERIES[questions.form, None], asked, truths[questions.form])


def _options(
    draws: Draws, questions: Questions, possible: np.ndarray, favourite: int | None
) -> IntArray:
    """(N,) the answers: columns of `possible`."""
    even, biased = draws.pick(possible), draws.below(100) < BIAS
    if favourite is None:
        return even
    rank = (HEAD[questions.first] + favourite) % possible.sum(axis=1)
    first = Draws.nth(possible, rank)
    return np.where(biased, first, draws.pick(_without(possible, first)))


def _without(possible: np.ndarray, option: IntArray) -> np.ndarray:
    """`possible` (N, OPTIONS), but not the option (N,) of each row."""
    return possible & (np.arange(forms.OPTIONS) != option[:, None])


def _build(
    draws: Draws,
    questions: Questions,
    option: IntArray,
    max_objects: int,
    unseen: bool,
    twins: bool,
) -> Scene:
    """N scenes, such that the answer to question i is `option` (N,); see `sample`."""
    shares, count = _numbers(draws, questions.form, option, max_objects, 3 if unseen else 2)
    if twins:
        count = count.reshape(-1, 2).max(axis=1).repeat(2)
    wanted = _wanted(draws, questions, option, unseen)
    objects = []
    novel = np.full(len(questions), not unseen)  # is there one already, or is none needed?
    for k in range(max_objects):
        near = (draws.below(2) == 0) & (k > 0 or not unseen)  # leaves room for one novel object
        allowed = _allowed(k, questions, shares, wanted, forms.THERE[int(unseen)], near)
        held = allowed & forms.HELD_OUT & (~novel & (k < count))[:, None]
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
    low = np.where(form == forms.COUNT, np.maximum(option, fewest), fewest)
    count = low + draws.below(max_objects + 1 - low)
    first, second = SHARES.T
    truth = np.ones((len(forms.FORMS), len(SHARES)), dtype=bool)
    truth[forms.MORE : forms.RELATE] = first > second, first < second, first == second
    fits = first + second <= count[:, None]
    compared = SHARES[draws.pick(fits & (truth[form] == (option == forms.YES)[:, None]))]
    found = np.where(option == forms.YES, 1 + draws.below(2), 0)
    shares = np.stack([np.ones_like(form), forms.MENTIONS_TWO[form]], axis=1)  # of "the" objects
    exists, counts = form == forms.EXIST, form == forms.COUNT
    shares[:, 0] = np.select([exists, counts], [found, option], shares[:, 0])
    compares = (form >= forms.MORE) & (form < forms.RELATE)
    return np.where(compares[:, None], compared, shares), count


def _wanted(draws: Draws, questions: Questions, option: IntArray, unseen: bool) -> np.ndarray:
    """(N, 2, 96) bool: the objects that have the value that the answer demands of each referent."""
    form, attribute = questions.form, forms.ATTRIBUTE_OF[questions.form]
    mentioned = np.stack([questions.first, questions.second], axis=1)
    values = forms.VALUES_THERE[int(unseen)][mentioned, attribute[:, None]]  # [N, 2, OPTIONS]
    first = np.where(forms.QUERIES[form], option, draws.pick(values.all(axis=1)))
    second = np.where(option == forms.YES, first, draws.pick(_without(values[:, 1], first)))
    free = (attribute < 0)[:, None, None]
    return forms.HAS[attribute[:, None], np.stack([first, second], axis=1)] | free


def _allowed(
    k: int,
    questions: Questions,
    shares: IntArray,
    wanted: np.ndarray,
    there: np.ndarray,
    prefer_near: np.ndarray,
) -> np.ndarray:
    """(N, 96) bool: what object k may be.

    First come those that match the first descriptor, then those that match the second. The rest
    match neither; where `prefer_near` (N,) they share something with the first, if any such exists.
    """
    first = forms.MATCH[questions.first]
    second = forms.MATCH[questions.second] & questions.two[:, None]
    outside = there & ~first & ~second
    near = outside & forms.NEAR[questions.first] & prefer_near[:, None]
    rest = np.where(near.any(axis=1, keepdims=True), near, outside)
    is_first, is_second = k < shares[:, :1], k < shares.sum(axis=1, keepdims=True)
    second = np.where(is_second, second & wanted[:, 1] & there, rest)
    return np.where(is_first, first & wanted[:, 0] & there, second)


def _cells(draws: Draws, form: IntArray, option: IntArray) -> IntArray:
    """(N, 9) the cells in a random order, in which the first two stand as the answer demands.

    Where the answer to a relation is no, its inverse holds.
    """
    keys = np.stack([draws.word() for _ in range(9)], axis=1)
    pair = draws.pick(STANDS[np.maximum(form - forms.RELATE, 0)])
    places = np.stack(np.divmod(pair, 9), axis=1)  # [N, 2]
    places = np.where((option == forms.YES)[:, None], places, places[:, ::-1])
    rows = np.flatnonzero(form >= forms.RELATE)
    keys[rows[:, None], places[rows]] = (-2, -1)
    return keys.argsort(axis=1, kind="stable")


def _scene(draws: Draws, objects: IntArray, cells: IntArray, count: IntArray) -> Scene:
    """The scene of `objects` (N, K) at `cells` (N, K), the first `count` (N,), in reading order."""
    n, most = objects.shape
    absent = np.arange(most) >= count[:, None]
    offset = draws.each(*[OFFSETS] * (2 * most)).reshape(n, most, 2)
    order = np.where(absent, 9, cells).argsort(axis=1, kind="stable")
    size, colour, shape = np.moveaxis(forms.OBJECTS[objects], 2, 0)
    parts = {"shape": shape, "colour": colour, "size": size, "position": cells}
    sorted_parts = {
        key: np.take_along_axis(np.where(absent, -1, part), order, axis=1)
        for key, part in parts.items()
    }
    offset = np.take_along_axis(np.where(absent[..., None], -1, offset), order[..., None], axis=1)
    wording = draws.each(WORDINGS, WORDINGS)
    return Scene(count, draws.below(BACKGROUNDS), offset=offset, wording=wording, **sorted_parts)
