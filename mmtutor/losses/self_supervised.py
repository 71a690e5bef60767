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


def quantised(
    output: Any, batch: dict[str, Tensor] | None = None, commitment: float = 0.25
) -> Tensor:
    """What a vector-quantised autoencoder minimises (van den Oord et al. 2017, eq. 3).

    The squared error of the drawing; that of the codes, which move to what was read (codebook
    loss); and `commitment` times that of what was read, which moves to its code. Each is a sum over
    the numbers of a square of the picture, and a mean over squares.

    Args:
        output: has `drawn` and `target` (B, 3, S, S), `read` and `code` (B, N, D), floating point.
        batch: not read.
        commitment: the weight of the last part, at least 0.

    Returns:
        A scalar.

    Raises:
        ValueError: the shapes do not fit.
    """
    drawn, target, read, code = output.drawn, output.target, output.read, output.code
    checks.shaped(
        drawn=(drawn, "B C H W"), target=(target, "B C H W"),
        read=(read, "B N D"), code=(code, "B N D"),
    )  # fmt: skip
    checks.floating(drawn=drawn, target=target, read=read, code=code)
    checks.within("[0, inf)", commitment=commitment)
    read, code, squares = wide(read), wide(code), read.shape[0] * read.shape[1]
    drawing = (wide(drawn) - wide(target)).square().sum()
    book = (code - read.detach()).square().sum()
    commit = (read - code.detach()).square().sum()
    return (drawing + book + commitment * commit) / squares
