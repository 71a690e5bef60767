"""Small convolutional image encoders, trained from scratch.

Knows pixels and where they are; knows nothing of text, of pretraining or of losses.
"""

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, check_pictures


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
        checks.at_least(1, dim=dim, width=width, patch=patch)
        self.dim, self.patch, self.coordinates = dim, patch, coordinates
        extra = 2 if coordinates else 0
        self.stages = nn.Sequential(
            conv_block(3 + extra, width, kernel=patch, stride=patch, padding=0),
            conv_block(width, 2 * width, stride=2),
            conv_block(2 * width, dim, stride=2),
        )
        self.mix = conv_block(dim + extra, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) in [0, 1], sides multiples of `patch` -> tokens (B, N, D), row by row."""
        check_pictures(x, self.patch)
        grid = self.stages(self._place(2 * x - 1).contiguous(memory_format=torch.channels_last))
        return Encoded.of_grid(grid + self.mix(self._place(grid)))  # [B, D, H', W'] -> [B, N, D]

    def _place(self, grid: Tensor) -> Tensor:
        return with_coordinates(grid) if self.coordinates else grid


class EdgeCNN(nn.Module):
    """A small CNN whose first kernels overlap, so that an edge is seen wherever it lies.

    Three strided convolutions and a residual one; channels that hold each pixel's coordinates are
    added to the picture and before the last. A token covers 8 x 8 pixels. Kernels that do not
    overlap (`SmallCNN`) are cheaper and learn colours as fast, but shapes much later.

    Args:
        dim: size D of a token.
        width: channels after the first convolution, twice that after the second.
    """

    modality = "image"

    def __init__(self, dim: int, width: int = 16) -> None:
        super().__init__()
        checks.at_least(1, dim=dim, width=width)
        self.dim = dim
        self.stages = nn.Sequential(
            conv_block(5, width, kernel=5, stride=2, padding=2),
            conv_block(width, 2 * width, stride=2),
            conv_block(2 * width, dim, stride=2),
        )
        self.mix = conv_block(dim + 2, dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) in [0, 1] -> tokens (B, N, D), row by row; N = ceil(H / 8) ceil(W / 8)."""
        check_pictures(x)
        x = with_coordinates(2 * x - 1).contiguous(memory_format=torch.channels_last)
        grid = self.stages(x)
        return Encoded.of_grid(grid + self.mix(with_coordinates(grid)))


class CellCNN(nn.Module):
    """A token for each cell of 16 x 16 pixels, and its place.

    Two strided convolutions, then one whose kernel is a whole cell; normalised, so that all
    coordinates have one size; then the cell's x and y in [-3, 3], for they must be heard.

    Args:
        dim: size of a token without its place; `self.dim` is two more.
        width: channels after the first convolution, twice that after the second.
    """

    modality = "image"

    def __init__(self, dim: int, width: int = 16) -> None:
        super().__init__()
        checks.at_least(1, dim=dim, width=width)
        self.dim = dim + 2
        self.stages = nn.Sequential(
            conv_block(3, width, kernel=5, stride=2, padding=2),
            conv_block(width, 2 * width, stride=2),
            conv_block(2 * width, dim, kernel=4, stride=4, padding=0),
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) in [0, 1], sides multiples of 16 -> tokens (B, N, D), row by row."""
        check_pictures(x, 16)
        grid = self.stages((2 * x - 1).contiguous(memory_format=torch.channels_last))
        tokens, mask = Encoded.of_grid(grid)  # [B, N, dim]
        tokens = self.norm(tokens)
        place = 3 * Encoded.of_grid(with_coordinates(grid)[:, -2:]).tokens  # [B, N, 2]
        return Encoded(torch.cat([tokens, place.to(tokens.dtype)], dim=-1), mask)


class EncodeUniqueImages(nn.Module):
    """An image encoder that encodes a picture once where it stands in several rows on end.

    A speed trick, and no more: the tokens are those of the encoder itself, but for batch statistics
    in training, which count each picture once. Where gradients of the pictures may be wanted it
    does nothing of its own.

    Args:
        encoder: of pictures (B, 3, H, W).
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder, self.modality, self.dim = encoder, encoder.modality, encoder.dim

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) -> what the encoder gives for B pictures."""
        if x.requires_grad or (torch.is_grad_enabled() and not self.training):
            return self.encoder(x, mask)
        new = torch.ones(len(x), dtype=torch.bool, device=x.device)
        new[1:] = (x[1:] != x[:-1]).flatten(1).any(dim=1)
        row = new.cumsum(dim=0) - 1  # which of the distinct pictures a row shows
        tokens, real = self.encoder(x[new])
        return Encoded(tokens.index_select(0, row), real[row])


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
