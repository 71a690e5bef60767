"""The loss of maps that say where something is.

Knows maps and places; knows nothing of networks, bodies or training.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import wide
from mmtutor.models.pose import to_cells

SIGMA = 1.0


def heatmap_cross_entropy(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Mean cross-entropy, in nats, between a small hill at each true joint and the map's softmax.

    Each map answers a multiple-choice question: which cell? A hill of `SIGMA` cells instead of one
    cell forgives a near miss. Squared error against the same hill would start in a hole: a map of
    zeros is right nearly everywhere.

    Args:
        output: has `heatmaps` (B, J, h, w) and `stride`, such as what `models.PoseNetwork` gives.
        batch: has `joints` (B, J, 2) in pixels (x, y).

    Raises:
        KeyError: the batch has no `joints`.
        ValueError: the shapes do not fit.
    """
    require(batch, "joints")
    maps, joints = output.heatmaps, batch["joints"]
    checks.shaped(heatmaps=(maps, "B J h w"), joints=(joints, "B J 2"))
    checks.floating(heatmaps=maps, joints=joints)
    checks.within("(0, inf)", stride=output.stride)
    maps, joints = wide(maps), joints.to(wide(maps))
    target = _hills(to_cells(joints, output.stride), *maps.shape[2:])
    return -(target * maps.flatten(2).log_softmax(dim=2)).sum(dim=2).mean()


def _hills(places: Tensor, height: int, width: int, sigma: float = SIGMA) -> Tensor:
    """Gaussian hills around `places` (B, J, 2), in cells (x, y) -> (B, J, height * width), sum 1.

    A hill outside the map ends up on its border.
    """
    x, y = (
        -(torch.arange(length).to(places) - places[..., axis, None]).square() / (2 * sigma**2)
        for axis, length in ((0, width), (1, height))
    )
    return (y.unsqueeze(-1) + x.unsqueeze(-2)).flatten(2).softmax(dim=2)
