import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor.losses import ContrastiveObjective, info_nce, sigmoid_contrastive, triplet

EYE = torch.eye(2)


class Pairs(NamedTuple):
    image: Tensor
    text: Tensor


def pairs(batch=5, dim=4, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    draw = lambda: torch.randn(batch, dim, generator=generator, dtype=dtype)  # noqa: E731
    return F.normalize(draw(), dim=1), F.normalize(draw(), dim=1)


def log_sigmoid(x):
    return -math.log1p(math.exp(-x))


def test_info_nce_by_hand():
    """Orthogonal pairs at scale s: each query scores s on its pair and 0 on the other."""
    expected = -math.log(math.e**2 / (math.e**2 + 1))
    assert info_nce(EYE, EYE, 2.0).item() == pytest.approx(expected, rel=1e-6)


def test_info_nce_equals_cross_entropy_in_both_directions():
    image, text = pairs()
    logits = 7 * image @ text.T
    expected = (
        F.cross_entropy(logits, torch.arange(5)) + F.cross_entropy(logits.T, torch.arange(5))
    ) / 2
    torch.testing.assert_close(info_nce(image, text, 7.0), expected)


def test_info_nce_with_several_positives_by_hand():
    """Three rows, 0 and 1 describe the same: rows 0 and 1 aim at one half on each of them."""
    image, text = pairs(3)
    relevant = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]]).bool()
    logits = 3 * image @ text.T

    def direction(logits):
        log_p = logits.log_softmax(1)
        rows = [-(log_p[0, 0] + log_p[0, 1]) / 2, -(log_p[1, 0] + log_p[1, 1]) / 2, -log_p[2, 2]]
        return sum(rows) / 3

    expected = (direction(logits) + direction(logits.T)) / 2
    torch.testing.assert_close(info_nce(image, text, 3.0, relevant), expected)


def test_sigmoid_by_hand():
    """Two orthogonal pairs: two scores of s + b that should be pairs, two of b that should not."""
    scale, bias = 3.0, -1.0
    expected = -(2 * log_sigmoid(scale + bias) + 2 * log_sigmoid(-bias)) / 2
    assert sigmoid_contrastive(EYE, EYE, scale, bias).item() == pytest.approx(expected, rel=1e-6)


def test_sigmoid_with_several_positives_by_hand():
    scale, bias = 3.0, -1.0
    relevant = torch.tensor([[False, True], [False, False]])
    expected = -(2 * log_sigmoid(scale + bias) + log_sigmoid(bias) + log_sigmoid(-bias)) / 2
    loss = sigmoid_contrastive(EYE, EYE, scale, bias, relevant)
    assert loss.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_gradients_are_right(several):
    image, text = (x.requires_grad_() for x in pairs(4, 3))
    scale = torch.tensor(5.0, dtype=torch.float64, requires_grad=True)
    bias = torch.tensor(-2.0, dtype=torch.float64, requires_grad=True)
    relevant = torch.eye(4).roll(1, 0).bool() if several else None
    assert torch.autograd.gradcheck(lambda *x: info_nce(*x, relevant), (image, text, scale))
    assert torch.autograd.gradcheck(
        lambda *x: sigmoid_contrastive(*x, relevant), (image, text, scale, bias)
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_logits_stay_finite(dtype, sign):
    """Logits of 10,000 with the right pairs scored highest, and lowest."""
    image = torch.eye(3, dtype=dtype).requires_grad_()
    text = sign * torch.eye(3, dtype=dtype)
    for loss in (info_nce(image, text, 1e4), sigmoid_contrastive(image, text, 1e4, -10.0)):
        loss.backward()
        assert loss.dtype == torch.float32
        assert torch.isfinite(loss)
        assert torch.isfinite(image.grad).all()
        assert loss.item() == pytest.approx(0 if sign > 0 else 1e4, rel=0.01, abs=0.01)


def test_autocast_does_not_round_the_scores():
    image, text = pairs(dtype=torch.float32)
    expected = info_nce(image, text, 100.0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(info_nce(image, text, 100.0), expected)


def test_batch_of_one():
    one = torch.ones(1, 2)
    assert info_nce(one, one, 10.0).item() == 0
    expected = -log_sigmoid(20 - 10)
    assert sigmoid_contrastive(one, one, 10.0, -10.0).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("image", "text"), [((2, 3), (2, 4)), ((2, 3), (3, 3)), ((3,), (3,)), ((0, 3), (0, 3))]
)
def test_wrong_shapes_are_named(image, text):
    with pytest.raises(ValueError, match=r"must be \(B, D\)") as error:
        info_nce(torch.zeros(image), torch.zeros(text), 1.0)
    assert str(image) in str(error.value) or str(text) in str(error.value)
    with pytest.raises(ValueError, match=r"must be \(B, D\)"):
        sigmoid_contrastive(torch.zeros(image), torch.zeros(text), 1.0, 0.0)


@pytest.mark.parametrize("relevant", [torch.ones(2, 3).bool(), torch.ones(2, 2)])
def test_wrong_relevance_is_named(relevant):
    with pytest.raises((TypeError, ValueError), match=r"relevant must be (\(2, 2\)|True or False)"):
        info_nce(EYE, EYE, 1.0, relevant)


def test_objectives_start_as_the_papers_do():
    clip, siglip = ContrastiveObjective(), ContrastiveObjective("sigmoid")
    assert clip.logit_scale.item() == pytest.approx(1 / 0.07)
    assert clip.bias is None
    assert siglip.logit_scale.item() == pytest.approx(10)
    assert siglip.bias.item() == -10
    with pytest.raises(ValueError, match="'triplet'"):
        ContrastiveObjective("triplet")


@pytest.mark.parametrize("kind", ["info_nce", "sigmoid"])
def test_objective_learns_and_takes_equal_groups_as_positives(kind):
    image, text = pairs(3, dtype=torch.float32)
    objective = ContrastiveObjective(kind, init_scale=4.0)
    group = torch.tensor([7, 2, 7])
    loss = objective(Pairs(image, text), {"group": group})
    loss.backward()
    relevant = torch.tensor([[1, 0, 1], [0, 1, 0], [1, 0, 1]]).bool()
    if kind == "info_nce":
        expected = info_nce(image, text, 4.0, relevant)
    else:
        expected = sigmoid_contrastive(image, text, 4.0, -10.0, relevant)
    torch.testing.assert_close(loss, expected)
    assert all(p.grad.abs() > 0 for p in objective.parameters())


def test_scale_is_brought_back_to_its_limit_and_can_leave_it_again():
    objective = ContrastiveObjective(max_scale=20.0)
    torch.nn.init.constant_(objective.log_scale, 10.0)
    objective(Pairs(*pairs(dtype=torch.float32)), {}).backward()
    assert objective.logit_scale.item() == pytest.approx(20.0)
    assert objective.log_scale.grad.abs() > 0


# triplets


def test_triplet_by_hand():
    """Scores [[0.5, 0.6, 0.1], [0, 0.9, 0.2], [0.3, 0.8, 0.7]], margin 0.2."""
    score = torch.tensor([[0.5, 0.6, 0.1], [0.0, 0.9, 0.2], [0.3, 0.8, 0.7]])
    image, text = score, torch.eye(3)
    rows, columns = (0.3 + 0 + 0.3) / 3, (0 + 0.1 + 0) / 3
    assert triplet(image, text).item() == pytest.approx((rows + columns) / 2)
    rows, columns = (0.3 + 0.3) / 6, 0.1 / 6
    assert triplet(image, text, hardest=False).item() == pytest.approx((rows + columns) / 2)


def test_triplet_equals_the_library_on_its_hardest_negatives():
    image, text = pairs()
    score = (image @ text.T).fill_diagonal_(-2)
    distance = lambda a, b: 1 - (a * b).sum(1)  # noqa: E731
    expected = [
        F.triplet_margin_with_distance_loss(a, b, hard, distance_function=distance, margin=0.3)
        for a, b, hard in (
            (image, text, text[score.argmax(1)]),
            (text, image, image[score.argmax(0)]),
        )
    ]
    torch.testing.assert_close(triplet(image, text, 0.3), sum(expected) / 2)


@pytest.mark.parametrize("hardest", [True, False])
def test_triplet_gradients_are_right(hardest):
    image, text = (x.requires_grad_() for x in pairs(4, 3))
    relevant = torch.eye(4).roll(1, 0).bool()
    assert torch.autograd.gradcheck(lambda *x: triplet(*x, 0.5, hardest), (image, text))
    assert torch.autograd.gradcheck(lambda *x: triplet(*x, 0.5, hardest, relevant), (image, text))


@pytest.mark.parametrize("hardest", [True, False])
def test_triplet_of_one_pair_costs_nothing(hardest):
    one = torch.ones(1, 2, requires_grad=True)
    loss = triplet(one, one, hardest=hardest)
    assert loss.item() == 0
    assert torch.autograd.grad(loss, one)[0].isfinite().all()


@pytest.mark.parametrize("hardest", [True, False])
def test_triplet_of_a_collapsed_batch_costs_the_margin(hardest):
    same = torch.ones(5, 4) / 2
    assert triplet(same, same, 0.2, hardest).item() == pytest.approx(0.2)


def test_what_is_relevant_is_no_negative():
    same = torch.ones(3, 4) / 2
    assert triplet(same, same, relevant=torch.ones(3, 3).bool()).item() == 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("sign", [1, -1])
def test_extreme_triplets_stay_finite(dtype, sign):
    image = (100 * torch.eye(3, dtype=dtype)).requires_grad_()
    loss = triplet(image, sign * 100 * torch.eye(3, dtype=dtype))
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(0 if sign > 0 else 1e4, rel=0.01)
    assert torch.autograd.grad(loss, image)[0].isfinite().all()


def test_wrong_triplets_are_named():
    with pytest.raises(ValueError, match=r"text must be \(B, D\) with B = 2"):
        triplet(torch.zeros(2, 3), torch.zeros(3, 3))
    with pytest.raises(TypeError, match="relevant must be True or False"):
        triplet(EYE, EYE, relevant=torch.ones(2, 2))


def test_info_nce_at_low_temperature_is_the_hardest_triplet_without_margin():
    image, text = pairs()
    scale = 1e4
    limit = info_nce(image, text, scale) / scale
    torch.testing.assert_close(limit, triplet(image, text, margin=0.0), rtol=1e-3, atol=1e-3)
