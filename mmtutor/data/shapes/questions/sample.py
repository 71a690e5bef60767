"""Questions and their answers at random, such that the question alone gives away least.

Knows how a question and then its answer are drawn. Does not know how a scene with that answer is
made (`shapes_questions_scene.py`), or words (`shapes_questions_words.py`).

The answer is drawn when only the question is known, evenly among all that some scene allows. So
nothing about a question, neither content nor wording, tells anything about its answer.
"""

from __future__ import annotations

import numpy as np

from mmtutor.data.shapes.questions.forms import (
    ATTRIBUTE_OF,
    COUNT,
    DESCRIPTORS,
    FORMS,
    FORMS_OF,
    HELD_OUT,
    MATCH,
    OPTIONS,
    RELATE,
    Questions,
)
from mmtutor.data.shapes.questions.scene import Draws, build, nth, values_of
from mmtutor.data.shapes.scene import IntArray, Scene

WORDINGS = 6
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
    **dict.fromkeys(FORMS[RELATE:], ("c", "s", "cs", "zs", "zc")),
}
# What decides a question's favourite answer: the shape it mentions first, else colour, else size.
_size, _colour, _shape = DESCRIPTORS.T
HEAD = np.where(_shape >= 0, _shape, np.where(_colour >= 0, _colour, _size))


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
    draws = Draws(n, stream, times=1 + twins)
    universe = np.ones_like(HELD_OUT) if unseen else ~HELD_OUT
    questions = _questions(draws, types, unseen)
    possible = _possible(questions, max_objects, universe)
    option = _options(draws, questions, possible, favourite)
    if twins:
        option = _different(draws, possible, option)
    return questions, build(draws, questions, option, max_objects, universe, unseen, twins)


def _questions(draws: Draws, types: tuple[str, ...], unseen: bool) -> Questions:
    """Type, form, kind of descriptor, descriptors: each drawn evenly, given those before."""
    spans = np.array([(FORMS_OF[kind].start, len(FORMS_OF[kind])) for kind in types])
    start, length = spans[draws.below(len(types))].T
    form = start + draws.below(length)
    tables = [[_descriptors(kind, unseen) for kind in KINDS[name]] for name in FORMS]
    kind = draws.below(np.array([len(table) for table in tables])[form])
    lengths = _padded([[len(entries) for entries in table] for table in tables])[form, kind]
    entries = _padded([_padded(table, 80) for table in tables])[form, kind]  # [N, 80]
    index = draws.below(lengths)
    second = (index + 1 + draws.below(lengths - 1)) % lengths  # another of the same kind
    rows = np.arange(len(form))
    wording = np.stack([draws.below(WORDINGS), draws.below(WORDINGS)], axis=1)
    return Questions(form, entries[rows, index], entries[rows, second], wording)


def _descriptors(kind: str, unseen: bool) -> IntArray:
    """All descriptors that mention just this, in order; both colour and shape: seen or unseen."""
    chosen = ((DESCRIPTORS >= 0) == [letter in kind for letter in "zcs"]).all(axis=1)
    if "cs" in kind:
        chosen &= (MATCH & (unseen == HELD_OUT)).any(axis=1)
    return np.flatnonzero(chosen)


def _padded(rows: list, width: int | None = None) -> IntArray:
    """Rows of different lengths in one array, filled up with 0."""
    width = width or max(map(len, rows))
    padded = np.zeros((len(rows), width, *np.shape(rows[0])[1:]), dtype=np.int64)
    for place, row in zip(padded, rows, strict=True):
        place[: len(row)] = row
    return padded


def _possible(questions: Questions, max_objects: int, universe: np.ndarray) -> np.ndarray:
    """(N, OPTIONS) bool: the answers that the question has in some scene of the universe."""
    option = np.arange(OPTIONS)
    truths = np.broadcast_to(option < 2, (len(FORMS), OPTIONS)).copy()
    truths[COUNT] = option <= max_objects
    asked = values_of(universe)[questions.first, ATTRIBUTE_OF[questions.form]]
    queries = np.char.startswith(FORMS, "query")[questions.form]
    return np.where(queries[:, None], asked, truths[questions.form])


def _options(
    draws: Draws, questions: Questions, possible: np.ndarray, favourite: int | None
) -> IntArray:
    """(N,) the answers: columns of `possible`."""
    even, biased = draws.pick(possible), draws.below(100) < BIAS
    if favourite is None:
        return even
    rank = (HEAD[questions.first] + favourite) % possible.sum(axis=1)
    first = nth(possible, rank)
    others = possible & (np.arange(OPTIONS) != first[:, None])
    return np.where(biased, first, draws.pick(others))


def _different(draws: Draws, possible: np.ndarray, option: IntArray) -> IntArray:
    """The same answers in even rows; in odd rows, an answer that is not that of the row before."""
    others = possible & (np.arange(OPTIONS) != option[:, None])
    return np.where(np.arange(len(option)) % 2 == 0, option, draws.pick(others))
