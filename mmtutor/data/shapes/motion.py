"""The `moving-shapes` dataset: short clips of `shapes` with captions and exact optical flow.

Knows how the objects of a `Scene` move and what their motion is called. Does not know how scenes
are drawn at random (`scene.py`) or what a shape looks like (`render.py`).

The world is a torus: what leaves a picture on one side comes back on the other. An object starts
anywhere with the same probability and moves by whole pixels, so in every single frame it is
anywhere with the same probability, *whatever its motion*. No single frame can tell the class.
A clip played backwards is as likely a clip of the opposite class (`OPPOSITE`), so no set of frames
without their order can tell a class from its opposite.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.dataset import Dataset
from mmtutor.data.shapes.captions import PHRASE, PHRASE_ZH
from mmtutor.data.shapes.draws import Draws, IntArray, whole
from mmtutor.data.shapes.render import FULL, MIN_PICTURE, PALETTE, SHADES, radii, stencils
from mmtutor.data.shapes.scene import MAX_OBJECTS, SIZES, SPLITS, Scene, scenes

MOTIONS = ("left", "right", "up", "down", "clockwise", "anticlockwise")
OPPOSITE = (1, 0, 3, 2, 5, 4)  # the motion of a clip played backwards
SPEEDS = (1, 2)  # pixels a frame of the first four motions; radius / 4 of an orbit in pixels
PHASES = 8  # frames in which an orbit closes

STEPS = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])  # (x, y), y points down
ORBIT = np.array(
    [(4, 0), (3, 3), (0, 4), (-3, 3), (-4, 0), (-3, -3), (0, -4), (3, -3)]
)  # clockwise
STREAM = 1  # keeps these random numbers apart from those of the scenes

VERBS = np.array(
    [
        ("moves to the left", "moves left"),
        ("moves to the right", "moves right"),
        ("moves up", "moves upwards"),
        ("moves down", "moves downwards"),
        ("moves in a circle clockwise", "circles clockwise"),
        ("moves in a circle anticlockwise", "circles anticlockwise"),
    ],
    dtype=object,
)
VERBS_ZH = np.array(
    [
        ("向左移动", "往左移动"),
        ("向右移动", "往右移动"),
        ("向上移动", "往上移动"),
        ("向下移动", "往下移动"),
        ("顺时针转圈", "按顺时针方向转圈"),
        ("逆时针转圈", "按逆时针方向转圈"),
    ],
    dtype=object,
)


def load(
    split: str = "train",
    n: int = 1_000,
    frames: int = 8,
    size: int = 32,
    seed: int = 0,
    max_objects: int = 1,
    motions: int = len(MOTIONS),
    with_flow: bool = False,
) -> Dataset:
    """N = n clips of `split`; the objects are those of `shapes`, and "unseen" means the same.

    Columns, F = frames, K = max_objects and S = size; int64 and -1 where an object is absent:
        video: (N, F, 3, S, S) uint8. A later object covers an earlier one.
        label: (N,) the motion of the first object, an index into MOTIONS, drawn evenly among the
            first `motions` of them (4 leaves out the orbits).
        motion: (N, K) the motion of each object.
        caption, caption_zh: N strings that name each object and its motion.
        centre: (N, F, K, 2) pixel (x, y) just right of and below the middle, in [0, S).
        shape, colour, size: (N, K) as in `shapes`.
        flow: (N, F - 1, 2, S, S) int8, only with `with_flow`: (right, down) in pixels, where what
            is seen at a pixel of frame t has gone in frame t + 1 (around the torus).
        masks: (N, F, K, S, S) bool, only with `with_flow`: pixels of frame t at least half covered
            by object k and not by a later one.

    Raises:
        ValueError: for an unknown split or an option out of range.
    """
    checks.at_least(MIN_PICTURE, size=size)
    checks.at_least(2, frames=frames)
    checks.one_of(range(1, len(MOTIONS) + 1), motions=motions)
    scene = scenes(split, n, seed, max_objects)
    motion, *others = _sample(scene, (seed, SPLITS.index(split), STREAM), size, motions)
    centre = paths(motion, *others, frames, size)  # [N, F, K, 2]
    absent = scene.shape < 0
    columns: dict[str, Tensor | list] = {
        "video": torch.from_numpy(_draw(scene, centre, size)),
        "label": torch.from_numpy(motion[:, 0].copy()),
        "caption": _sentences(scene, motion, PHRASE, VERBS, " ", " while "),
        "caption_zh": _sentences(scene, motion, PHRASE_ZH[:, 0], VERBS_ZH, "", "，"),
        "motion": torch.from_numpy(np.where(absent, -1, motion)),
        "centre": torch.from_numpy(np.where(absent[:, None, :, None], -1, centre)),
    }
    for key in ("shape", "colour", "size"):
        columns[key] = torch.from_numpy(getattr(scene, key))
    if with_flow:
        covered = _masks(scene, centre, size)
        columns["masks"] = torch.from_numpy(covered)
        columns["flow"] = torch.from_numpy(_flow(covered, centre, size))
    return Dataset(columns, name=f"moving-shapes/{split}")


def paths(
    motion: IntArray, speed: IntArray, start: IntArray, phase: IntArray, frames: int, size: int
) -> IntArray:
    """Centres (N, F, K, 2) in [0, size): where each object is in each frame, in whole pixels.

    Args:
        motion, speed, phase: (N, K), indices into MOTIONS, pixels as SPEEDS says, 0..PHASES-1.
        start: (N, K, 2) pixel (x, y) of the first frame, or the middle of the orbit.

    Raises TypeError or ValueError for other arrays, which are int64.
    """
    checks.at_least(1, frames=frames, size=size)
    whole(
        motion=(motion, "N K", 0, len(MOTIONS) - 1),
        speed=(speed, "N K", 1, max(SPEEDS)),
        start=(start, "N K 2", 0, size - 1),
        phase=(phase, "N K", 0, PHASES - 1),
    )
    time = np.arange(frames)[:, None]  # [F, 1]
    turn = np.where(motion == 4, 1, -1)[:, None] * time  # [N, F, K]
    orbit = ORBIT[(phase[:, None] + turn) % PHASES]  # [N, F, K, 2]
    line = STEPS[motion % 4][:, None] * time[..., None]
    gone = np.where((motion >= 4)[:, None, :, None], orbit, line)
    return (start[:, None] + speed[:, None, :, None] * gone) % size


def _draw(scene: Scene, centre: IntArray, size: int) -> np.ndarray:
    """Clips (N, F, 3, S, S) uint8 of the objects of `scene` at `centre` (N, F, K, 2)."""
    frames = centre.shape[1]
    clips = np.empty((len(scene), frames, 3, size, size), dtype=np.uint8)
    clips[:] = SHADES[scene.background][:, None, None, None, None]
    time = np.arange(frames)[:, None, None]
    for k, rows, y, x, coverage in _pastes(scene, centre, size):
        for channel in range(3):
            place = rows[:, None, None, None], time, channel, y, x
            tone = PALETTE[scene.colour[rows, k], channel][:, None, None, None]
            blend = clips[place] * (FULL - coverage) + tone * coverage + FULL // 2
            clips[place] = blend // FULL
    return clips


def _masks(scene: Scene, centre: IntArray, size: int) -> np.ndarray:
    """(N, F, K, S, S) bool: pixels at least half covered by object k and by no later one."""
    count, frames = centre.shape[:2]
    covered = np.zeros((count, frames, scene.max_objects, size, size), dtype=bool)
    time = np.arange(frames)[:, None, None]
    for k, rows, y, x, coverage in _pastes(scene, centre, size):
        rows = rows[:, None, None, None]
        seen = 2 * coverage >= FULL
        for earlier in range(k):
            covered[rows, time, earlier, y, x] &= ~seen
        covered[rows, time, k, y, x] = seen
    return covered


def _flow(covered: np.ndarray, centre: IntArray, size: int) -> np.ndarray:
    """(N, F - 1, 2, S, S) int8: the way (right, down) of what each pixel of frame t shows.

    Args:
        covered: `_masks` (N, F, K, S, S).
        centre: (N, F, K, 2) in [0, S); the shorter way around the torus is the way gone.
    """
    step = (np.diff(centre, axis=1) + size // 2) % size - size // 2  # [N, F - 1, K, 2]
    return np.einsum("nfkyx,nfkc->nfcyx", covered[:, :-1], step.astype(np.int8))


def _sample(scene: Scene, stream: tuple[int, ...], size: int, motions: int) -> tuple[IntArray, ...]:
    """Motion, speed (N, K), start (N, K, 2) and phase (N, K); example i depends on `stream` and i.

    The draws of three objects are set aside whatever K is, so that K does not change the first.
    """
    bounds = (motions, len(SPEEDS), size, size, PHASES)
    draws = Draws(len(scene), stream, len(bounds) * MAX_OBJECTS)
    each = np.stack([draws.each(*bounds) for _ in range(scene.max_objects)], axis=1)  # [N, K, 5]
    motion, speed, x, y, phase = np.moveaxis(each, -1, 0)
    return motion, np.array(SPEEDS)[speed], np.stack([x, y], axis=-1), phase


def _pastes(scene: Scene, centre: IntArray, size: int):
    """What to draw where: (k, rows (M,), y (M, F, P, 1), x (M, F, 1, P), coverage (M, 1, P, P)).

    Object by object, so that a later one covers an earlier one.
    """
    for k in range(scene.max_objects):
        for index, radius in zip(range(len(SIZES)), radii(size), strict=True):
            rows = np.flatnonzero(scene.size[:, k] == index)
            box = np.arange(-radius, radius)
            x, y = np.moveaxis(centre[rows, :, k, :, None] + box, 2, 0) % size  # [M, F, P] each
            coverage = stencils(radius)[scene.shape[rows, k]][:, None]
            yield k, rows, y[..., :, None], x[..., None, :], coverage


def _sentences(
    scene: Scene, motion: IntArray, phrases: np.ndarray, verbs: np.ndarray, space: str, link: str
) -> list[str]:
    """One sentence a clip; `phrases` (PHRASES, ...) name an object, `verbs` say its motion."""
    phrases = phrases if phrases.ndim == 1 else phrases[:, 0]
    said = phrases[scene.object] + space + verbs[motion, scene.wording[:, :1] % 2]  # [N, K]
    text = said[:, 0]
    for k in range(1, scene.max_objects):
        text = text + np.where(scene.count > k, link + said[:, k], "")
    return text.tolist()
