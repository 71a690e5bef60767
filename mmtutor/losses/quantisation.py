"""The loss of a picture that is kept as whole numbers.

Knows what is drawn, what was there, and codes with the vectors that they stand for. Does not know
how a code is chosen.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mmtutor import checks
from mmtutor.encoders.base import wide


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
