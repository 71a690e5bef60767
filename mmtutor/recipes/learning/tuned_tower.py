"""Parts of `fine_tuning`: the upper blocks of a pretrained tower, which are tuned, and the others.

Knows EfficientNet-Lite0 cut in two, and how its old task is rehearsed; knows nothing of the new
task, or of how the upper part is tuned.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.encoders.base import Encoded
from mmtutor.encoders.efficientnet import FEATURES, EfficientNetLite
from mmtutor.models import Classifier
from mmtutor.models.classifier import ClassifierOutput
from mmtutor.recipes.encoders.linear_probe import normalised

CUT = 12  # blocks of the tower that nobody tunes
SIDE = 64  # of the pictures, in pixels


class Pointwise(nn.Module):
    """A 1 x 1 convolution as what it is: one linear layer, applied at every place."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        sizes = convolution.in_channels, convolution.out_channels
        self.linear = nn.Linear(*sizes, bias=False)
        self.linear.weight.data.copy_(convolution.weight.data[:, :, 0, 0])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H, W)."""
        return self.linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Upper(nn.Module):
    """The last blocks of EfficientNet-Lite0, which read maps that the others made.

    Its batch statistics are those of the old task in training too.
    """

    modality, dim = "map", FEATURES

    def __init__(self, network: EfficientNetLite) -> None:
        super().__init__()
        self.blocks, self.head = network.blocks[CUT:], network.head
        for name, module in list(self.named_modules()):
            if isinstance(module, nn.Conv2d) and module.kernel_size == (1, 1):
                self.set_submodule(name, Pointwise(module))

    def train(self, mode: bool = True) -> Upper:
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 192, H, W), what `maps` gives -> tokens (B, N, 1280), one a place."""
        x = x.contiguous(memory_format=torch.channels_last)
        return Encoded.of_grid(self.head(self.blocks(x)))


class Rehearsed(NamedTuple):
    """`logits` (B, C) of the new task, and `old` (B, 1000), the old head's for old pictures."""

    logits: Tensor
    old: Tensor


class Rehearsal(nn.Module):
    """A classifier that in training looks at old pictures too, through the head it used to have."""

    def __init__(self, model: Classifier, old_head: nn.Linear) -> None:
        super().__init__()
        self.model, self.old_head = model, old_head.requires_grad_(False)

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput | Rehearsed:
        """A batch with `map`, in training with `old_map` too."""
        logits = self.model(batch).logits
        if not self.training:
            return ClassifierOutput(logits)
        return Rehearsed(logits, self.old_head(self.model.encoder(batch["old_map"]).pooled()))


@torch.no_grad()
def maps(network: EfficientNetLite, images: Tensor) -> Tensor:
    """What the first blocks make of pictures (N, 3, S, S) uint8, seen at 64 pixels: (N, 192, 2, 2).

    They are not tuned, so each picture needs to be seen by them once.
    """
    found = []
    for batch in images.split(64):
        x = F.interpolate(normalised(batch), (SIDE, SIDE), mode="bilinear", antialias=True)
        x = network.stem(x.contiguous(memory_format=torch.channels_last))
        found.append(network.blocks[:CUT](x))
    return torch.cat(found)


@torch.no_grad()
def said(encoder: nn.Module, tower: EfficientNetLite, old: Tensor) -> Tensor:
    """ImageNet logits (N, 1000) for maps, by an encoder and the head of the old task."""
    return torch.cat([tower.classifier(encoder(x).pooled()) for x in old.split(256)])
