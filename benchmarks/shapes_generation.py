"""Generating `shapes`, captions and ground truth included, against a loop of Pillow's ImageDraw
that draws the same pictures and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from math import cos, pi, sin

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from benchmarks.harness import Comparison
from mmtutor.data import load
from mmtutor.data.shapes.render import PALETTE, SHADES, radii
from mmtutor.data.shapes.scene import OFFSETS, SHAPES, Scene, scenes

SCALE = 4  # Pillow's edges are hard: a larger picture, shrunk, has soft ones
STAR = [
    (sin(turn * pi / 5) * length, -cos(turn * pi / 5) * length)
    for turn, length in enumerate([1, 0.382] * 5)
]


def comparisons(examples: int = 10_000, size: int = 64) -> list[Comparison]:
    """One row; a rate, without a bound."""

    def with_pillow() -> Tensor:
        scene = scenes("train", examples)
        pictures = [np.asarray(_picture(scene, i, size)) for i in range(examples)]
        return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)

    return [
        Comparison(
            what=f"{examples:,} `shapes` of {size} × {size}",
            peer="a Pillow ImageDraw loop, pictures only",
            ours=lambda: load("shapes", n=examples, size=size).column("image"),
            theirs=with_pillow,
            same=_same,
            rounds=5,
            examples=examples,
        )
    ]


def _picture(scene: Scene, i: int, size: int) -> Image.Image:
    shade = int(SHADES[scene.background[i]])
    picture = Image.new("RGB", (size * SCALE, size * SCALE), (shade, shade, shade))
    draw = ImageDraw.Draw(picture)
    for k in range(scene.count[i]):
        x, y, radius = _place(scene, i, k, size)
        colour = tuple(PALETTE[scene.colour[i, k]].tolist())
        for part, (kind, points) in enumerate(_outline(SHAPES[scene.shape[i, k]])):
            corners = [((x + u * radius) * SCALE, (y + v * radius) * SCALE) for u, v in points]
            hole = kind == "ellipse" and part == 1
            getattr(draw, kind)(corners, fill=(shade, shade, shade) if hole else colour)
    return picture.resize((size, size), Image.Resampling.BOX)


def _place(scene: Scene, i: int, k: int, size: int) -> tuple[int, int, int]:
    """Centre and half the side, in pixels, of the box that holds an object."""
    radius, room = radii(size)[scene.size[i, k]], radii(size)[-1]
    row, column = divmod(int(scene.position[i, k]), 3)
    shift = scene.offset[i, k] * (2 * (room - radius) + 1) // OFFSETS - (room - radius)
    return (
        (2 * column + 1) * size // 6 + int(shift[0]),
        (2 * row + 1) * size // 6 + int(shift[1]),
        radius,
    )


def _outline(shape: str) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """Names of ImageDraw's methods and points in the box [-1, 1] x [-1, 1], y downwards."""
    if shape in ("circle", "ring"):
        yield "ellipse", [(-0.95, -0.95), (0.95, 0.95)]
    if shape == "ring":
        yield "ellipse", [(-0.566, -0.566), (0.566, 0.566)]
    if shape == "square":
        yield "rectangle", [(-0.84, -0.84), (0.84, 0.84)]
    if shape == "triangle":
        yield "polygon", [(0, -1), (1, 0.8), (-1, 0.8)]
    if shape == "star":
        yield "polygon", STAR
    if shape == "cross":
        yield "rectangle", [(-0.96, -0.32), (0.96, 0.32)]
        yield "rectangle", [(-0.32, -0.96), (0.32, 0.96)]


def _same(ours: Tensor, theirs: Tensor) -> None:
    """The same pictures, but for how soft an edge is: mean difference in grey levels of 255."""
    difference = (ours.float() - theirs.float()).abs().mean(dim=(1, 2, 3))
    assert difference.max() < 5, f"a picture differs by {difference.max():.1f} grey levels"
