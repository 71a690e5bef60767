"""Detectors for pictures of `shapes`: they name what stands in each cell of a grid, or anywhere.

Knows cells and the attributes of an object. Knows nothing of questions, of losses or of training.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data.shapes.scene import COLOURS, SHAPES, SIZES
from mmtutor.encoders.base import encode
from mmtutor.encoders.image import CellCNN

# How many values each attribute of a cell has; 0 says that nothing is there.
ATTRIBUTES = {"shape": len(SHAPES) + 1, "colour": len(COLOURS) + 1, "size": len(SIZES) + 1}


class _CellLogits(NamedTuple):
    """What is in each of N cells: logits (B, N, values of the attribute)."""

    shape: Tensor
    colour: Tensor
    size: Tensor


class GridDetector(nn.Module):
    """`CellCNN`, and one linear layer that names shape, colour and size of what is in a cell.

    Args:
        dim, width: of the `CellCNN`.
    """

    def __init__(self, dim: int, width: int = 16) -> None:
        super().__init__()
        self.encoder = CellCNN(dim, width)
        self.attributes = nn.Linear(self.encoder.dim, sum(ATTRIBUTES.values()))

    def forward(self, batch: dict[str, Tensor]) -> _CellLogits:
        """`image` (B, 3, H, W) in [0, 1] -> logits for each cell. Raises KeyError without it."""
        logits = self.attributes(encode(self.encoder, batch).tokens)  # [B, N, all values]
        return _CellLogits(*logits.split(list(ATTRIBUTES.values()), dim=-1))

    def tokens(self, images: Tensor) -> Tensor:
        """Pictures (P, 3, H, W) uint8 -> the encoder's tokens (P, N, D) float32, on the CPU."""
        return _tokens(self, images)


class AttributeClassifier(nn.Module):
    """Which kinds of object, each a colour and a shape, are in a picture: one where any token is.

    Args:
        encoder: of pictures.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.dim, len(COLOURS) * len(SHAPES))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """`image` (B, 3, H, W) in [0, 1] -> logits (B, colours * shapes)."""
        return self.head(encode(self.encoder, batch).tokens).amax(dim=1)

    def tokens(self, images: Tensor) -> Tensor:
        """Pictures (P, 3, H, W) uint8 -> the encoder's tokens (P, N, D) float32, on the CPU."""
        return _tokens(self, images)


@torch.no_grad()
def _tokens(model: nn.Module, images: Tensor) -> Tensor:
    model.eval()
    device = next(model.parameters()).device
    parts = (model.encoder(x.to(device).float() / 255).tokens.cpu() for x in images.split(512))
    return torch.cat(list(parts))
