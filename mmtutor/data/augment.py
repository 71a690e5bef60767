"""Augmentation of whole batches of pictures, on whatever device they are.

Knows pictures (B, C, H, W); does not know texts, whose left and right a mirrored picture makes
false. What changes an example before it joins a batch is in `transforms`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks


@dataclass(frozen=True)
class AugmentPictures:
    """Moves, mirrors and lights each picture of a batch by draws of its own.

    Draws are PyTorch's global ones on the device, as those of dropout are, so a run that is gone on
    with has the same. A call takes and returns floats (B, C, H, W) in [0, 1].

    Attributes:
        shift: pixels of the largest move each way, at least 0; the edge is repeated.
        flip: probability of mirroring left to right.
        brightness, contrast: in [0, 1]; the factor on the picture, and on its distance from its
            mean, is drawn from 1 - x to 1 + x.
    """

    shift: int = 2
    flip: float = 0.5
    brightness: float = 0.2
    contrast: float = 0.2

    def __post_init__(self) -> None:
        checks.at_least(0, shift=self.shift)
        checks.within("[0, 1]", flip=self.flip, brightness=self.brightness, contrast=self.contrast)

    def __call__(self, image: Tensor) -> Tensor:
        checks.floating(image=image)
        n = checks.shaped(image=(image, "B C H W"))["B"]
        image = self._moved(image)
        drawn = torch.rand(3, n, 1, 1, 1, device=image.device).to(image.dtype)
        image = torch.where(drawn[0] < self.flip, image.flip(-1), image)
        bright, sharp = 2 * drawn[1:] - 1
        image = image * (1 + self.brightness * bright)
        mean = image.mean((1, 2, 3), keepdim=True)
        return (mean + (1 + self.contrast * sharp) * (image - mean)).clamp(0, 1)

    def _moved(self, image: Tensor) -> Tensor:
        """Of each picture, its edge repeated, a window that begins where its draw says."""
        n, height, width = len(image), *image.shape[-2:]
        padded = F.pad(image, [self.shift] * 4, mode="replicate")
        top, left = torch.randint(2 * self.shift + 1, (2, n, 1), device=image.device)
        rows = top + torch.arange(height, device=image.device)
        columns = left + torch.arange(width, device=image.device)
        each = torch.arange(n, device=image.device)[:, None, None]
        return padded[each, :, rows[:, :, None], columns[:, None]].permute(0, 3, 1, 2)
