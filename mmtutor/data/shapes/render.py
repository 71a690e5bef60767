"""Pixels of a `Scene`: pictures and object masks.

Knows outlines, colours and where a cell lies. Does not know captions or how scenes are drawn at
random. Each shape and size has one stencil of coverage in sixteenths, found by integer inequalities
on a 4 x 4 subgrid of every pixel; a picture is its background with stencils blended in. Integers
only: the bytes are the same on every platform.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mmtutor import checks
from mmtutor.data.shapes.scene import OFFSETS, SIZES, IntArray, Scene

PALETTE = np.array(
    [
        (214, 39, 40),  # red
        (255, 140, 0),  # orange
        (250, 215, 0),  # yellow
        (44, 150, 60),  # green
        (35, 90, 220),  # blue
        (130, 60, 170),  # purple
        (255, 130, 190),  # pink
        (20, 20, 20),  # black
    ]
)
SHADES = np.array([250, 230, 210, 190])
MIN_PICTURE = 32
SUBGRID = 4
FULL = SUBGRID**2


class _Paste(NamedTuple):
    """M stencils of one size, all for the k-th object of their scene."""

    k: int
    rows: IntArray  # (M,) which scenes
    y: IntArray  # (M, P, 1) pixel rows
    x: IntArray  # (M, 1, P) pixel columns
    coverage: IntArray  # (M, P, P) in 0..FULL


def render(scene: Scene, picture_size: int) -> np.ndarray:
    """Pictures (N, 3, S, S) uint8 of the scenes, S = picture_size >= MIN_PICTURE."""
    checks.instance(Scene, scene=scene)
    checks.at_least(MIN_PICTURE, picture_size=picture_size)
    shade = SHADES[scene.background]
    pictures = np.empty((len(scene), 3, picture_size, picture_size), dtype=np.uint8)
    pictures[:] = shade[:, None, None, None]
    for k, rows, y, x, coverage in _pastes(scene, picture_size):
        ground = (shade[rows, None, None] * (FULL - coverage)).astype(np.uint16)  # [M, P, P]
        for channel in range(3):
            tone = PALETTE[scene.colour[rows, k], channel]  # [M]
            blend = (ground + tone[:, None, None] * coverage + FULL // 2) // FULL
            pictures[rows[:, None, None], channel, y, x] = blend
    return pictures


def masks(scene: Scene, picture_size: int) -> np.ndarray:
    """(N, K, S, S) bool: pixels at least half covered by object k; all False if it is absent."""
    checks.instance(Scene, scene=scene)
    checks.at_least(MIN_PICTURE, picture_size=picture_size)
    covered = np.zeros((len(scene), scene.max_objects, picture_size, picture_size), dtype=bool)
    for k, rows, y, x, coverage in _pastes(scene, picture_size):
        covered[rows[:, None, None], k, y, x] = 2 * coverage >= FULL
    return covered


def radii(picture_size: int) -> tuple[int, int]:
    """Half the side, in pixels, of the box that holds a small and a large object."""
    checks.at_least(MIN_PICTURE, picture_size=picture_size)
    return int(picture_size // 10), int(picture_size // 6)


def stencils(radius: int) -> IntArray:
    """(6, 2 radius, 2 radius) int64 coverage of each shape in sixteenths, in the order of SHAPES.

    Lengths are in eighths of a pixel, so that the middles of subpixels are odd numbers.
    """
    checks.at_least(1, radius=radius)
    full = 8 * radius
    line = 2 * np.arange(8 * radius) + 1 - full
    y, x = np.meshgrid(line, line, indexing="ij")  # [8 radius, 8 radius], y points down
    inside = np.stack(_outlines(x, y, full))
    pixels = inside.reshape(len(inside), 2 * radius, SUBGRID, 2 * radius, SUBGRID)
    return pixels.sum(axis=(2, 4))


def _outlines(x: IntArray, y: IntArray, r: int) -> list[np.ndarray]:
    """Is (x, y) inside each shape whose box is [-r, r] x [-r, r]? In the order of SHAPES."""
    squared, far, near = x * x + y * y, np.maximum(abs(x), abs(y)), np.minimum(abs(x), abs(y))
    disc = 100 * squared <= 90 * r * r
    points = ((0, -1000), (951, -309), (588, 809), (-588, 809), (-951, -309))  # of a pentagram
    sides = sum((1000 * 309 * r >= 1000 * (u * x + v * y)).astype(np.int64) for u, v in points)
    return [
        disc,
        100 * far <= 84 * r,
        (10 * y <= 8 * r) & (18 * abs(x) <= 10 * (y + r)),
        sides >= 4,  # a pentagram is where at most one of its five sides is crossed
        (100 * far <= 96 * r) & (100 * near <= 32 * r),
        disc & (100 * squared >= 32 * r * r),
    ]


def _pastes(scene: Scene, picture_size: int) -> Iterator[_Paste]:
    """What to draw where, one batch for each object number and size."""
    room = radii(picture_size)[-1]
    for size, radius in zip(range(len(SIZES)), radii(picture_size), strict=True):
        outlines, box = stencils(radius), np.arange(-radius, radius)
        slack = room - radius
        for k in range(scene.max_objects):
            rows = np.flatnonzero(scene.size[:, k] == size)
            cell = np.stack(np.divmod(scene.position[rows, k], 3))[::-1]  # [2, M] as (x, y)
            shift = scene.offset[rows, k].T * (2 * slack + 1) // OFFSETS - slack
            x, y = (2 * cell + 1) * picture_size // 6 + shift  # [M] each: the corner in the middle
            coverage = outlines[scene.shape[rows, k]]
            yield _Paste(
                k, rows, (y[:, None] + box)[:, :, None], (x[:, None] + box)[:, None], coverage
            )
