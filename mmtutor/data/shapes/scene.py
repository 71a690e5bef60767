"""What is in a `shapes` example: vocabulary, the `Scene` struct, sampling, relations and meaning.

Knows the attributes and the rules of composition. Does not know pixels (`render.py`) or words
in a sentence (`captions.py`). Questions, sound and video are made from the same
`Scene`.

A scene of `scenes` holds 1 to 3 objects in the cells of a 3 x 3 grid. Object k + 1 stands in the
same row or the same column as object k, and object k + 2 does not share a line with object k, so
that "left of" (same row), "above" (same column) and their inverses hold for exactly one way of
saying the scene.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mmtutor import checks
from mmtutor.data.shapes.draws import Draws, IntArray, whole

SPLITS = ("train", "val", "test", "unseen")
SHAPES = ("circle", "square", "triangle", "star", "cross", "ring")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "black")
SIZES = ("small", "large")
RELATIONS = ("left of", "right of", "above", "below")
POSITIONS = (
    *("top left", "top centre", "top right"),
    *("middle left", "middle", "middle right"),
    *("bottom left", "bottom centre", "bottom right"),
)
BACKGROUNDS = 4
MAX_OBJECTS = 3
WORDINGS = 12
OFFSETS = 1024

INVERSE = np.array([1, 0, 3, 2])  # of each relation
PHRASES = len(SIZES) * len(COLOURS) * len(SHAPES)
# One shape of each colour, (8,), appears in split "unseen" alone; the other five, (8, 5), anywhere.
HELD_OUT_SHAPE = (np.arange(len(COLOURS)) + 4) % len(SHAPES)
SEEN_SHAPES = (HELD_OUT_SHAPE[:, None] + np.arange(1, len(SHAPES))) % len(SHAPES)

WORDS = 32  # random ones set aside for each example


# The shape of each part of a `Scene`, and its lowest and highest value.
RULES = {
    "count": ("N", 1, len(POSITIONS)),
    "background": ("N", 0, BACKGROUNDS - 1),
    "shape": ("N K", -1, len(SHAPES) - 1),
    "colour": ("N K", -1, len(COLOURS) - 1),
    "size": ("N K", -1, len(SIZES) - 1),
    "position": ("N K", -1, len(POSITIONS) - 1),
    "offset": ("N K 2", -1, OFFSETS - 1),
    "wording": ("N 2", 0, WORDINGS - 1),
}


@dataclass(frozen=True)
class Scene:
    """N scenes of at most K objects, in the order in which captions mention them; -1: absent.

    Attributes:
        count: (N,) number of objects, 1..K.
        background: (N,) index of the grey shade, 0..BACKGROUNDS-1 from light to dark.
        shape, colour, size: (N, K) indices into SHAPES, COLOURS, SIZES.
        position: (N, K) grid cell, row-major, an index into POSITIONS.
        offset: (N, K, 2) place (x, y) within the free room of the cell, 0..OFFSETS-1.
        wording: (N, 2) which paraphrase says it in English and in Chinese, 0..WORDINGS-1.

    All int64, and free of any picture size. Raises TypeError or ValueError for other arrays.
    """

    count: IntArray
    background: IntArray
    shape: IntArray
    colour: IntArray
    size: IntArray
    position: IntArray
    offset: IntArray
    wording: IntArray

    def __post_init__(self) -> None:
        whole(**{key: (getattr(self, key), *rule) for key, rule in RULES.items()})

    def __len__(self) -> int:
        return len(self.count)

    @property
    def max_objects(self) -> int:
        """K: how many objects a scene can hold."""
        return self.shape.shape[1]

    @property
    def object(self) -> IntArray:
        """(N, K) size, colour and shape as one number in 0..PHRASES-1; -1 where absent."""
        code = (self.size * len(COLOURS) + self.colour) * len(SHAPES) + self.shape
        return np.where(self.shape < 0, -1, code)

    @property
    def relation(self) -> IntArray:
        """(N, K - 1) how object k stands to object k + 1, an index into RELATIONS; -1: absent."""
        row, column = np.divmod(self.position, 3)
        beside = np.where(column[:, :-1] < column[:, 1:], 0, 1)
        stacked = np.where(row[:, :-1] < row[:, 1:], 2, 3)
        relation = np.where(row[:, :-1] == row[:, 1:], beside, stacked)
        return np.where(self.position[:, 1:] < 0, -1, relation)


def scenes(split: str = "train", n: int = 10_000, seed: int = 0, max_objects: int = 2) -> Scene:
    """The N = n scenes behind `shapes`, to make other things of; fewer are a prefix of more.

    Scene i depends on split, seed and i alone. Colours within a scene differ. In split "unseen" one
    object of each scene has a colour and shape that are otherwise never combined; in the other
    splits none has. Equal on every platform, see `Draws`.

    Raises:
        ValueError: for an unknown split or an option out of range.
    """
    checks.one_of(SPLITS, split=split)
    checks.at_least(1, n=n)
    checks.at_least(0, seed=seed)
    checks.one_of(range(1, MAX_OBJECTS + 1), max_objects=max_objects)
    draws = Draws(n, (seed, SPLITS.index(split)), WORDS)
    count = 1 + draws.below(max_objects)
    background, wording = draws.below(BACKGROUNDS), draws.each(WORDINGS, WORDINGS)
    order = np.stack([draws.word() for _ in COLOURS], axis=1).argsort(axis=1, kind="stable")
    colour = order[:, :MAX_OBJECTS]
    novel = (split == "unseen") & (np.arange(MAX_OBJECTS) == draws.below(count)[:, None])
    seen = SEEN_SHAPES[colour, draws.each(*[SEEN_SHAPES.shape[1]] * MAX_OBJECTS)]
    shape = np.where(novel, HELD_OUT_SHAPE[colour], seen)
    size = draws.each(*[len(SIZES)] * MAX_OBJECTS)
    offset = np.stack([draws.each(*[OFFSETS] * MAX_OBJECTS) for _ in "xy"], axis=2)
    position = _positions(draws.below(9), draws.below(2), draws.each(2, 2).T)

    absent = np.arange(max_objects) >= count[:, None]  # [N, K]
    parts = {"shape": shape, "colour": colour, "size": size, "position": position}
    padded = {key: np.where(absent, -1, part[:, :max_objects]) for key, part in parts.items()}
    offset = np.where(absent[..., None], -1, offset[:, :max_objects])
    return Scene(count, background, offset=offset, wording=wording, **padded)


def meaning(scene: Scene) -> IntArray:
    """(N,) a number that is equal for two scenes exactly when their captions mean the same.

    What a caption says: the size, colour and shape of each object; the cell of a lone object; the
    relation of each object to the next. "A left of B" and "B right of A" are one meaning.
    """
    checks.instance(Scene, scene=scene)
    checks.one_of(range(1, MAX_OBJECTS + 1), max_objects=scene.max_objects)
    ids = np.zeros(len(scene), dtype=np.int64)
    for count in range(1, scene.max_objects + 1):
        rows = scene.count == count
        objects, relation = scene.object[rows, :count], scene.relation[rows, : count - 1]
        forward = _chain(objects, relation)
        backward = _chain(objects[:, ::-1], INVERSE[relation[:, ::-1]])
        place = scene.position[rows, 0] if count == 1 else 0
        ids[rows] = (np.minimum(forward, backward) * 9 + place) * MAX_OBJECTS + count - 1
    return ids


def exchange_colours(scene: Scene) -> Scene:
    """The scenes with the first two objects' colours exchanged: same words, another meaning."""
    checks.instance(Scene, scene=scene)
    colour = scene.colour.copy()
    pairs = scene.count >= 2
    colour[pairs, :2] = colour[pairs, 1::-1]
    return replace(scene, colour=colour)


def _positions(first: IntArray, axis: IntArray, steps: IntArray) -> IntArray:
    """(N, MAX_OBJECTS) cells of a walk along row and column in turn, 1 or 2 cells a step.

    steps: (MAX_OBJECTS - 1, N), 0 or 1.
    """
    row, column = np.divmod(first, 3)
    cells = [first]
    for step in steps:
        row = np.where(axis == 0, row, (row + 1 + step) % 3)
        column = np.where(axis == 0, (column + 1 + step) % 3, column)
        cells.append(3 * row + column)
        axis = 1 - axis
    return np.stack(cells, axis=1)


def _chain(objects: IntArray, relation: IntArray) -> IntArray:
    """(M,) one number for object, relation, object, ... ; objects (M, C), relation (M, C - 1)."""
    code = objects[:, 0]
    for k in range(relation.shape[1]):
        code = (code * len(RELATIONS) + relation[:, k]) * PHRASES + objects[:, k + 1]
    return code
