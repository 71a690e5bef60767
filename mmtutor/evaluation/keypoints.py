"""How well joints are found: the percentage of correct keypoints (PCK).

Knows predicted and true places. Does not know images, networks or what a joint is called.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmtutor import checks


def correct_keypoints(
    predicted: Tensor, truth: Tensor, scale: Tensor, alpha: float = 0.2
) -> Tensor:
    """(N, J) bool: is the predicted joint within alpha * scale of the true one? The edge counts.

    The mean is PCK@alpha. A figure twice as near is twice as large, and so are its errors; `scale`
    makes them comparable. Papers differ in it (trunk, head, bounding box): numbers with different
    scales are not comparable.

    Args:
        predicted, truth: (N, J, 2) pixels.
        scale: (N,) pixels, above 0.
        alpha: share of the scale, above 0.

    Source: Yang and Ramanan, Articulated Human Detection with Flexible Mixtures of Parts (2013);
    with the trunk as scale: Sapp and Taskar, MODEC (2013).
    Raises ValueError if shapes do not fit or alpha or a scale is not above 0.
    """
    checks.shaped(predicted=(predicted, "N J 2"), truth=(truth, "N J 2"), scale=(scale, "N"))
    checks.floating(predicted=predicted, truth=truth)
    checks.finite(predicted=predicted, truth=truth)
    checks.within("(0, inf)", scale=scale, alpha=alpha)
    return (predicted - truth).norm(dim=2) <= alpha * scale.unsqueeze(1)


def trunk_length(joints: Tensor, shoulder: int = 1, hip: int = 8) -> Tensor:
    """(N, J, 2) -> (N,) pixels from the left shoulder to the right hip."""
    places = checks.shaped(joints=(joints, "N J 2"))["J"]
    checks.floating(joints=joints)
    checks.finite(joints=joints)
    checks.at_least(0, shoulder=shoulder, hip=hip)
    checks.within(f"[0, {places})", shoulder=shoulder, hip=hip)
    return (joints[:, shoulder] - joints[:, hip]).norm(dim=1)


def confused_sides(predicted: Tensor, truth: Tensor, mirrored: Sequence[int]) -> Tensor:
    """(N, J) bool: is the prediction nearer to the same joint of the other side?

    Joints without another side (their own mirror image) are never confused.
    """
    count = checks.shaped(predicted=(predicted, "N J 2"), truth=(truth, "N J 2"))["J"]
    checks.floating(predicted=predicted, truth=truth)
    checks.finite(predicted=predicted, truth=truth)
    mirrored = torch.tensor(checks.listed(int, mirrored=mirrored))
    checks.shaped(mirrored=(mirrored, f"{count}"))
    checks.indices(count, mirrored=mirrored)
    own, other = ((predicted - place).norm(dim=2) for place in (truth, truth[:, mirrored]))
    return other < own
