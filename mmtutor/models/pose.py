"""A network that paints, for each joint, a map of where it may be; and how to read such maps.

Knows pictures and maps. Does not know what the joints are called, losses or metrics.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import check_pictures, wide
from mmtutor.encoders.image import conv_block


class _PoseOutput(NamedTuple):
    """`heatmaps` (B, J, h, w): unnormalised log-probabilities of places, one map a joint.
    Cell (r, c) stands for the square of `stride` x `stride` pixels that starts at (r, c) * stride.
    """

    heatmaps: Tensor
    stride: int


class PoseNetwork(nn.Module):
    """Down to an eighth of the size, so that a cell sees the whole figure, and up to a half again.

    On the way up each level adds what the way down saw at the same size, so that places stay sharp
    (the hourglass of Newell et al. 2016, in small).

    Args:
        joints: number J of maps.
        width: channels at half size, twice that further down.
    """

    stride = 2

    def __init__(self, joints: int, width: int = 16) -> None:
        super().__init__()
        checks.at_least(1, joints=joints, width=width)
        deep = 2 * width
        self.fine = conv_block(3, width, kernel=4, stride=2, padding=1)
        self.middle = conv_block(width, deep, stride=2)
        self.coarse = nn.Sequential(
            conv_block(deep, deep, stride=2), conv_block(deep, deep), conv_block(deep, deep)
        )
        self.rise = conv_block(deep, deep)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.narrow = nn.Conv2d(deep, width, 1)
        self.last = nn.Sequential(conv_block(width, width), nn.Conv2d(width, joints, 1))

    def forward(self, batch: dict[str, Tensor]) -> _PoseOutput:
        """`image` (B, 3, H, W) in [0, 1], sides multiples of 8. Raises KeyError without it."""
        require(batch, "image")
        check_pictures(batch["image"], 8)
        fine = self.fine(batch["image"])
        middle = self.middle(fine)
        middle = self.rise(middle + self.up(self.coarse(middle)))
        return _PoseOutput(self.last(fine + self.up(self.narrow(middle))), self.stride)


def argmax_joints(output: _PoseOutput) -> Tensor:
    """(B, J, 2) pixels (x, y): the middle of each map's highest cell; of equals the first."""
    cell = output.heatmaps.flatten(2).argmax(dim=2)
    width = output.heatmaps.shape[3]
    cells = torch.stack([cell % width, cell // width], dim=-1).to(output.heatmaps.dtype)
    return _to_pixels(cells, output.stride)


def soft_argmax_joints(output: _PoseOutput) -> Tensor:
    """(B, J, 2) pixels (x, y): the mean place under each map's softmax (Sun et al. 2018).

    Finer than a cell and differentiable, but between two hills it lies in the valley.
    """
    height, width = output.heatmaps.shape[2:]
    weight = wide(output.heatmaps).flatten(2).softmax(dim=2).unflatten(2, (height, width))
    x = (weight.sum(dim=2) * torch.arange(width).to(weight)).sum(dim=2)
    y = (weight.sum(dim=3) * torch.arange(height).to(weight)).sum(dim=2)
    return _to_pixels(torch.stack([x, y], dim=-1), output.stride)


def _to_pixels(cells: Tensor, stride: int) -> Tensor:
    """Places on a map -> in the picture: the middle of a cell is the middle of its square."""
    return cells * stride + (stride - 1) / 2


def to_cells(pixels: Tensor, stride: int) -> Tensor:
    """The inverse of `_to_pixels`."""
    return (pixels - (stride - 1) / 2) / stride
