"""What every encoder returns, and how an encoder is applied to a batch.

Knows the one contract between a modality and everything after it: a sequence of tokens with a mask.
Knows nothing of any particular modality, of training or of losses.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import BRIGHTEST, require


class Encoded(NamedTuple):
    """A batch of token sequences.

    Attributes:
        tokens: (B, N, D) floating point.
        mask: (B, N) bool, True where a token is real and False where it is padding.
    """

    tokens: Tensor
    mask: Tensor

    @classmethod
    def of_grid(cls, grid: Tensor) -> Encoded:
        """The cells of a map (B, D, H, W), row by row, as tokens (B, H * W, D), all real."""
        tokens = grid.flatten(2).transpose(1, 2)
        return cls(tokens, real(tokens))

    def pooled(self) -> Tensor:
        """Mean of the real tokens, (B, D); a row without any real token gives zeros.

        The sum is taken in float32 at least, for in half precision it may overflow.
        """
        mask = real(self.tokens, self.mask)
        total = wide(self.tokens.masked_fill(~mask.unsqueeze(-1), 0)).sum(dim=1)
        return (total / mask.sum(dim=1, keepdim=True).clamp(min=1)).to(self.tokens.dtype)


def real(x: Tensor, mask: Tensor | None = None, name: str = "mask") -> Tensor:
    """The mask (B, N) bool of what is real in x (B, N, ...); without one, all of it is.

    Takes 0 and 1 for a mask too; `name` is what a refusal calls it. Raises TypeError or ValueError
    for anything else than (B, N).
    """
    if mask is None:
        return torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    mask = checks.as_mask(**{name: mask}).to(x.device)
    if mask.shape != x.shape[:2]:
        raise ValueError(f"{name} must be {tuple(x.shape[:2])}, got {tuple(mask.shape)}")
    return mask


def check_ids(tokens: Tensor, vocab_size: int) -> None:
    """Token ids must be integers (B, L); on a CPU, each also in [0, vocab_size).

    A GPU would have to be waited for; its own look-up stops there.
    """
    checks.shaped(tokens=(tokens, "B L"))
    if tokens.device.type == "cpu":
        checks.indices(vocab_size, tokens=tokens)


def check_pictures(image: Tensor, sides: int = 1) -> None:
    """Pictures must be floating point (B, 3, H, W), sides multiples of `sides`.

    On a CPU, numbers up to 255 are refused: pictures are in [0, 1], or near it where noise or
    another normalisation moved them.
    """
    size = checks.shaped(image=(image, "B 3 H W"))
    checks.floating(image=image)
    if size["H"] % sides or size["W"] % sides:
        raise ValueError(f"image must have sides that are multiples of {sides}, got {size}")
    if image.device.type == "cpu" and image.detach().amax() > BRIGHTEST:
        raise ValueError(f"image must be in [0, 1], got numbers up to {image.max().item():g}")


def encode(encoder: nn.Module, batch: dict[str, Tensor]) -> Encoded:
    """Apply `encoder` to its own modality of `batch`.

    The encoder names its modality; `batch["<modality>_mask"]` is passed on where there is one.

    Raises:
        KeyError: the batch lacks the modality; the message lists those it has.
    """
    require(batch, encoder.modality)
    return encoder(batch[encoder.modality], batch.get(f"{encoder.modality}_mask"))


def wide(x: Tensor) -> Tensor:
    """In float32 at least: sums and products of half-precision numbers overflow."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def narrow(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Back to `dtype`; what does not fit becomes its largest number."""
    limit = torch.finfo(dtype).max
    return x.clamp(-limit, limit).to(dtype)
