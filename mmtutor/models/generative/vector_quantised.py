"""A picture as a few whole numbers: the vector-quantised autoencoder.

Knows a codebook, which of its vectors is nearest, how a gradient gets past that choice, and how a
picture is drawn from numbers again (van den Oord et al. 2017). Does not know losses, nor what may
foresee the numbers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import encode

PIXELS = 8  # side of the square that a number stands for


class Quantised(NamedTuple):
    """What became of vectors (B, N, D).

    Attributes:
        index: (B, N) int64 in [0, codes), which vector of the codebook is nearest.
        code: (B, N, D), that vector; its gradient goes to the codebook.
        passed: (B, N, D), the same numbers; its gradient goes to the vectors that came, unchanged.
    """

    index: Tensor
    code: Tensor
    passed: Tensor


class AutoencodedOutput(NamedTuple):
    """What was drawn and what was there, and what a loss needs to bring codes and vectors together.

    Attributes:
        drawn, target: (B, 3, S, S); the target in [0, 1].
        read: (B, N, D), what the encoder made of each square.
        code: (B, N, D), the nearest vector of the codebook.
        index: (B, N) int64, its number.
    """

    drawn: Tensor
    target: Tensor
    read: Tensor
    code: Tensor
    index: Tensor


class VectorQuantiser(nn.Module):
    """A codebook: each vector is exchanged for the nearest one of it.

    In training a code that nobody has chosen for `patience` calls is dead. It starts anew as one of
    the vectors that came, drawn with a probability that grows with the square of their distance to
    the codebook (as k-means++ seeds, Arthur and Vassilvitskii 2007). In the beginning all are dead.

    Args:
        codes: number of vectors in the codebook.
        dim: size D of each.
        patience: how many calls a code may wait; None lets dead codes lie.
    """

    def __init__(self, codes: int, dim: int, patience: int | None = 50) -> None:
        super().__init__()
        checks.at_least(1, codes=codes, dim=dim, patience=1 if patience is None else patience)
        self.patience = patience
        self.codebook = nn.Parameter(torch.randn(codes, dim))
        self.register_buffer("idle", torch.full((codes,), patience or 0))

    def forward(self, x: Tensor) -> Quantised:
        """Vectors (B, N, D) -> `Quantised`."""
        checks.shaped(x=(x, f"B N {self.codebook.shape[1]}"))
        if self.training:
            self._revive(x.detach().flatten(0, 1))
        index = self._distance(x.flatten(0, 1)).argmin(dim=1).view(x.shape[:2])
        if self.training:
            self.idle += 1
            self.idle[index.flatten()] = 0
        code = self.codebook[index]
        return Quantised(index, code, x + (code - x).detach())

    def _distance(self, x: Tensor) -> Tensor:
        """(M, D) -> squared distances to all codes (M, codes)."""
        book = self.codebook
        squares = x.square().sum(dim=1, keepdim=True) + book.square().sum(dim=1)
        return (squares - 2 * x @ book.T).clamp(min=0)

    @torch.no_grad()
    def _revive(self, x: Tensor) -> None:
        """Dead codes become vectors of x (M, D), most likely such as lie far from all codes."""
        if self.patience is None or not (dead := self.idle >= self.patience).any():
            return
        far = self._distance(x).amin(dim=1) + 1e-6
        self.codebook[dead] = x[far.multinomial(int(dead.sum()), replacement=True)]
        self.idle[dead] = 0


class VectorQuantisedAutoencoder(nn.Module):
    """An encoder, a codebook, and a decoder that sees nothing but codes.

    Args:
        encoder: makes of a picture a token for each square of 8 x 8 pixels, row by row.
        codes, patience: of the `VectorQuantiser`.
        dim: size D of a code.
        width: channels of the decoder before its last layers.
    """

    def __init__(
        self,
        encoder: nn.Module,
        codes: int = 256,
        dim: int = 16,
        width: int = 32,
        patience: int | None = 50,
    ) -> None:
        super().__init__()
        checks.instance(nn.Module, encoder=encoder)
        checks.at_least(2, width=width)
        self.encoder, self.enter = encoder, nn.Linear(encoder.dim, dim)
        self.quantiser = VectorQuantiser(codes, dim, patience)
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, width, 3, padding=1),
            nn.ReLU(),
            *_twice_as_large(width, width),
            *_twice_as_large(width, width // 2),
            *_twice_as_large(width // 2, 3)[:1],
        )
        nn.init.constant_(self.decoder[-1].bias, 0.5)  # begin in the middle of the range

    def forward(self, batch: dict[str, Tensor]) -> AutoencodedOutput:
        """A batch with `image` (B, 3, S, S) in [0, 1], S a multiple of 8. KeyError without it."""
        require(batch, "image")
        read = self.enter(encode(self.encoder, batch).tokens)  # [B, N, D]
        index, code, passed = self.quantiser(read)
        return AutoencodedOutput(self._drawn(passed), batch["image"], read, code, index)

    def draw(self, index: Tensor) -> Tensor:
        """Numbers (B, N) int64 in [0, codes), N a square -> pictures (B, 3, S, S) in [0, 1]."""
        checks.shaped(index=(index, "B N"))
        checks.indices(len(self.quantiser.codebook), index=index)
        return self._drawn(self.quantiser.codebook[index]).clamp(0, 1)

    def _drawn(self, codes: Tensor) -> Tensor:
        rows = round(codes.shape[1] ** 0.5)
        if rows**2 != codes.shape[1]:
            raise ValueError(f"a picture must be a square of codes, got {codes.shape[1]} of them")
        return self.decoder(codes.transpose(1, 2).unflatten(2, (rows, rows)))


def _twice_as_large(channels: int, out: int) -> tuple[nn.Module, nn.Module]:
    return nn.ConvTranspose2d(channels, out, kernel_size=4, stride=2, padding=1), nn.ReLU()
