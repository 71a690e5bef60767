"""Optical flow as colours."""

from __future__ import annotations

import torch
from torch import Tensor

from mmtutor import checks


def flow_colours(flow: Tensor, longest: float | None = None) -> Tensor:
    """A flow (2, H, W) as an image (3, H, W): hue is direction, strength of colour is length.

    Red points right, and hues turn with the clock's hand; white stands still.

    Args:
        longest: the length that gets full colour, in pixels; the flow's own maximum if None.
    """
    from matplotlib.colors import hsv_to_rgb

    checks.shaped(flow=(flow, "2 H W"))
    checks.finite(flow=flow)
    if longest is not None:
        checks.within("(0, inf)", longest=longest)
    u, v = flow.detach().cpu().double()
    length = torch.hypot(u, v)
    top = max(float(length.max()) if longest is None else longest, 1e-12)
    hue = torch.atan2(v, u) / (2 * torch.pi) % 1
    hsv = torch.stack([hue, (length / top).clamp(max=1), torch.ones_like(hue)], dim=-1)
    return torch.from_numpy(hsv_to_rgb(hsv.numpy())).movedim(-1, 0).float()


def colour_wheel(size: int = 64) -> Tensor:
    """The key to `flow_colours` (3, size, size): each point has the colour of a flow to it."""
    checks.at_least(1, size=size)
    line = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    inside = (x * x + y * y <= 1).float()
    return flow_colours(torch.stack([x, y]) * inside, longest=1.0)
