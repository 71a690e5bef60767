"""Captions of `shapes` scenes that are known to be right, half right or wrong.

Knows how to say a scene in every wording, and how to change one thing in a scene. Does not know
how captions are scored.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from mmtutor import checks
from mmtutor.data.shapes.captions import english
from mmtutor.data.shapes.scene import COLOURS, SHAPES, Scene, exchange_colours

WORDINGS = 6  # different English captions of one scene
VARIANTS = (
    *("same in other words", "said from the other side", "one half", "wrong size"),
    *("wrong colour", "colours exchanged", "wrong side", "wrong shape", "another scene"),
)


def wordings(scene: Scene, n: int = WORDINGS) -> list[list[str]]:
    """For each of N scenes n different captions that say the same, 1 <= n <= 6."""
    checks.instance(Scene, scene=scene)
    checks.one_of(range(1, WORDINGS + 1), n=n)
    said = [english(_in_wording(scene, k)) for k in range(n)]
    return [list(captions) for captions in zip(*said, strict=True)]


def variants(scene: Scene) -> Iterator[tuple[str, list[str]]]:
    """Each of VARIANTS with its N captions of scenes of two objects, all in the last wording.

    The first two are true and complete, "one half" is true and names the first object alone; each
    of the others changes what its name says (of the first object) and is false.

    Raises ValueError if a scene has not two objects.
    """
    checks.instance(Scene, scene=scene)
    if (scene.count != 2).any() or scene.max_objects != 2:
        raise ValueError("scene must be of two objects everywhere")
    scene = _in_wording(scene, WORDINGS - 1)
    other = replace(scene, **{k: np.roll(getattr(scene, k), 1, axis=0) for k in THINGS})
    changed = (
        *(scene, _backwards(scene, THINGS), _in_wording(scene, 0)),
        *(_first(scene, "size", 2, 1), _first(scene, "colour", len(COLOURS), 1)),
        *(exchange_colours(scene), _backwards(scene, ("position",))),
        *(_first(scene, "shape", len(SHAPES), 1), other),
    )
    for name, said in zip(VARIANTS, map(english, changed), strict=True):
        if name == "one half":
            said = [" ".join(caption.split()[:4]) for caption in said]  # a small red circle
        yield name, said


THINGS = ("shape", "colour", "size", "position")


def _in_wording(scene: Scene, k: int) -> Scene:
    return replace(scene, wording=np.full_like(scene.wording, k))


def _backwards(scene: Scene, what: tuple[str, ...]) -> Scene:
    """The second object first, in these respects."""
    return replace(scene, **{key: getattr(scene, key)[:, ::-1] for key in what})


def _first(scene: Scene, what: str, kinds: int, step: int) -> Scene:
    """The first object of another kind, one that the second is not either, if there is one."""
    kind = getattr(scene, what).copy()
    new = (kind[:, 0] + step) % kinds
    if kinds > 2:
        new = np.where(new == kind[:, 1], (new + step) % kinds, new)
    kind[:, 0] = new
    return replace(scene, **{what: kind})
