"""Questions about a `Scene`: their forms, what they can mention, and their true answers.

Knows which questions there are and evaluates them exactly. Does not know how they are put into
words (`words.py`) or drawn at random (`sample.py`).

A question has one of 15 forms and mentions one or two descriptors, such as "red", "circle" or
"small red", each of which picks out the objects that match it. Forms that speak of "the" object
suppose that exactly one matches.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from mmtutor import checks
from mmtutor.data.shapes.captions import COLOURS_ZH, SHAPES_ZH, SIZES_ZH
from mmtutor.data.shapes.draws import IntArray, whole
from mmtutor.data.shapes.scene import COLOURS, HELD_OUT_SHAPE, RELATIONS, SHAPES, SIZES, Scene

MOST_OBJECTS = 5
WORDINGS = 6  # of a question, in each language
ATTRIBUTES = ("size", "colour", "shape")
VALUES = dict(zip(ATTRIBUTES, (SIZES, COLOURS, SHAPES), strict=True))
BOUNDS = tuple(len(values) for values in VALUES.values())  # (2, 8, 6)

TYPES = ("exist", "count", "query", "compare", "relate")
FORMS = (
    *("exist", "count"),
    *(f"query {attribute}" for attribute in ATTRIBUTES),
    *(f"same {attribute}" for attribute in ATTRIBUTES),
    *("more", "fewer", "equal"),
    *RELATIONS,
)
EXIST, COUNT, QUERY, SAME, MORE, RELATE = 0, 1, 2, 5, 8, 11  # the first form of each kind
FORMS_OF = {
    "exist": range(EXIST, COUNT),
    "count": range(COUNT, QUERY),
    "query": range(QUERY, SAME),
    "compare": range(SAME, RELATE),
    "relate": range(RELATE, len(FORMS)),
}
TYPE_OF_FORM = np.array([t for t, kind in enumerate(TYPES) for _ in FORMS_OF[kind]])
MENTIONS_TWO = np.arange(len(FORMS)) >= SAME
QUERIES = np.isin(np.arange(len(FORMS)), FORMS_OF["query"])
# Which attribute a form asks for, an index into ATTRIBUTES; -1 where it asks for none.
ATTRIBUTE_OF = np.array([-1, -1, 0, 1, 2, 0, 1, 2, -1, -1, -1, -1, -1, -1, -1])

YES, NO = 0, 1
ANSWERS = ("yes", "no", *map(str, range(MOST_OBJECTS + 1)), *SIZES, *COLOURS, *SHAPES)
ANSWERS_ZH = ("是", "否", *ANSWERS[2 : MOST_OBJECTS + 3], *SIZES_ZH, *COLOURS_ZH, *SHAPES_ZH)
OPTIONS = max(BOUNDS)  # no form has more answers to choose from than there are colours
FIRST_ANSWER = np.array(  # label of each form's first option
    [0, 2, *(ANSWERS.index(values[0]) for values in VALUES.values()), *[0] * 10]
)

# Objects by their code in `Scene.object`, and descriptors: (size, colour, shape), -1 for any.
OBJECTS = np.array(list(product(*map(range, BOUNDS))))  # [96, 3]
DESCRIPTORS = np.array(list(product(*(range(-1, bound) for bound in BOUNDS))))  # [189, 3]
_equal = DESCRIPTORS[:, None] == OBJECTS  # [189, 96, 3]
MATCH = (_equal | (DESCRIPTORS < 0)[:, None]).all(axis=2)  # [189, 96] the object fits
NEAR = _equal.any(axis=2)  # [189, 96] something that the descriptor mentions is true of the object
HAS = np.stack([[OBJECTS[:, a] == v for v in range(OPTIONS)] for a in range(3)])  # [3, 8, 96]
HELD_OUT = HELD_OUT_SHAPE[OBJECTS[:, 1]] == OBJECTS[:, 2]  # [96]
# What there is in all splits but "unseen", and in "unseen": the objects, [2, 96], and the values of
# each attribute that objects have that fit a descriptor, [2, 189, 3, 8].
THERE = np.stack([~HELD_OUT, np.ones_like(HELD_OUT)])
VALUES_THERE = np.einsum("udm,avm->udav", MATCH & THERE[:, None], HAS)


@dataclass(frozen=True)
class Questions:
    """N questions.

    Attributes:
        form: (N,) index into FORMS.
        first, second: (N,) indices into DESCRIPTORS; the second means something only where
            MENTIONS_TWO[form].
        wording: (N, 2) which paraphrase asks in English and in Chinese.

    All int64. Raises TypeError or ValueError for other arrays.
    """

    form: IntArray
    first: IntArray
    second: IntArray
    wording: IntArray

    def __post_init__(self) -> None:
        last = len(DESCRIPTORS) - 1
        whole(
            form=(self.form, "N", 0, len(FORMS) - 1),
            first=(self.first, "N", 0, last),
            second=(self.second, "N", 0, last),
            wording=(self.wording, "N 2", 0, WORDINGS - 1),
        )

    def __len__(self) -> int:
        return len(self.form)

    @property
    def two(self) -> np.ndarray:
        """(N,) bool: does the question mention two descriptors?"""
        return MENTIONS_TWO[self.form]


def matching(questions: Questions, scene: Scene) -> np.ndarray:
    """(N, 2, K) bool: the objects that the first and the second descriptor pick out."""
    checks.instance(Questions, questions=questions)
    checks.instance(Scene, scene=scene)
    checks.same_length(questions=questions, scene=scene)
    mentioned = np.stack([questions.first, questions.second], axis=1)  # [N, 2]
    present = scene.shape >= 0  # [N, K]
    found = MATCH[mentioned[..., None], scene.object[:, None]] & present[:, None]
    found[:, 1] &= questions.two[:, None]
    return found


def evaluate(questions: Questions, scene: Scene) -> IntArray:
    """(N,) labels, indices into ANSWERS: the true answer to question i about scene i.

    "Left of" compares columns and "above" compares rows of the grid, whatever the other coordinate.
    For a form that speaks of "the" object, exactly one must match, which is not checked.
    """
    found = matching(questions, scene)
    first, second = found.sum(axis=2).T  # [N] each: how many match
    values = np.stack([scene.size, scene.colour, scene.shape, scene.position], axis=2)  # [N, K, 4]
    one, other = np.take_along_axis(values, found.argmax(axis=2)[..., None], axis=1).swapaxes(0, 1)
    (row, column), (other_row, other_column) = (divmod(which[:, 3], 3) for which in (one, other))
    truths = [
        *(first > 0, first),  # the second is a number, not a truth
        *one[:, :3].T,  # values
        *(one[:, :3] == other[:, :3]).T,
        *(first > second, first < second, first == second),
        *(column < other_column, column > other_column, row < other_row, row > other_row),
    ]
    options = np.stack([np.where(t, YES, NO) if t.dtype == bool else t for t in truths])  # [15, N]
    return FIRST_ANSWER[questions.form] + options[questions.form, np.arange(len(questions))]
