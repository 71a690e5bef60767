"""A detector for pictures of `shapes`: it names what stands in each cell of a grid.

Knows cells and the attributes of an object. Knows nothing of questions, of losses or of training.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data.shapes.scene import COLOURS, SHAPES, SIZES
from mmtutor.encoders.image import CellCNN

# How many values each attribute of a cell has; 0 says that nothing is there.
ATTRIBUTES = {"shape": len(SHAPES) + 1, "colour": len(COLOURS) + 1, "size": len(SIZES) + 1}


class CellLogits(NamedTuple):
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

    def forward(self, batch: dict[str, Tensor]) -> CellLogits:
        """`image` (B, 3, H, W) in [0, 1] -> logits for each cell."""
        logits = self.attributes(self.encoder(batch["image"]).tokens)  # [B, N, all values]
        return CellLogits(*logits.split(list(ATTRIBUTES.values()), dim=-1))

    @torch.no_grad()
    def tokens(self, images: Tensor) -> Tensor:
        """Pictures (P, 3, H, W) uint8 -> the encoder's tokens (P, N, D) float32, on the CPU."""
        self.eval()
        device = next(self.parameters()).device
        parts = (self.encoder(x.to(device).float() / 255).tokens.cpu() for x in images.split(512))
        return torch.cat(list(parts))
