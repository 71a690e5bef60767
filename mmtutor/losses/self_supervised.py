"""Losses whose targets are made of the pictures themselves: hidden patches, and a second view.

Knows what was drawn and what was there, and scores of pairs. Does not know models.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmtutor import checks
from mmtutor.encoders.base import wide


def hidden_patches(output: Any, batch: dict[str, Tensor] | None = None) -> Tensor:
    """Squared error of the hidden patches, and of no others (He et al. 2022, section 3).

    Args:
        output: has `drawn` and `target` (B, N, P) floating point, and `hidden` (B, N) bool.
        batch: not read.

    Returns:
        A scalar: the mean over all numbers of all hidden patches, 0 where none is hidden.

    Raises:
        ValueError: the shapes do not fit.
    """
    drawn, target = output.drawn, output.target
    checks.shaped(drawn=(drawn, "B N P"), target=(target, "B N P"), hidden=(output.hidden, "B N"))
    checks.floating(drawn=drawn, target=target)
    hidden = checks.as_mask(hidden=output.hidden)
    error = (wide(drawn) - wide(target)).square().mean(dim=2)  # [B, N]
    return error.masked_fill(~hidden, 0).sum() / hidden.sum().clamp(min=1)


def first_among(output: Any, batch: dict[str, Tensor] | None = None) -> Tensor:
    """Cross-entropy of scores whose first one is right: InfoNCE (van den Oord et al. 2018, eq. 4).

    Args:
        output: has `logits` (B, 1 + K) floating point, the pair's own score in the first column.
        batch: not read.

    Returns:
        A scalar; 0 where there is nothing to tell the pair from.
    """
    checks.shaped(logits=(output.logits, "B K"))
    checks.floating(logits=output.logits)
    return -wide(output.logits).log_softmax(dim=1)[:, 0].mean()
