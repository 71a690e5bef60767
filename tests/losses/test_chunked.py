import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor.evaluation.efficiency import peak_bytes
from mmtutor.losses import (
    ChunkedContrastive,
    ContrastiveObjective,
    chunked_info_nce,
    chunked_sigmoid_contrastive,
    info_nce,
    sigmoid_contrastive,
)


class Pairs(NamedTuple):
    image: Tensor
    text: Tensor


def inputs(batch, dim=5, dtype=torch.float64):
    """Unit rows, a scale and a bias, all of which learn."""
    draw = torch.Generator().manual_seed(0)
    image, text = (torch.randn(batch, dim, generator=draw, dtype=torch.float64) for _ in "ab")
    rows = [F.normalize(x, dim=1).to(dtype).requires_grad_() for x in (image, text)]
    wide = torch.promote_types(dtype, torch.float32)
    return *rows, *(torch.tensor(x, dtype=wide, requires_grad=True) for x in (9.0, -3.0))


def both(kind, image, text, scale, bias, group, chunk):
    """The plain form, the chunked form, and what they depend on."""
    relevant = None if group is None else group[:, None] == group
    if kind == "sigmoid":
        plain = sigmoid_contrastive(image, text, scale, bias, relevant)
        chunked = chunked_sigmoid_contrastive(image, text, scale, bias, group, chunk)
        return plain, chunked, (image, text, scale, bias)
    plain = info_nce(image, text, scale, relevant)
    return plain, chunked_info_nce(image, text, scale, group, chunk), (image, text, scale)


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("batch", "chunk"), [(8, 4), (7, 3), (7, 1), (7, 100), (1, 2), (300, 256)])
@pytest.mark.parametrize("grouped", [False, True])
def test_values_and_gradients_are_those_of_the_plain_form(kind, dtype, batch, chunk, grouped):
    group = torch.arange(batch).flip(0) // 3 if grouped else None
    plain, chunked, learned = both(kind, *inputs(batch, dtype=dtype), group, chunk)
    torch.testing.assert_close(chunked, plain)
    gradients = (torch.autograd.grad(3 * loss, learned) for loss in (chunked, plain))
    for found, expected in zip(*gradients, strict=True):
        assert found.dtype == expected.dtype
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("chunk", [2, 8])
@pytest.mark.parametrize("group", [None, torch.tensor([4, 0, 4, 1, 0])])
def test_gradients_are_right(group, chunk):
    *rest, bias = inputs(5, 3)
    nce = lambda *x: chunked_info_nce(*x, group, chunk)  # noqa: E731
    assert torch.autograd.gradcheck(nce, tuple(rest))
    sigmoid = lambda *x: chunked_sigmoid_contrastive(*x, group, chunk)  # noqa: E731
    assert torch.autograd.gradcheck(sigmoid, (*rest, bias))


def test_only_what_learns_needs_a_gradient():
    """A locked tower and a fixed scale."""
    image, text, *_ = inputs(6)
    loss = chunked_info_nce(image, text.detach(), 7.0, chunk=4)
    expected = torch.autograd.grad(info_nce(image, text.detach(), 7.0), image)
    torch.testing.assert_close(torch.autograd.grad(loss, image), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_logits_stay_finite(dtype, sign):
    """Logits of 10,000 with the right pairs scored highest, and lowest."""
    image = torch.eye(3, dtype=dtype).requires_grad_()
    text = sign * torch.eye(3, dtype=dtype)
    for loss in (
        chunked_info_nce(image, text, 1e4, chunk=2),
        chunked_sigmoid_contrastive(image, text, 1e4, -10.0, chunk=2),
    ):
        [gradient] = torch.autograd.grad(loss, image)
        assert gradient.isfinite().all()
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(0 if sign > 0 else 1e4, rel=0.01, abs=0.01)


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid"])
def test_autocast_does_not_round_the_scores(kind):
    given = *inputs(6, dtype=torch.float32), None, 4
    _, loss, learned = both(kind, *given)
    expected = torch.autograd.grad(loss, learned)
    with torch.autocast("cpu", torch.bfloat16):
        _, again, _ = both(kind, *given)
    found = torch.autograd.grad(again, learned)
    assert torch.equal(again, loss)
    assert all(map(torch.equal, found, expected))


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid"])
def test_memory_grows_with_the_batch_and_not_with_its_square(kind):
    def peak(batch):
        image, text, scale, bias = inputs(batch, 16, torch.float32)

        def step():
            if kind == "sigmoid":
                loss = chunked_sigmoid_contrastive(image, text, scale, bias, chunk=32)
            else:
                loss = chunked_info_nce(image, text, scale, chunk=32)
            torch.autograd.grad(loss, (image, text))

        return peak_bytes(step)

    small, large = peak(512), peak(2048)
    assert large < 4.2 * small
    assert large < 2048**2 * 4 / 4  # a quarter of one matrix of scores


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid"])
def test_objective_is_that_of_the_plain_losses(kind):
    image, text, *_ = inputs(6, dtype=torch.float32)
    batch = {"group": torch.tensor([7, 2, 7, 1, 1, 1])}
    plain, chunked = ContrastiveObjective(kind, 4.0), ChunkedContrastive(kind, 4.0, chunk=4)
    for given in ({}, batch):
        losses = [each(Pairs(image, text), given) for each in (chunked, plain)]
        torch.testing.assert_close(*losses)
        found, expected = (
            torch.autograd.grad(loss, [image, text, *objective.parameters()])
            for loss, objective in zip(losses, (chunked, plain), strict=True)
        )
        torch.testing.assert_close(found, expected)


def test_scale_is_brought_back_to_its_limit():
    objective = ChunkedContrastive(max_scale=20.0)
    torch.nn.init.constant_(objective.log_scale, 10.0)
    objective(Pairs(*inputs(3)[:2]), {}).backward()
    assert objective.log_scale.item() == pytest.approx(math.log(20.0))
    assert objective.log_scale.grad.abs() > 0


def test_wrong_input_is_named():
    rows = torch.zeros(2, 3)
    with pytest.raises(ValueError, match=r"text must be \(B, D\) with B = 2"):
        chunked_info_nce(rows, torch.zeros(3, 3), 1.0)
    with pytest.raises(ValueError, match=r"group must be \(B,\) with B = 2"):
        chunked_sigmoid_contrastive(rows, rows, 1.0, 0.0, torch.zeros(3))
    with pytest.raises(ValueError, match="chunk must be a whole number of at least 1, got 0"):
        ChunkedContrastive(chunk=0)
