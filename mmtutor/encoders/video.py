"""Video encoders trained from scratch: convolution over space, over space and time, and attention.

Knows frames, their order and which of them are padding. Knows nothing of sound, of optical flow
(`optical_flow.py`) or of losses.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, check_pictures, real
from mmtutor.encoders.image import with_coordinates
from mmtutor.encoders.transformer import TransformerEncoder, sinusoidal_positions

KINDS = ("2d", "3d", "2+1d")
Triple = tuple[int, int, int]


def conv3d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Triple = (1, 1, 1),
    padding: Triple = (0, 0, 0),
) -> Tensor:
    """3D convolution as a sum of 2D convolutions, one for each step of the kernel in time.

    Equal to `torch.nn.functional.conv3d`.

    Args:
        x: (B, C, F, H, W).
        weight: (D, C, kt, kh, kw).
        bias: (D,).
        stride, padding: in time, height and width; padding is with zeros.

    Returns:
        (B, D, F', H', W'), each length (length + 2 padding - kernel) // stride + 1.

    Raises:
        ValueError: the kernel is longer than the padded clip.
    """
    checks.shaped(x=(x, "B C F H W"), weight=(weight, "D C kt kh kw"), bias=(bias, "D | None"))
    checks.at_least(1, **{f"stride[{i}]": step for i, step in enumerate(stride)})
    checks.at_least(0, **{f"padding[{i}]": size for i, size in enumerate(padding)})
    x = F.pad(x, (0, 0, 0, 0, padding[0], padding[0]))
    kernel, step = weight.shape[2], stride[0]
    frames = (x.shape[2] - kernel) // step + 1
    if frames < 1:
        raise ValueError(f"x has {x.shape[2]} padded frames, fewer than a kernel of {kernel}")
    total = 0
    for k in range(kernel):
        seen = x[:, :, k : k + step * (frames - 1) + 1 : step].transpose(1, 2)  # [B, F', C, H, W]
        part = F.conv2d(seen.flatten(0, 1), weight[:, :, k], None, stride[1:], padding[1:])
        total = total + part.unflatten(0, (len(x), frames))  # [B, F', D, H', W']
    total = total.transpose(1, 2)
    return total if bias is None else total + bias.view(-1, 1, 1, 1)


def factorised_kernel(space: Tensor, time: Tensor) -> Tensor:
    """The one 3D kernel that equals a convolution over space followed by one over time.

    space (M, C, kh, kw), time (D, M, kt) -> (D, C, kt, kh, kw). With a nonlinearity between the
    two there is no such kernel.
    """
    checks.shaped(space=(space, "M C kh kw"), time=(time, "D M kt"))
    return torch.einsum("mcyx,dmt->dctyx", space, time)


def per_frame(module: Callable[[Tensor], Tensor], x: Tensor, mask: Tensor) -> Tensor:
    """Apply a module for pictures to every real frame of x (B, F, ...); padding becomes zeros.

    `module` sees the real frames as one batch (M, ...), so that padding cannot enter even the
    statistics of batch normalisation; mask (B, F) bool.
    """
    mask = real(x, mask)
    if mask.all():
        return module(x.flatten(0, 1)).unflatten(0, mask.shape)
    done = module(x[mask])
    return done.new_zeros(*mask.shape, *done.shape[1:]).masked_scatter(
        mask.view(*mask.shape, *[1] * (done.ndim - 1)), done
    )


class SpaceTimeBlock(nn.Module):
    """A convolution over clips, batch normalisation, ReLU; the clip keeps its number of frames.

    - "2d": kernel 1 x 3 x 3: every frame by itself.
    - "3d": kernel 3 x 3 x 3 (Tran et al. 2015).
    - "2+1d": 1 x 3 x 3, normalisation, ReLU, then 3 x 1 x 1 (Tran et al. 2018, section 3.5, but
      with as many channels between the two as behind them, not as many parameters as "3d").

    Args:
        in_channels, out_channels: as in `torch.nn.Conv3d`.
        kind: one of the three.
        stride: in space.
    """

    def __init__(self, in_channels: int, out_channels: int, kind: str, stride: int = 1) -> None:
        super().__init__()
        checks.at_least(1, in_channels=in_channels, out_channels=out_channels, stride=stride)
        checks.one_of(KINDS, kind=kind)
        deep = 3 if kind == "3d" else 1
        options = {"padding": (deep // 2, 1, 1), "stride": (1, stride, stride), "bias": False}
        self.convolutions = nn.ModuleList(
            [nn.Conv3d(in_channels, out_channels, (deep, 3, 3), **options)]
        )
        if kind == "2+1d":
            over_time = nn.Conv3d(
                out_channels, out_channels, (3, 1, 1), padding=(1, 0, 0), bias=False
            )
            self.convolutions.append(over_time)
        self.norms = nn.ModuleList(nn.BatchNorm2d(out_channels) for _ in self.convolutions)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, F, C, H, W), zeros at padding; mask (B, F) -> (B, F, D, H', W'), likewise."""
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x.transpose(1, 2)).transpose(1, 2)
            x = per_frame(nn.Sequential(norm, nn.ReLU()), x, mask)
        return x


class VideoCNN(nn.Module):
    """Patches of each frame, then two blocks that see space ("2d") or space and time.

    One token a frame: the mean of its grid. With "2d" a frame's token knows nothing of the other
    frames, so the mean of the tokens is blind to their order; with "3d" and "2+1d" a token
    knows two frames on each side.

    Args:
        dim: size D of a token.
        width: channels after the first convolution, twice that after the second.
        kind: of `SpaceTimeBlock`.
        patch: side in pixels of the first convolution's patches, which do not overlap.
        coordinates: whether two channels with each pixel's place are added to the frames.
    """

    modality = "video"

    def __init__(
        self, dim: int, width: int = 8, kind: str = "3d", patch: int = 4, coordinates: bool = False
    ) -> None:
        super().__init__()
        checks.at_least(1, dim=dim, width=width, patch=patch)
        self.dim, self.coordinates = dim, coordinates
        self.patches = nn.Sequential(
            nn.Conv2d(5 if coordinates else 3, width, patch, patch, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        )
        self.blocks = nn.ModuleList(
            [SpaceTimeBlock(width, 2 * width, kind), SpaceTimeBlock(2 * width, dim, kind, stride=2)]
        )

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, F, 3, H, W) in [0, 1], mask (B, F) bool, True = real -> tokens (B, F, D).

        Sides are at least 2 * patch. Padding changes nothing, in training neither.
        """
        checks.shaped(video=(x, "B F 3 H W"))
        check_pictures(x.flatten(0, 1))
        mask = real(x, mask)
        return Encoded(self.grid(x, mask).mean(dim=(3, 4)), mask)

    def grid(self, x: Tensor, mask: Tensor) -> Tensor:
        """The feature maps (B, F, D, H', W') before their mean; zeros at padding."""
        x = per_frame(self._patches, x, mask)
        for block in self.blocks:
            x = block(x, mask)
        return x

    def _patches(self, frames: Tensor) -> Tensor:
        return self.patches(with_coordinates(frames) if self.coordinates else frames)


class VideoTransformer(nn.Module):
    """A CNN on every frame, then attention among the frames, which are told their time.

    Time enters only by the positions: without them the mean of the tokens is blind to order.

    Args:
        dim: size D of a token.
        width: of the `VideoCNN` with kind "2d" and coordinates that sees each frame.
        depth, heads, dropout: of the Transformer.
        positions: whether sinusoidal positions in time are added.
    """

    modality = "video"

    def __init__(
        self,
        dim: int,
        width: int = 8,
        depth: int = 2,
        heads: int = 4,
        dropout: float = 0.0,
        positions: bool = True,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.positions = positions
        self.frames = VideoCNN(dim, width, "2d", coordinates=True)
        self.transformer = TransformerEncoder(dim, depth, heads, dropout)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, F, 3, H, W) in [0, 1], mask (B, F) bool, True = real -> tokens (B, F, D)."""
        tokens, mask = self.frames(x, mask)
        if self.positions:
            tokens = tokens + sinusoidal_positions(tokens.shape[1], self.dim).to(tokens)
        return Encoded(self.transformer(tokens, mask), mask)


def multiply_adds(in_channels: int, out_channels: int, kernel: Triple, positions: int) -> int:
    """Multiplications of one convolution: one for each weight at each of its output positions."""
    return in_channels * out_channels * kernel[0] * kernel[1] * kernel[2] * positions
