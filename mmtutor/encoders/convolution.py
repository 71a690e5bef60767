"""The layers of a convolutional network written out, and how far an output of them sees.

Knows convolution, pooling, batch normalisation and the residual block, each equal to PyTorch's own.
They are written to be read: PyTorch's are faster. Knows nothing of tokens, classes or training.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1
) -> int:
    """How many places a kernel has along a side of `size` pixels.

    Dumoulin and Visin (2016), relationship 15. Raises ValueError if the kernel fits nowhere.
    """
    checks.at_least(1, size=size, kernel=kernel, stride=stride, dilation=dilation)
    checks.at_least(0, padding=padding)
    reach = dilation * (kernel - 1) + 1
    if size + 2 * padding < reach:
        raise ValueError(f"a kernel that spans {reach} does not fit into {size} + 2 * {padding}")
    return (size + 2 * padding - reach) // stride + 1


def conv2d_loop(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution as its definition says: at every place, the patch times each kernel, summed.

    Equal to `torch.nn.functional.conv2d`, which, like all of deep learning, does not mirror the
    kernel (strictly it is a cross-correlation).

    Args:
        x: (B, C_in, H, W).
        weight: (C_out, C_in / groups, kh, kw).
        bias: (C_out,).
        groups: channels are parted into so many groups that do not see each other.

    Returns:
        (B, C_out, H', W'), sides as in `output_size`.
    """
    _check_channels(x, weight, groups)
    kh, kw = weight.shape[2:]
    height = output_size(x.shape[2], kh, stride, padding, dilation)
    width = output_size(x.shape[3], kw, stride, padding, dilation)
    x = F.pad(x, [padding] * 4).unflatten(1, (groups, -1))  # [B, G, C_in/G, H, W]
    kernels = weight.unflatten(0, (groups, -1))  # [G, C_out/G, C_in/G, kh, kw]
    rows = []
    for i in range(0, height * stride, stride):
        row = []
        for j in range(0, width * stride, stride):
            down = slice(i, i + dilation * (kh - 1) + 1, dilation)
            across = slice(j, j + dilation * (kw - 1) + 1, dilation)
            patch = x[..., down, across]  # [B, G, C_in/G, kh, kw]
            row.append(torch.einsum("bgchw,gochw->bgo", patch, kernels).flatten(1))
        rows.append(torch.stack(row, dim=-1))
    return _add(torch.stack(rows, dim=-2), bias)


def im2col(
    x: Tensor, kernel: tuple[int, int], stride: int = 1, padding: int = 0, dilation: int = 1
) -> Tensor:
    """Every patch as a column: (B, C, H, W) -> (B, C * kh * kw, H' * W'), as `F.unfold`."""
    seen = _windows(x, kernel, stride, padding, dilation)
    return seen.permute(0, 1, 4, 5, 2, 3).flatten(1, 3).flatten(2)


def conv2d_im2col(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution as one matrix product with the columns of `im2col`; arguments as `conv2d_loop`.

    Source: Chellapilla, Puri and Simard (2006).
    """
    _check_channels(x, weight, groups)
    kernel = tuple(weight.shape[2:])
    columns = im2col(x, kernel, stride, padding, dilation).unflatten(1, (groups, -1))
    kernels = weight.flatten(1).unflatten(0, (groups, -1))  # [G, C_out/G, C_in/G * kh * kw]
    out = (kernels @ columns).flatten(1, 2)  # [B, G, C_out/G, H' * W'] -> [B, C_out, H' * W']
    height = output_size(x.shape[2], kernel[0], stride, padding, dilation)
    return _add(out.unflatten(2, (height, -1)), bias)


def max_pool2d(x: Tensor, kernel: int, stride: int | None = None, padding: int = 0) -> Tensor:
    """The largest pixel of each window, (B, C, H, W) -> (B, C, H', W'), as `F.max_pool2d`.

    Among equals the first wins, and takes the whole gradient. Padding never wins.
    """
    _check_pool(kernel, padding)
    seen = _windows(
        x, (kernel, kernel), kernel if stride is None else stride, padding, fill=-torch.inf
    ).flatten(4)
    return seen.gather(4, seen.argmax(dim=4, keepdim=True)).squeeze(4)


def avg_pool2d(x: Tensor, kernel: int, stride: int | None = None, padding: int = 0) -> Tensor:
    """The mean of each window, zeros of the padding counted, as `F.avg_pool2d`."""
    _check_pool(kernel, padding)
    return _windows(x, (kernel, kernel), kernel if stride is None else stride, padding).mean(
        dim=(4, 5)
    )


def _windows(
    x: Tensor,
    kernel: tuple[int, int],
    stride: int = 1,
    padding: int = 0,
    dilation: int = 1,
    fill: float = 0.0,
) -> Tensor:
    """What each place of a kernel sees: (B, C, H, W) -> (B, C, H', W', kh, kw).

    `padding` pixels of value `fill` are put around the picture first.
    """
    checks.shaped(x=(x, "B C H W"))
    for size, side in zip(x.shape[2:], kernel, strict=True):
        output_size(size, side, stride, padding, dilation)  # refuses a kernel that fits nowhere
    x = F.pad(x, [padding] * 4, value=fill)
    for axis in (0, 1):  # what a kernel spans, and every `dilation`-th of it
        x = x.unfold(2 + axis, dilation * (kernel[axis] - 1) + 1, stride)[..., ::dilation]
    return x


def batch_norm(
    x: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    weight: Tensor,
    bias: Tensor,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalisation of (B, C, H, W), as `F.batch_norm` (Ioffe and Szegedy 2015, algorithm 1).

    In training each channel is centred and scaled by its own mean and variance over the batch and
    all places, and the running statistics (C,) move towards them in place (towards the unbiased
    variance). Otherwise the running statistics are used, and examples do not meet.

    Raises:
        ValueError: in training with one value per channel, which has no variance.
    """
    vectors = {"running_mean": running_mean, "running_var": running_var, "bias": bias}
    vectors["weight"] = weight
    checks.shaped(x=(x, "B C H W"), **{name: (v, "C") for name, v in vectors.items()})
    mean, var = running_mean, running_var
    if training:
        count = x.numel() // x.shape[1]
        if count < 2:
            raise ValueError(f"x must have more than one value per channel, got {tuple(x.shape)}")
        mean, var = x.mean(dim=(0, 2, 3)), x.var(dim=(0, 2, 3), unbiased=False)
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(var * count / (count - 1), momentum)
    mean, var, weight, bias = (v[:, None, None] for v in (mean, var, weight, bias))  # [C, 1, 1]
    return (x - mean) / (var + eps).sqrt() * weight + bias


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to the block's own input (He et al. 2016, figure 2).

    Equal to torchvision's `BasicBlock`, with the same parameter names.

    Args:
        stride: of the first convolution. Where it, or the number of channels, changes the shape, a
            1 x 1 convolution brings the input into the new shape.
        skip: False leaves the addition out, to see what it is worth.
    """

    def __init__(
        self, in_channels: int, out_channels: int, stride: int = 1, skip: bool = True
    ) -> None:
        super().__init__()
        checks.at_least(1, in_channels=in_channels, out_channels=out_channels, stride=stride)
        self.skip = skip
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = nn.Identity()
        if skip and (stride > 1 or in_channels != out_channels):
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, H, W) -> (B, C_out, H / stride, W / stride), rounded up."""
        out = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (out + self.downsample(x)).relu() if self.skip else out.relu()


def receptive_field(layers: Sequence[tuple[int, int]]) -> int:
    """Side in pixels of what one output sees through layers given as (kernel, stride).

    Each layer adds kernel - 1 steps, and a step is the product of the strides before it. A kernel
    with dilation d counts as d * (kernel - 1) + 1.
    """
    field = step = 1
    for kernel, stride in layers:
        checks.at_least(1, kernel=kernel, stride=stride)
        field += (kernel - 1) * step
        step *= stride
    return field


def gradient_map(network: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    """How much the middle of the output depends on each pixel: (B, C, H, W) -> (H, W).

    The mean size of the gradient over images and channels: it is zero outside the receptive field,
    and its bright part is the effective one (Luo et al. 2016). In evaluation mode of `network`
    only, for in training batch normalisation lets every pixel see every other.
    """
    images = images.detach().clone().requires_grad_()
    out = network(images)
    middle = out[:, :, out.shape[2] // 2, out.shape[3] // 2]
    (gradient,) = torch.autograd.grad(middle.sum(), images)
    return gradient.abs().mean(dim=(0, 1))


def gradient_norms(blocks: Sequence[nn.Module], x: Tensor, seed: int = 0) -> list[float]:
    """Length of the gradient at the input of each block, for a random linear loss of the output."""
    inputs, x = [], x.detach().clone().requires_grad_()
    for block in blocks:
        inputs.append(x)
        x = block(x)
    weights = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    gradients = torch.autograd.grad((x * weights).sum(), inputs)
    return [gradient.norm().item() for gradient in gradients]


def _add(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias[:, None, None]


def _check_channels(x: Tensor, weight: Tensor, groups: int) -> None:
    checks.at_least(1, groups=groups)
    checks.shaped(weight=(weight, "O I kh kw"))
    checks.shaped(x=(x, f"B {weight.shape[1] * groups} H W"))
    if len(weight) % groups:
        raise ValueError(f"groups must divide the {len(weight)} kernels of weight, got {groups}")


def _check_pool(kernel: int, padding: int) -> None:
    checks.at_least(1, kernel=kernel)
    checks.at_least(0, padding=padding)
    if 2 * padding > kernel:
        raise ValueError(f"padding must be at most half of kernel {kernel}, got {padding}")
