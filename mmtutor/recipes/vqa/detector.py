"""Eyes for the recipe `vqa_shapes`: a CNN with a token for each cell, and how it learns to see.

Knows the 3 x 3 grid of `shapes` and what stands where. Does not know questions or answers.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.data.shapes import questions as shapes_questions
from mmtutor.data.shapes.questions.forms import matching
from mmtutor.data.shapes.scene import COLOURS, SHAPES, SIZES
from mmtutor.encoders.base import Encoded
from mmtutor.encoders.image import conv_block
from mmtutor.training import fit

CELLS = 3
KINDS = {"shape": len(SHAPES) + 1, "colour": len(COLOURS) + 1, "size": len(SIZES) + 1}  # 0: nothing


class CellCNN(nn.Module):
    """A token for each of 3 x 3 cells of 16 x 16 pixels, and its place.

    Two strided convolutions, then one whose kernel is a whole cell; normalised, so that all
    coordinates have one size; then the cell's x and y in [-3, 3], for they must be heard.

    Args:
        dim: size of a token without its place; `self.dim` is two more.
        width: channels after the first convolution, twice that after the second.
    """

    modality = "image"

    def __init__(self, dim: int, width: int = 16) -> None:
        super().__init__()
        self.dim = dim + 2
        self.stages = nn.Sequential(
            conv_block(3, width, kernel=5, stride=2, padding=2),
            conv_block(width, 2 * width, stride=2),
            conv_block(2 * width, dim, kernel=4, stride=4, padding=0),
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, 48, 48) in [0, 1] -> tokens (B, 9, D), row by row."""
        grid = self.stages((2 * x - 1).contiguous(memory_format=torch.channels_last))
        tokens = self.norm(grid.flatten(2).transpose(1, 2))  # [B, 9, dim]
        line = torch.linspace(-3, 3, CELLS, device=x.device, dtype=tokens.dtype)
        place = torch.stack(torch.meshgrid(line, line, indexing="xy")).flatten(1).T  # [9, 2]
        tokens = torch.cat([tokens, place.expand(len(tokens), -1, -1)], dim=-1)
        return Encoded(tokens, tokens.new_ones(tokens.shape[:2], dtype=torch.bool))


class Named(NamedTuple):
    """What is in each cell: logits (B, 9, KINDS) of shape, colour and size."""

    shape: Tensor
    colour: Tensor
    size: Tensor


class Sight(nn.Module):
    """`CellCNN` and a linear layer that names what it sees."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.encoder = CellCNN(dim, width)
        self.names = nn.Linear(self.encoder.dim, sum(KINDS.values()))

    def forward(self, batch: dict[str, Tensor]) -> Named:
        return Named(
            *self.names(self.encoder(batch["image"]).tokens).split(list(KINDS.values()), -1)
        )

    @torch.no_grad()
    def tokens(self, images: Tensor) -> Tensor:
        """Pictures (N, 3, 48, 48) uint8 -> tokens (N, 9, D) float32, on the CPU."""
        self.eval()
        device = next(self.parameters()).device
        parts = (self.encoder(x.to(device).float() / 255).tokens.cpu() for x in images.split(512))
        return torch.cat(list(parts))


class Frozen(nn.Module):
    """An image encoder that learns no more. It passes on tokens that it made before.

    Args:
        encoder: of pictures (B, 3, H, W); its weights are frozen, and it stays in evaluation mode.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.modality, self.dim = encoder.modality, encoder.dim

    def train(self, mode: bool = True) -> Frozen:
        super().train(mode)
        self.encoder.eval()
        return self

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W), or tokens (B, N, D) -> tokens (B, N, D)."""
        if x.ndim == 3:
            return Encoded(x, x.new_ones(x.shape[:2], dtype=torch.bool))
        return self.encoder(x, mask)


def learn_to_see(
    sight: Sight, pictures: Dataset, epochs: int, seed: int = 0, progress: bool = False
) -> None:
    """Train `sight` on what is in each cell of the pictures; `pictures` as `shapes-questions`."""
    columns = {"image": pictures.column("image"), "cells": cells(pictures)}
    batches = loader(Dataset(columns), 64, shuffle=True, seed=seed)
    fit(sight, naming, batches, epochs=epochs, lr=4e-3, weight_decay=0.05, progress=progress)


def naming(output: Named, batch: dict[str, Tensor]) -> Tensor:
    """Sum of the three cross-entropies, each a mean over cells."""
    truth = batch["cells"].unbind(dim=2)  # three of [B, 9]
    return sum(
        F.cross_entropy(z.flatten(0, 1), t.flatten()) for z, t in zip(output, truth, strict=True)
    )


def cells(data: Dataset) -> Tensor:
    """(N, 9, 3) int64: shape, colour and size in each cell, counted from 1; 0: nothing there."""
    position = data.column("position")  # [N, K]
    found = torch.zeros(len(position), CELLS**2 + 1, 3, dtype=torch.int64)
    place = torch.where(position < 0, CELLS**2, position)  # the absent go into a tenth cell
    for kind, name in enumerate(KINDS):
        found[:, :, kind].scatter_(1, place, data.column(name) + 1)
    return found[:, :-1]


def where_asked(split: str, n: int, seed: int, types: tuple[str, ...], prior: str) -> Tensor:
    """(N, 2, 9) float: which cells hold what the question's first and second description mean."""
    asked, scene = shapes_questions.questions(split, n, seed, types=types, prior=prior)
    match = torch.from_numpy(matching(asked, scene)).float()  # [N, 2, K]
    position = torch.from_numpy(scene.position)
    place = torch.where(position < 0, CELLS**2, position)[:, None].expand_as(match)
    return torch.zeros(n, 2, CELLS**2 + 1).scatter_(2, place, match)[..., :-1]
