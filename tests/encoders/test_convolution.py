"""Each layer equals the library's, values and gradients."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.resnet import BasicBlock

from mmtutor.encoders.convolution import (
    ResidualBlock,
    avg_pool2d,
    batch_norm,
    conv2d_im2col,
    conv2d_loop,
    gradient_map,
    gradient_norms,
    im2col,
    max_pool2d,
    output_size,
    receptive_field,
)

# x, kernels, and options: odd and uneven sides, a batch of one, a kernel as large as the picture.
CASES = [
    ((2, 3, 8, 8), (4, 3, 3, 3), {}),
    ((1, 3, 7, 9), (2, 3, 3, 3), {"padding": 1}),
    ((2, 1, 11, 8), (3, 1, 5, 2), {"stride": 2, "padding": 2}),
    ((2, 2, 10, 9), (3, 2, 3, 3), {"dilation": 2, "padding": 1, "stride": 3}),
    ((2, 4, 6, 6), (6, 2, 3, 3), {"groups": 2, "padding": 1}),
    ((1, 4, 5, 5), (4, 1, 3, 3), {"groups": 4, "stride": 2}),
    ((3, 5, 4, 4), (7, 5, 1, 1), {}),
    ((1, 2, 3, 5), (1, 2, 3, 5), {}),
    ((2, 2, 7, 7), (2, 2, 2, 2), {"stride": 3}),
]


def close(ours, theirs):
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def with_gradients(function, *inputs):
    """What `function` gives, and the gradients of a fixed random weighting of it."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    out = function(*inputs)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    return [out.detach(), *torch.autograd.grad((out * weights).mean(), inputs)]


@pytest.mark.parametrize("conv", [conv2d_loop, conv2d_im2col])
@pytest.mark.parametrize(("shape", "kernel", "options"), CASES)
def test_convolution_equals_torch(conv, shape, kernel, options):
    torch.manual_seed(0)
    inputs = torch.randn(shape), torch.randn(kernel), torch.randn(kernel[0])
    ours = with_gradients(lambda x, w, b: conv(x, w, b, **options), *inputs)
    theirs = with_gradients(lambda x, w, b: F.conv2d(x, w, b, **options), *inputs)
    for mine, other in zip(ours, theirs, strict=True):
        close(mine, other)
    close(conv(*inputs[:2], **options), F.conv2d(*inputs[:2], **options))


@pytest.mark.parametrize("conv", [conv2d_loop, conv2d_im2col])
def test_channels_that_do_not_fit_are_named(conv):
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\).*\(2, 1, 5, 5\)"):
        conv(torch.zeros(2, 1, 5, 5), torch.zeros(4, 3, 3, 3))
    with pytest.raises(ValueError, match="does not fit into 2"):
        conv(torch.zeros(1, 3, 2, 2), torch.zeros(4, 3, 3, 3))


@pytest.mark.parametrize(("shape", "kernel", "options"), CASES)
def test_im2col_and_output_size_equal_torch(shape, kernel, options):
    options = {key: value for key, value in options.items() if key != "groups"}
    x = torch.randn(shape)
    close(im2col(x, kernel[2:], **options), F.unfold(x, kernel[2:], **options))
    out = F.conv2d(x, torch.zeros(1, shape[1], *kernel[2:]), **options)
    sizes = (output_size(x.shape[k], kernel[k], **options) for k in (2, 3))
    assert tuple(sizes) == out.shape[2:]


@pytest.mark.parametrize(
    ("ours", "theirs"), [(max_pool2d, F.max_pool2d), (avg_pool2d, F.avg_pool2d)]
)
@pytest.mark.parametrize("size", [(2, 3, 8, 8), (1, 2, 7, 9), (1, 1, 3, 3)])
@pytest.mark.parametrize("options", [(2,), (3, 1), (3, 2, 1), (2, 3, 1)])
def test_pooling_equals_torch(ours, theirs, size, options):
    x = torch.randn(size).relu()  # zeros tie
    for mine, other in zip(
        with_gradients(lambda x: ours(x, *options), x),
        with_gradients(lambda x: theirs(x, *options), x),
        strict=True,
    ):
        close(mine, other)


def test_the_first_of_equals_takes_the_whole_gradient():
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    max_pool2d(x, 2).sum().backward()
    assert x.grad.flatten().tolist() == [1, 0, 0, 0]
    x.grad = None
    avg_pool2d(x, 2).sum().backward()
    assert x.grad.flatten().tolist() == [0.25] * 4


def test_padding_of_a_pool_is_at_most_half_its_kernel():
    with pytest.raises(ValueError, match="padding must be at most half of kernel 3, got 2"):
        max_pool2d(torch.zeros(1, 1, 5, 5), 3, padding=2)


@pytest.mark.parametrize("shape", [(4, 3, 5, 7), (1, 3, 3, 3), (2, 3, 1, 1)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_equals_torch(shape, training):
    torch.manual_seed(0)
    theirs = nn.BatchNorm2d(3).train(training)
    nn.init.normal_(theirs.weight)
    nn.init.normal_(theirs.bias)
    theirs.running_mean.normal_()
    theirs.running_var.uniform_(0.5, 2)
    mean, var = theirs.running_mean.clone(), theirs.running_var.clone()
    inputs = 3 * torch.randn(shape) + 1, theirs.weight.detach(), theirs.bias.detach()
    ours = with_gradients(
        lambda x, weight, bias: batch_norm(x, mean, var, weight, bias, training), *inputs
    )
    expected = with_gradients(
        lambda x, weight, bias: F.batch_norm(
            x, theirs.running_mean, theirs.running_var, weight, bias, training
        ),
        *inputs,
    )
    for mine, other in zip(ours, expected, strict=True):
        close(mine, other)
    close(mean, theirs.running_mean)
    close(var, theirs.running_var)


def test_batch_norm_of_one_value_has_no_variance():
    one = torch.ones(3)
    x = torch.randn(1, 3, 1, 1)
    with pytest.raises(ValueError, match="more than one value per channel"):
        batch_norm(x, one, one, one, one, training=True)
    close(batch_norm(x, 0 * one, one, one, 0 * one), x / (1 + 1e-5) ** 0.5)


@pytest.mark.parametrize(("channels", "stride"), [((4, 4), 1), ((4, 6), 2), ((4, 6), 1)])
@pytest.mark.parametrize("size", [(2, 4, 8, 8), (1, 4, 7, 5)])
@pytest.mark.parametrize("training", [True, False])
def test_residual_block_equals_torchvision(channels, stride, size, training):
    torch.manual_seed(0)
    ours = ResidualBlock(*channels, stride).train(training)
    shortcut = ours.downsample if len(ours.downsample.state_dict()) else None
    theirs = BasicBlock(*channels, stride, shortcut).train(training)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(size)
    grads = []
    for block in (ours, theirs):
        y = x.clone().requires_grad_()
        out = block(y)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).mean().backward()
        grads.append((out.detach(), y.grad, block.conv1.weight.grad.clone()))
        block.zero_grad()
    for mine, other in zip(*grads, strict=True):
        close(mine, other)
    close(ours.bn2.running_var, theirs.bn2.running_var)


def test_without_the_skip_only_the_convolutions_are_left():
    block = ResidualBlock(3, 3, skip=False).eval()
    x = torch.randn(1, 3, 4, 4)
    with torch.no_grad():
        close(block(x), block.bn2(block.conv2(block.bn1(block.conv1(x)).relu())).relu())


def test_receptive_field_is_what_gradients_reach():
    torch.manual_seed(0)
    layers = [(3, 1), (5, 2), (3, 2), (3, 1)]
    network = nn.Sequential(*(nn.Conv2d(1, 1, k, s, bias=False) for k, s in layers))
    seen = gradient_map(network, torch.randn(2, 1, 64, 64))
    assert seen.shape == (64, 64)
    rows = seen.sum(dim=1).nonzero().flatten()
    assert rows[-1] - rows[0] + 1 == receptive_field(layers) == 1 + 2 + 4 + 2 * 2 + 2 * 4
    assert receptive_field([]) == 1


def test_gradient_norms_of_a_chain_that_is_worked_out_by_hand():
    double = nn.Conv2d(1, 1, 1, bias=False)
    nn.init.constant_(double.weight, 2.0)
    norms = gradient_norms([double] * 3, torch.ones(1, 1, 1, 1))
    assert norms[0] == pytest.approx(2 * norms[1]) == pytest.approx(4 * norms[2])
