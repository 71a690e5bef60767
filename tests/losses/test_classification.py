import math

import pytest
import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

from mmtutor.losses import (
    binary_cross_entropy,
    categorical_cross_entropy,
    cross_entropy,
    focal,
    log_softmax,
    softmax,
)
from mmtutor.models import ClassifierOutput

LABEL = torch.tensor([0, 3, 2, 2, 1, 3])
WEIGHT = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.float64)
YES = torch.tensor([1.0, 0.0, 1.0, 0.0, 1.0, 0.3], dtype=torch.float64)
CATEGORICAL = [categorical_cross_entropy, focal]


def draw(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(*shape, generator=generator, dtype=torch.float64)


def with_gradient(loss, *inputs):
    inputs = [x.detach().clone().requires_grad_() for x in inputs]
    value = loss(*inputs)
    return [value, *torch.autograd.grad(value, inputs)]


def assert_same(ours, theirs, *inputs):
    """Equal values and equal gradients."""
    torch.testing.assert_close(with_gradient(ours, *inputs), with_gradient(theirs, *inputs))


# the objective


def test_equal_logits_cost_the_log_of_the_number_of_classes():
    loss = cross_entropy(ClassifierOutput(torch.zeros(2, 5)), {"label": torch.tensor([0, 3])})
    assert loss.item() == pytest.approx(math.log(5))


def test_a_hand_computed_case():
    logits = torch.tensor([[0.0, math.log(3)]])  # probabilities 1/4 and 3/4
    loss = cross_entropy(ClassifierOutput(logits), {"label": torch.tensor([0])})
    assert loss.item() == pytest.approx(math.log(4))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_extreme_logits_in_half_precision_stay_finite(dtype):
    logits = torch.tensor([[1e4, -1e4]], dtype=dtype, requires_grad=True)
    loss = cross_entropy(ClassifierOutput(logits), {"label": torch.tensor([1])})
    loss.backward()
    assert loss.item() == pytest.approx(2e4, rel=0.01)
    assert torch.isfinite(logits.grad).all()


def test_bad_input_is_named():
    with pytest.raises(KeyError, match="lacks label"):
        cross_entropy(ClassifierOutput(torch.zeros(2, 3)), {})
    with pytest.raises(ValueError, match=r"label must be \(B,\) with B = 2, got .*\(3,\)"):
        cross_entropy(ClassifierOutput(torch.zeros(2, 3)), {"label": torch.zeros(3).long()})


def test_the_objective_is_the_definition():
    logits = draw(6, 4)
    objective = cross_entropy(ClassifierOutput(logits), {"label": LABEL})
    expected = categorical_cross_entropy(logits, LABEL)
    torch.testing.assert_close(objective.double(), expected, rtol=1e-6, atol=1e-6)


# softmax


def test_softmax_by_hand():
    logits = torch.tensor([2.0, -1.0, 3.0, 0.0])  # article 003, line 263
    expected = torch.tensor([math.exp(x) for x in (2, -1, 3, 0)])
    torch.testing.assert_close(softmax(logits), expected / expected.sum())


def test_softmax_equals_the_library():
    x = draw(2, 5, 4)
    assert_same(
        lambda x: log_softmax(x).square().sum(), lambda x: x.log_softmax(-1).square().sum(), x
    )
    assert_same(
        lambda x: softmax(x, 0.3)[..., 0].sum(), lambda x: (x / 0.3).softmax(-1)[..., 0].sum(), x
    )


def test_temperature_runs_from_the_winner_takes_all_to_all_share():
    logits = torch.tensor([1.0, 2.0, 1.5])
    torch.testing.assert_close(softmax(logits, 1e-3), torch.tensor([0.0, 1.0, 0.0]))
    torch.testing.assert_close(softmax(logits, 1e6), torch.full((3,), 1 / 3))
    with pytest.raises(ValueError, match=r"temperature must be in \(0, inf\), got 0"):
        softmax(logits, 0.0)


def test_softmax_of_a_masked_class_is_zero_and_its_gradient_finite():
    x = torch.tensor([1.0, -torch.inf, 2.0], requires_grad=True)
    assert softmax(x)[1] == 0
    (gradient,) = torch.autograd.grad(softmax(x)[0], x)
    assert gradient.isfinite().all()


# losses against the library


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_equals_the_library(weight, smoothing):
    assert_same(
        lambda x: categorical_cross_entropy(x, LABEL, weight, smoothing),
        lambda x: F.cross_entropy(x, LABEL, weight, label_smoothing=smoothing),
        draw(6, 4),
    )


@pytest.mark.parametrize("weight", [1.0, 3.0, torch.tensor([1.0, 2.0])])
def test_binary_cross_entropy_equals_the_library(weight):
    target = torch.stack([YES, YES.flip(0)], dim=1)
    assert_same(
        lambda x: binary_cross_entropy(x, target, weight),
        lambda x: F.binary_cross_entropy_with_logits(x, target, pos_weight=torch.as_tensor(weight)),
        draw(6, 2),
    )


@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, 0.25), (0.0, 0.5), (0.5, 0.9)])
def test_focal_with_two_classes_equals_the_library(gamma, alpha):
    """A yes-or-no logit x is the pair of logits (0, x)."""
    label = torch.tensor([1, 0, 1, 0, 1, 0])
    weight = torch.tensor([1 - alpha, alpha], dtype=torch.float64)
    assert_same(
        lambda x: focal(torch.stack([torch.zeros_like(x), x], 1), label, gamma, weight),
        lambda x: sigmoid_focal_loss(x, label.double(), alpha, gamma, reduction="mean"),
        draw(6),
    )


def test_focal_without_focus_is_cross_entropy():
    x = draw(6, 4)
    torch.testing.assert_close(focal(x, LABEL, 0.0), categorical_cross_entropy(x, LABEL))


def test_focal_by_hand():
    logits = torch.tensor([[math.log(9.0), 0.0]])  # 0.9 and 0.1
    loss = focal(logits, torch.tensor([0]), gamma=2.0)
    assert loss.item() == pytest.approx(-0.01 * math.log(0.9))


def test_the_articles_example():
    """003:222: labels 1, 0, 1, 0 and probabilities 0.7, 0.3, 0.6, 0.4."""
    p = torch.tensor([0.7, 0.3, 0.6, 0.4], dtype=torch.float64)
    y = torch.tensor([1, 0, 1, 0])
    expected = -(2 * math.log(0.7) + 2 * math.log(0.6)) / 4
    assert binary_cross_entropy(p.logit(), y).item() == pytest.approx(expected)


# gradients and extremes


@pytest.mark.parametrize("batch", [1, 5])
def test_gradients_are_right(batch):
    x, label = draw(batch, 4).requires_grad_(), LABEL[:batch]
    for loss in (
        lambda x: categorical_cross_entropy(x, label, WEIGHT, 0.2),
        lambda x: focal(x, label, 2.0, WEIGHT),
        lambda x: focal(x, label, 0.5),
        lambda x: binary_cross_entropy(x, x.detach().sigmoid().round(), 2.0),
        lambda x: softmax(x, 0.7),
    ):
        assert torch.autograd.gradcheck(loss, x)


def test_the_gradient_at_a_logit_of_exactly_zero_is_p_minus_y():
    """Where min(x, 0) - log(1 + exp(-|x|)) has a kink, this loss has none."""
    for y in (0.0, 1.0):
        x = torch.zeros(1, requires_grad=True)
        (gradient,) = torch.autograd.grad(binary_cross_entropy(x, torch.tensor([y])), x)
        assert gradient.item() == 0.5 - y


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
@pytest.mark.parametrize("right", [True, False])
def test_extreme_logits_stay_finite(dtype, right):
    """Logits of 10,000, for the label and against it."""
    x = torch.tensor([[1e4, -1e4]], dtype=dtype, requires_grad=True)
    label = torch.tensor([0 if right else 1])
    losses = {
        "categorical": categorical_cross_entropy(x, label),
        "focal": focal(x, label, 0.5),
        "binary": 2 * binary_cross_entropy(x[:, :1], 1 - label[:, None]),
    }
    for name, loss in losses.items():
        (gradient,) = torch.autograd.grad(loss, x)
        assert loss.dtype == torch.float32
        assert loss.item() == pytest.approx(0 if right else 2e4, rel=0.01), name
        assert gradient.isfinite().all(), name
    smooth = categorical_cross_entropy(x, label, smoothing=0.1)
    assert smooth.isfinite()


def test_naive_softmax_is_not_finite_there():
    x = torch.tensor([1e4, -1e4])
    assert (x.exp() / x.exp().sum()).isnan().any()
    assert softmax(x).isfinite().all()


# errors


@pytest.mark.parametrize("loss", CATEGORICAL)
def test_wrong_shapes_are_named(loss):
    with pytest.raises(ValueError, match=r"label must be \(B,\) with B = 2, got .*\(3,\)"):
        loss(torch.zeros(2, 3), torch.zeros(3).long())
    with pytest.raises(ValueError, match=r"logits must be \(B, C\), got .*\(3,\)"):
        loss(torch.zeros(3), torch.tensor(0))
    with pytest.raises(ValueError, match=r"weight must be \(C,\) with C = 3, got .*\(2,\)"):
        loss(torch.zeros(2, 3), torch.zeros(2).long(), weight=torch.ones(2))


def test_labels_that_are_no_classes_are_refused():
    for label in (-100, -1, 3):
        for loss in CATEGORICAL:
            with pytest.raises(ValueError, match=rf"label must be .* in \[0, 3\), got {label}"):
                loss(torch.zeros(1, 3), torch.tensor([label]))


def test_a_batch_without_an_example_is_refused():
    for loss in CATEGORICAL:
        with pytest.raises(ValueError, match=r"logits must be \(B, C\), got .*\(0, 3\)"):
            loss(torch.zeros(0, 3), torch.zeros(0).long())


def test_bad_options_are_named():
    x, label = torch.zeros(2, 3), torch.zeros(2).long()
    with pytest.raises(ValueError, match=r"smoothing must be in \[0, 1\], got 1.5"):
        categorical_cross_entropy(x, label, smoothing=1.5)
    with pytest.raises(ValueError, match="at least 2 classes"):
        focal(x[:, :1], label)
    with pytest.raises(ValueError, match=r"gamma must be in \[0, inf\), got -1"):
        focal(x, label, gamma=-1)
    with pytest.raises(ValueError, match=r"\(2, 1\) and \(2,\)"):
        binary_cross_entropy(torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(ValueError, match=r"not empty, got \(0,\)"):
        binary_cross_entropy(torch.zeros(0), torch.zeros(0))
