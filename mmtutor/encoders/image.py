"""A small convolutional image encoder, trained from scratch.

Knows pixels and where they are; knows nothing of text, of pretraining or of losses.
"""

import torch
from torch import Tensor, nn

from mmtutor.encoders.base import Encoded


class SmallCNN(nn.Module):
    """A patch convolution, two strided ones and a residual one: an image becomes a grid of tokens.

    A mean over the grid forgets where things are, and "left of" is lost with it. Two channels that
    hold each pixel's coordinates are therefore added to the input, and again before the last
    convolution, whose nonlinearity binds content to place before anything is averaged
    (CoordConv, Liu et al. 2018). The first convolution does not overlap, which keeps the costliest
    layer, the one at full resolution, cheap on a CPU.

    Args:
        dim: size D of a token.
        width: channels after the first convolution, twice that after the second.
        patch: side in pixels of the first convolution's patches; a token covers 4 * patch pixels.
        coordinates: whether the coordinate channels are added.
    """

    modality = "image"

    def __init__(self, dim: int, width: int = 32, patch: int = 4, coordinates: bool = True) -> None:
        super().__init__()
        self.dim = dim
        self.coordinates = coordinates
        extra = 2 if coordinates else 0
        self.stages = nn.Sequential(
            conv_block(3 + extra, width, kernel=patch, stride=patch, padding=0),
            conv_block(width, 2 * width, stride=2),
            conv_block(2 * width, dim, stride=2),
        )
        self.mix = conv_block(dim + extra, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) in [0, 1], sides multiples of 4 * patch -> tokens (B, N, D), row by row."""
        grid = self.stages(self._place(2 * x - 1).contiguous(memory_format=torch.channels_last))
        grid = grid + self.mix(self._place(grid))
        tokens = grid.flatten(2).transpose(1, 2)  # [B, D, H', W'] -> [B, N, D]
        return Encoded(tokens, tokens.new_ones(tokens.shape[:2], dtype=torch.bool))

    def _place(self, grid: Tensor) -> Tensor:
        return with_coordinates(grid) if self.coordinates else grid


def conv_block(
    in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1, padding: int = 1
) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def with_coordinates(grid: Tensor) -> Tensor:
    """Append two channels, x and y in [-1, 1], to a map: (B, C, H, W) -> (B, C + 2, H, W)."""
    height, width = grid.shape[-2:]
    y = torch.linspace(-1, 1, height, device=grid.device, dtype=grid.dtype)
    x = torch.linspace(-1, 1, width, device=grid.device, dtype=grid.dtype)
    place = torch.stack(torch.meshgrid(x, y, indexing="xy"))  # [2, H, W]
    return torch.cat([grid, place.expand(len(grid), -1, -1, -1)], dim=1)
