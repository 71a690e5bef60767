"""EfficientNet-Lite0 written out, so that its pretrained weights can be read and understood.

Knows the network's equations and its weights file; knows nothing of text, of encoders' `Encoded` or
of training. The Lite variant of EfficientNet (Tan and Le 2019) drops squeeze-and-excitation and
replaces swish by ReLU6, so that it can be quantised.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (expansion, output channels, repeats, stride of the first, kernel) of each stage.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
FEATURES = 1280
CLASSES = 1000


class _SameConv(nn.Conv2d):
    """Convolution with TensorFlow's SAME padding: an odd pixel of padding goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', ceil(H / stride), ceil(W / stride))."""
        rows, columns = (self._padding(size) for size in x.shape[-2:])
        if rows[0] != rows[1] or columns[0] != columns[1]:  # only then is a padded copy needed
            x, rows, columns = F.pad(x, (*columns, *rows)), (0, 0), (0, 0)
        padding = rows[0], columns[0]
        return F.conv2d(x, self.weight, self.bias, self.stride, padding, groups=self.groups)

    def _padding(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        return total // 2, total - total // 2


class _ConvNorm(nn.Module):
    """Convolution, batch normalisation and, unless `linear`, ReLU6."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        linear: bool = False,
    ) -> None:
        super().__init__()
        self.conv = _SameConv(in_channels, out_channels, kernel, stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3)
        self.linear = linear

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        x = self.norm(self.conv(x))
        return x if self.linear else F.relu6(x, inplace=True)


class _MBConv(nn.Module):
    """Inverted residual: widen, filter each channel alone, narrow without a nonlinearity."""

    def __init__(
        self, in_channels: int, out_channels: int, expansion: int, kernel: int, stride: int
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.expand = _ConvNorm(in_channels, wide, 1) if expansion > 1 else nn.Identity()
        self.depthwise = _ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = _ConvNorm(wide, out_channels, 1, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        out = self.project(self.depthwise(self.expand(x)))
        return x + out if self.residual else out


# The weights file's names -> ours. Names inside a block start with a dot and are replaced first.
RENAMED = (
    ("_blocks.", "blocks."),
    ("._expand_conv.", ".expand.conv."),
    ("._bn0.", ".expand.norm."),
    ("._depthwise_conv.", ".depthwise.conv."),
    ("._bn1.", ".depthwise.norm."),
    ("._project_conv.", ".project.conv."),
    ("._bn2.", ".project.norm."),
    ("_conv_stem.", "stem.conv."),
    ("_bn0.", "stem.norm."),
    ("_conv_head.", "head.conv."),
    ("_bn1.", "head.norm."),
    ("_fc.", "classifier."),
)


class EfficientNetLite(nn.Module):
    """EfficientNet-Lite0: a stem, sixteen _MBConv blocks, a 1x1 head and a linear classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _ConvNorm(3, 32, 3, stride=2)
        blocks, channels = [], 32
        for expansion, out_channels, repeats, stride, kernel in STAGES:
            for i in range(repeats):
                step = stride if i == 0 else 1
                blocks.append(_MBConv(channels, out_channels, expansion, kernel, step))
                channels = out_channels
        self.blocks = nn.Sequential(*blocks)
        self.head = _ConvNorm(channels, FEATURES, 1)
        self.classifier = nn.Linear(FEATURES, CLASSES)

    @classmethod
    def from_file(cls, path: str | Path) -> EfficientNetLite:
        """The network with the released weights (a pickle, so `weights_only`)."""
        network, weights = cls(), torch.load(path, map_location="cpu", weights_only=True)
        for theirs, ours in RENAMED:
            weights = {name.replace(theirs, ours): tensor for name, tensor in weights.items()}
        network.load_state_dict(weights)
        return network

    def features(self, x: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> feature map (B, 1280, H/32, W/32)."""
        return self.head(self.blocks(self.stem(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) -> class logits (B, 1000)."""
        return self.classifier(self.features(x).mean(dim=(2, 3)))
