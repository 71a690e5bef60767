"""Textures that move by an exactly known way, however small: test pictures for optical flow.

Knows a smooth random pattern that has a value at every real place, and affine motions. As nothing
is interpolated, the second picture shows at x + flow(x) what the first shows at x, up to rounding.
Knows nothing of shapes or of how flow is estimated.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks

WAVES = 24


class _Pair(NamedTuple):
    """Two pictures and the way between them.

    Attributes:
        first, second: (H, W) float32 in [0, 1].
        flow: (2, H, W) float32: (right, down) in pixels, at each pixel of `first`.
    """

    first: Tensor
    second: Tensor
    flow: Tensor


def pair(
    size: int = 64,
    shift: tuple[float, float] = (0.0, 0.0),
    angle: float = 0.0,
    zoom: float = 1.0,
    wavelengths: tuple[float, float] = (8.0, 24.0),
    seed: int = 0,
) -> _Pair:
    """A texture before and after it turned and grew about the middle, then moved.

    Args:
        size: side in pixels.
        shift: (right, down) in pixels.
        angle: in degrees, clockwise as seen (y points down).
        zoom: growth, above 0.
        wavelengths: shortest and longest of the texture's waves, in pixels; above 2.
        seed: of the texture.

    Raises ValueError for what is out of range.
    """
    checks.at_least(1, size=size)
    checks.at_least(0, seed=seed)
    checks.within("(0, inf)", zoom=zoom)
    checks.within("(-inf, inf)", angle=angle)
    _two(Real, shift=shift)
    _two(Real, wavelengths=wavelengths)
    if not 2 < wavelengths[0] <= wavelengths[1]:
        raise ValueError(f"wavelengths must be above 2, the shorter first, got {wavelengths!r}")
    turn = math.radians(angle)
    matrix = zoom * torch.tensor(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64
    )
    line = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    place = torch.stack(torch.meshgrid(line, line, indexing="xy"))  # [2, H, W]: (x, y)
    way = torch.tensor(shift, dtype=torch.float64).view(2, 1, 1)
    moved = torch.einsum("ij,jhw->ihw", matrix, place) + way
    source = torch.einsum("ij,jhw->ihw", matrix.inverse(), place - way)
    first, second = (_texture(at, wavelengths, seed).float() for at in (place, source))
    return _Pair(first, second, (moved - place).float())


def _two(of: type, **argument: Any) -> None:
    """Refuse what is not two finite numbers."""
    [(name, value)] = argument.items()
    if len(checks.listed(of, **argument)) != 2:
        raise ValueError(f"{name} must be two numbers, got {value!r}")
    checks.finite(**{name: np.array(value)})


def _texture(place: Tensor, wavelengths: tuple[float, float], seed: int) -> Tensor:
    """The value in [0, 1] at any places (2, ...) float64: a sum of random plane waves."""
    generator = torch.Generator().manual_seed(int(seed))
    length, direction, phase = torch.rand(3, WAVES, generator=generator, dtype=torch.float64)
    short, long = wavelengths
    number = 2 * math.pi / (short * (long / short) ** length)  # radians a pixel
    way = torch.stack([direction.mul(2 * math.pi).cos(), direction.mul(2 * math.pi).sin()])
    angle = torch.einsum("cw,c...->w...", way * number, place)
    waves = (angle + 2 * math.pi * phase.view(-1, *[1] * (place.ndim - 1))).sin()
    return (0.5 + waves.sum(0) / math.sqrt(WAVES) / 5).clamp(0, 1)


def photograph_pair(picture: Tensor, shift: tuple[int, int], factor: int) -> _Pair:
    """A photograph that moved by whole fine pixels, seen by a camera with coarser ones.

    Both views are cut from `picture` and averaged over blocks of `factor` x `factor`, so that the
    coarse motion, `shift` / `factor`, is exact although it need not be whole.

    Args:
        picture: (3, H, W) uint8.
        shift: (right, down) in fine pixels.
        factor: fine pixels to a side of a coarse one.

    Raises:
        ValueError: the shift leaves no coarse pixel to see, or `factor` is below 1.
    """
    checks.shaped(picture=(picture, "3 H W"))
    if picture.dtype != torch.uint8:
        raise TypeError(f"picture must be uint8, got {picture.dtype}")
    _two(Integral, shift=shift)
    checks.at_least(1, factor=factor)
    grey = picture.float().div(255).mean(0)
    margin = max(map(abs, shift))
    sides = [(length - 2 * margin) // factor * factor for length in grey.shape]
    if min(sides) < 1:
        size = tuple(grey.shape)
        raise ValueError(f"a picture of {size} is too small for a shift of {shift}")

    def view(right: int, down: int) -> Tensor:
        top, left = margin - down, margin - right
        cut = grey[top : top + sides[0], left : left + sides[1]]
        return cut.unflatten(0, (-1, factor)).unflatten(2, (-1, factor)).mean((1, 3))

    first, second = view(0, 0), view(*shift)
    flow = torch.tensor(shift).div(factor).view(2, 1, 1).expand(2, *first.shape)
    return _Pair(first, second, flow.clone())
