"""Optical flow from two pictures: Lucas and Kanade, and Horn and Schunck, from their equations.

Both start from *brightness constancy*: what moves keeps its brightness,
I(x + u, y + v, t + 1) = I(x, y, t), which to first order reads Ix u + Iy v + It = 0.
Knows grey pictures and their derivatives. Knows nothing of learning, objects or colours.

A flow is (B, 2, H, W): (right, down) in pixels, at each pixel of the first picture. Pictures are
(B, H, W) floating point, and their border pixels are repeated outwards.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.encoders.base import wide

SLOPE = (1 / 12, -8 / 12, 0, 8 / 12, -1 / 12)  # of a picture, exact up to fourth powers


class _Derivatives(NamedTuple):
    """Slopes of brightness in x, y and time, each (B, H, W)."""

    x: Tensor
    y: Tensor
    t: Tensor


class _LucasKanade(NamedTuple):
    """`flow` (B, 2, H, W), and `certainty` (B, H, W): the smaller eigenvalue of A'A, mean over the
    window; near 0 where the window shows no corner or texture, and the flow there means nothing."""

    flow: Tensor
    certainty: Tensor


def _derivatives(first: Tensor, second: Tensor) -> _Derivatives:
    """Slopes of two pictures (B, H, W), in space taken from their mean."""
    checks.shaped(first=(first, "B H W"), second=(second, "B H W"))
    checks.floating(first=first, second=second)
    first, second = wide(first), wide(second)
    mean = (first + second) / 2
    kernel = mean.new_tensor(SLOPE).view(1, 1, -1)
    padded = F.pad(mean, (2, 2, 2, 2), mode="replicate").unsqueeze(1)  # [B, 1, H + 4, W + 4]
    x = F.conv2d(padded[:, :, 2:-2], kernel.unsqueeze(2)).squeeze(1)
    y = F.conv2d(padded[..., 2:-2], kernel.unsqueeze(3)).squeeze(1)
    return _Derivatives(x, y, second - first)


def lucas_kanade(first: Tensor, second: Tensor, window: int = 9) -> _LucasKanade:
    """The one motion that explains a window best, for the window around each pixel.

    With one row (Ix, Iy) of A and one entry -It of b for each pixel of the window, least squares
    gives (A'A) (u, v) = A'b: a 2 x 2 system, solved here in closed form (Lucas and Kanade 1981).
    Pixels outside the picture do not count. Where A'A has no inverse the flow is 0.

    Args:
        first, second: (B, H, W).
        window: side in pixels, odd.
    """
    checks.at_least(1, window=window)
    if window % 2 == 0:
        raise ValueError(f"window must be an odd number of pixels, got {window}")
    x, y, t = _derivatives(first, second)

    def mean(product: Tensor) -> Tensor:  # the factor 1 / count cancels in the solution
        return F.avg_pool2d(product, window, 1, window // 2, count_include_pad=False)

    xx, xy, yy, xt, yt = mean(torch.stack([x * x, x * y, y * y, x * t, y * t], dim=1)).unbind(1)
    certainty = (xx + yy) / 2 - ((xx - yy).square() / 4 + xy.square()).sqrt()
    determinant = xx * yy - xy.square()
    regular = determinant > torch.finfo(x.dtype).eps * (xx + yy).square()
    inverse = torch.where(regular, 1 / determinant.where(regular, 1), 0)
    flow = torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], dim=1) * inverse.unsqueeze(1)
    return _LucasKanade(flow, certainty.clamp(min=0))


def pyramid_lucas_kanade(
    first: Tensor, second: Tensor, window: int = 9, levels: int = 3, iterations: int = 3
) -> _LucasKanade:
    """Lucas-Kanade from coarse to fine, for motions larger than its straight-line view allows.

    Each level halves the pictures, so that motions halve too. What a coarse level found is doubled,
    the second picture is warped back by it, and the finer level finds what is left. Each correction
    is followed by `_smoothed`: single pixels that run away would warp what their neighbours see.

    Args:
        first, second: (B, H, W), sides at least 2 ** (levels - 1).
        window: side in pixels, odd, at every level.
        levels: 1 is no pyramid.
        iterations: how often each level warps and corrects.
    """
    checks.at_least(1, levels=levels, iterations=iterations)
    checks.shaped(first=(first, "B H W"), second=(second, "B H W"))
    checks.floating(first=first, second=second)
    if min(first.shape[1:]) < 2 ** (levels - 1):
        raise ValueError(f"levels is {levels}: too many for pictures {tuple(first.shape)}")
    pyramid = [(wide(first), wide(second))]
    for _ in range(levels - 1):
        pyramid.append(tuple(F.avg_pool2d(_blurred(picture), 2) for picture in pyramid[-1]))
    flow = pyramid[0][0].new_zeros(len(first), 2, *pyramid[-1][0].shape[1:])
    for one, other in reversed(pyramid):
        if flow.shape[2:] != one.shape[1:]:
            flow = 2 * F.interpolate(flow, one.shape[1:], mode="bilinear", align_corners=False)
        for _ in range(iterations):
            found = lucas_kanade(one, _warp(other, flow), window)
            step = found.flow.clamp(-1, 1)  # a larger correction is not to be believed
            flow = _smoothed(flow + step)
    return _LucasKanade(flow, found.certainty)


def horn_schunck(
    first: Tensor, second: Tensor, smoothness: float = 0.1, iterations: int = 200
) -> Tensor:
    """The flow (B, 2, H, W) that explains the pictures and is smooth: see `horn_schunck_energy`.

    Each pixel takes the mean flow of its neighbours and corrects it along its own slope, all at
    once (Jacobi's iteration; Horn and Schunck 1981, equation 12, with the plain mean of the four
    neighbours): u = mean(u) - Ix r / (a^2 + Ix^2 + Iy^2), r = Ix mean(u) + Iy mean(v) + It.

    Args:
        first, second: (B, H, W).
        smoothness: a, above 0, in units of brightness a pixel: slopes well below it are not heard.
        iterations: information travels one pixel in each.
    """
    checks.within("(0, inf)", smoothness=smoothness)
    checks.at_least(0, iterations=iterations)
    x, y, t = _derivatives(first, second)
    slope = torch.stack([x, y], dim=1)  # [B, 2, H, W]
    weight = slope / (smoothness**2 + slope.square().sum(1, keepdim=True))
    flow = torch.zeros_like(slope)
    for _ in range(iterations):
        mean = _neighbour_mean(flow)
        residual = (slope * mean).sum(1, keepdim=True) + t.unsqueeze(1)
        flow = mean - weight * residual
    return flow


def horn_schunck_energy(
    first: Tensor, second: Tensor, flow: Tensor, smoothness: float = 0.1
) -> Tensor:
    """(B,) what `horn_schunck` minimises.

    The sum over pixels of (Ix u + Iy v + It)^2, plus a^2 / 4 times the sum over pairs of
    neighbours of |difference of their flows|^2.
    """
    checks.within("(0, inf)", smoothness=smoothness)
    x, y, t = _derivatives(first, second)
    checks.shaped(first=(first, "B H W"), flow=(flow, "B 2 H W"))
    data = (x * flow[:, 0] + y * flow[:, 1] + t).square().sum((1, 2))
    rough = sum(flow.diff(dim=axis).square().sum((1, 2, 3)) for axis in (2, 3))
    return data + smoothness**2 / 4 * rough


def _neighbour_mean(flow: Tensor) -> Tensor:
    """(B, C, H, W) -> the mean of the four neighbours; outside the border stands the pixel."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    up, down = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    left, right = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    return (up + down + left + right) / 4


def _smoothed(flow: Tensor) -> Tensor:
    """(B, C, H, W) -> the mean of 5 x 5 pixels; border repeated."""
    return F.avg_pool2d(F.pad(flow, (2, 2, 2, 2), mode="replicate"), 5, 1)


def _warp(picture: Tensor, flow: Tensor) -> Tensor:
    """What `picture` (B, H, W) shows at x + flow(x): bicubic between pixels; border repeated."""
    height, width = picture.shape[1:]
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    place = torch.stack([x, y]).to(flow) + flow  # [B, 2, H, W]
    scale = place.new_tensor([width, height]).view(2, 1, 1)
    grid = ((2 * place + 1) / scale - 1).movedim(1, -1)  # [B, H, W, 2], edges of pixels at -1 and 1
    options = {"mode": "bicubic", "padding_mode": "border", "align_corners": False}
    return F.grid_sample(picture.unsqueeze(1), grid, **options).squeeze(1)


def _blurred(picture: Tensor) -> Tensor:
    """(B, H, W) smoothed by 1 2 1 in both directions, against aliasing."""
    return F.avg_pool2d(F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 2, 1), 2, 1)
