"""How wrong an optical flow is.

Knows two flows, estimated and true. Does not know how either came about.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmtutor import checks


def endpoint_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Length in pixels of the difference of two flows (..., 2, H, W) -> (..., H, W).

    Source: Baker et al., A Database and Evaluation Methodology for Optical Flow (2011).
    Raises ValueError if the shapes differ.
    """
    _check(flow, truth)
    return (flow - truth).norm(dim=-3)


def angular_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Angle in degrees between (u, v, 1) of two flows (..., 2, H, W) -> (..., H, W) in [0, 180).

    The third coordinate, one frame of time, keeps the angle defined where nothing moves.

    Source: Barron, Fleet and Beauchemin, Performance of Optical Flow Techniques (1994).
    Raises ValueError if the shapes differ.
    """
    _check(flow, truth)
    one, other = (
        torch.cat([f, torch.ones_like(f[..., :1, :, :])], dim=-3).double() for f in (flow, truth)
    )
    cross = torch.linalg.cross(one, other, dim=-3).norm(dim=-3)  # exact for small angles too
    return torch.atan2(cross, (one * other).sum(dim=-3)).rad2deg().to(flow.dtype)


def _check(flow: Tensor, truth: Tensor) -> None:
    checks.shaped(flow=(flow, "... 2 H W"), truth=(truth, "... 2 H W"))
    checks.shaped(truth=(truth, " ".join(map(str, flow.shape))))
    checks.floating(flow=flow, truth=truth)
    checks.finite(flow=flow, truth=truth)
