"""How much of a caption of `shapes` is true: its facts, read back, beside those of the scene.

Knows the sentences that `captions.english` writes, and parts of them. Does not know other
English. It is SPICE's idea (Anderson et al. 2016, F1 over the facts of a scene graph) where the
parser makes no mistakes and the scene is known exactly.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.shapes.captions import PLACE, RELATION
from mmtutor.data.shapes.scene import COLOURS, INVERSE, POSITIONS, RELATIONS, SHAPES, SIZES, Scene

Fact = tuple[str, ...]


def _either(words: Sequence[str]) -> str:
    return "|".join(sorted(words, key=len, reverse=True))


THING = re.compile(
    rf"a (?:({_either(SIZES)}) )?(?:({_either(COLOURS)}) )?({_either(SHAPES)})\b"
    rf"(?:,? (?:which )?(?:is )?({_either(list(PLACE.flat) + list(RELATION.flat))})\b)?"
)
SAYS = {name: POSITIONS[i] for i, names in enumerate(PLACE) for name in names}
SAYS |= {name: RELATIONS[i] for i, names in enumerate(RELATION) for name in names}


class _FactScore(NamedTuple):
    """Of each caption (N,) float64: true facts over facts said, over facts of the scene, and F1."""

    precision: Tensor
    recall: Tensor
    f1: Tensor


def facts_said(caption: str) -> frozenset[Fact]:
    """What a caption claims: shapes, their colours and sizes, places, relations.

    "a small red circle left of a ring" claims (circle,), (circle, red), (circle, small), (ring,),
    (circle, left of, ring). Relations name shapes alone, so that a wrong colour is one wrong
    fact; each is said in one direction, from the left or from above. A sentence about something
    else claims nothing.
    """
    checks.instance(str, caption=caption)
    found = [match.groups() for match in THING.finditer(caption)]
    facts: set[Fact] = set()
    for i, (size, colour, shape, where) in enumerate(found):
        facts |= {(shape,)} | {(shape, word) for word in (size, colour) if word}
        facts |= _stands(shape, SAYS.get(where), found[i + 1][2] if i + 1 < len(found) else None)
    return frozenset(facts)


def facts_of(scene: Scene) -> list[frozenset[Fact]]:
    """What is so in each of N scenes, in the same words, from the numbers behind the pictures."""
    checks.instance(Scene, scene=scene)
    return [_facts(scene, row) for row in range(len(scene))]


def fact_score(captions: Sequence[str], truth: Sequence[frozenset[Fact]]) -> _FactScore:
    """How true and how complete each caption is; one that claims nothing scores 0.

    Args:
        captions: N of them.
        truth: N sets of facts, as `facts_of` gives them, none of them empty.
    """
    captions = checks.listed(str, captions=captions)
    truth = checks.listed((frozenset, set), truth=truth)
    checks.same_length(captions=captions, truth=truth)
    if not all(truth):
        raise ValueError("truth must have a fact of every caption, got an empty set")
    said = [facts_said(caption) for caption in captions]
    counts = [(len(a & b), len(a), len(b)) for a, b in zip(said, truth, strict=True)]
    both, ours, theirs = torch.tensor(counts, dtype=torch.float64).T
    return _FactScore(both / ours.clamp(min=1), both / theirs, 2 * both / (ours + theirs))


def _facts(scene: Scene, row: int) -> frozenset[Fact]:
    count, facts = int(scene.count[row]), set()
    shapes = [SHAPES[code] for code in scene.shape[row, :count]]
    for k, shape in enumerate(shapes):
        facts |= {(shape,), (shape, COLOURS[scene.colour[row, k]])}
        facts |= {(shape, SIZES[scene.size[row, k]])}
    if count == 1:
        return frozenset(facts | _stands(shapes[0], POSITIONS[scene.position[row, 0]], None))
    for k in range(count - 1):
        facts |= _stands(shapes[k], RELATIONS[scene.relation[row, k]], shapes[k + 1])
    return frozenset(facts)


def _stands(shape: str, where: str | None, other: str | None) -> set[Fact]:
    """A place, or a relation to the next object, said from the left or from above."""
    if where in RELATIONS:
        if other is None:
            return set()
        if where in ("right of", "below"):
            shape, other = other, shape
            where = RELATIONS[INVERSE[RELATIONS.index(where)]]
        return {(shape, where, other)}
    return {(shape, where)} if where else set()
