import math
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.encoders import FeatureEncoder
from mmtutor.losses.multitask import (
    CombinedGradients,
    GradNorm,
    UncertaintyWeighting,
    WeightedSum,
    equal_norms,
    gradient_cosines,
    pcgrad,
    task_gradients,
    task_losses,
)
from mmtutor.models.multitask import MultiTask
from mmtutor.training import fit


class Output(NamedTuple):
    tasks: dict[str, Tensor]


def problem(batch=6, scale=1.0):
    """A model with a shared matrix, one task of each kind, and a batch."""
    torch.manual_seed(0)
    model = MultiTask(
        FeatureEncoder(4), {"kind": nn.Linear(3, 5), "size": nn.Linear(3, 2)}, nn.Linear(4, 3)
    )
    data = {
        "image_features": torch.randn(batch, 4),
        "kind": torch.arange(batch) % 5,
        "size": scale * torch.randn(batch, 2),
    }
    return model, data


def gradients_of(objective, model, data):
    """Gradient on every parameter of the model."""
    return torch.autograd.grad(objective(model(data), data), list(model.parameters()))


def test_task_losses_by_hand():
    tasks = {"kind": torch.zeros(1, 4), "size": torch.tensor([[1.0, 3.0]])}
    batch = {"kind": torch.tensor([2]), "size": torch.tensor([[0.0, 0.0]])}
    assert task_losses(Output(tasks), batch).tolist() == pytest.approx([math.log(4), 5.0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_logits_stay_finite(dtype):
    logits = (1e4 * torch.eye(3)).to(dtype).requires_grad_()
    for label in (torch.arange(3), torch.arange(3).roll(1)):
        loss = task_losses(Output({"kind": logits}), {"kind": label})
        (gradient,) = torch.autograd.grad(loss.sum(), logits)
        assert loss.dtype == torch.float32
        assert loss.isfinite().all()
        assert gradient.isfinite().all()


@pytest.mark.parametrize(
    ("prediction", "target"),
    [
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.long)),
        (torch.zeros(2, 3), torch.zeros(2, 1)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.long)),
    ],
)
def test_wrong_shapes_name_the_task(prediction, target):
    with pytest.raises(ValueError, match=r"kind.* must be \("):
        task_losses(Output({"kind": prediction}), {"kind": target})
    with pytest.raises(KeyError, match="lacks kind"):
        task_losses(Output({"kind": prediction}), {"other": target})


def test_weighted_sum():
    model, data = problem()
    losses = task_losses(model(data), data)
    assert torch.equal(WeightedSum()(model(data), data), losses.sum())
    weighted = WeightedSum({"size": 3.0, "kind": 0.5})(model(data), data)
    torch.testing.assert_close(weighted, 0.5 * losses[0] + 3 * losses[1])
    with pytest.raises(KeyError, match="lacks size"):
        WeightedSum({"kind": 1.0})(model(data), data)


def test_uncertainty_rests_at_the_logarithm_of_the_losses():
    """At s = log L the gradient on s is zero, task k weighs 1 / (2 L_k), the value has no units."""
    model, data = problem()
    losses = task_losses(model(data), data)
    objective = UncertaintyWeighting(2, speed=4.0)
    objective.parameter.data = losses.detach().log() / 4
    value = objective(model(data), data)
    (slope,) = torch.autograd.grad(value, objective.parameter, retain_graph=True)
    torch.testing.assert_close(slope, torch.zeros(2), atol=1e-6, rtol=0)
    torch.testing.assert_close(value, (1 + losses.log()).sum() / 2)
    expected = torch.autograd.grad(
        (losses / (2 * losses.detach())).sum(), model.shared, retain_graph=True
    )
    for a, b in zip(torch.autograd.grad(value, model.shared), expected, strict=True):
        torch.testing.assert_close(a, b)


def test_gradients_are_right_in_double_precision():
    label = {"kind": torch.tensor([0, 2]), "size": torch.randn(2, 3).double()}
    s = UncertaintyWeighting(2, speed=2.0).double()
    x = torch.randn(2, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: task_losses(Output({"kind": x}), label), x)
    both = lambda x: s(Output({"kind": x, "size": x}), label)  # noqa: E731
    assert torch.autograd.gradcheck(both, x)


def test_task_gradients_by_hand_and_for_unreached_parameters():
    a, b = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([5.0], requires_grad=True)
    losses = torch.stack([(a**2).sum(), (a * b).sum()])
    assert task_gradients(losses, [a, b]).tolist() == [[2, 4, 0], [5, 5, 3]]
    assert a.grad is None
    with pytest.raises(ValueError, match="must be not empty"):
        task_gradients(losses, [])


def test_cosines_by_hand():
    cosines = gradient_cosines(torch.tensor([[3.0, 0], [-1, 1], [0, 0]]))
    root = 0.5**0.5
    expected = torch.tensor([[1.0, -root, 0], [-root, 1, 0], [0, 0, 0]])
    torch.testing.assert_close(cosines, expected)


def test_pcgrad_by_hand():
    """(2, 0) and (-1, 1) conflict: each keeps its part at a right angle to the other."""
    assert pcgrad(torch.tensor([[2.0, 0], [-1, 1]])).tolist() == [1, 2]  # (1, 1) + (0, 1)
    agree = torch.tensor([[2.0, 0], [1, 1]])
    assert pcgrad(agree).tolist() == [3, 1]
    assert pcgrad(torch.tensor([[1.0, 0], [-1, 0]])).tolist() == [0, 0]
    assert pcgrad(torch.zeros(2, 3)).tolist() == [0, 0, 0]
    assert pcgrad(torch.tensor([[1.0, 2]])).tolist() == [1, 2]


def test_pcgrad_of_two_never_raises_either_loss():
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        gradients = torch.randn(2, 3, generator=generator)
        assert (gradients @ pcgrad(gradients)).min() > -1e-5


def test_equal_norms_by_hand():
    assert equal_norms(torch.tensor([[3.0, 0], [0, 1]])).tolist() == [2, 2]
    assert equal_norms(torch.tensor([[4.0, 0], [0, 0]])).tolist() == [2, 0]


@pytest.mark.parametrize("function", [pcgrad, equal_norms, gradient_cosines])
def test_wrong_gradients_are_refused(function):
    with pytest.raises(ValueError, match=r"gradients must be \(T, P\)"):
        function(torch.zeros(3))


@pytest.mark.parametrize("combine", [pcgrad, equal_norms])
@pytest.mark.parametrize("batch", [1, 6])
def test_combined_gradients_reach_the_shared_part_and_leave_the_heads(combine, batch):
    model, data = problem(batch, scale=5.0)
    shared = len(model.shared)
    plain = gradients_of(WeightedSum(), model, data)
    found = gradients_of(CombinedGradients(model.shared, combine), model, data)
    wanted = combine(task_gradients(task_losses(model(data), data), model.shared))
    flat = torch.cat([gradient.flatten() for gradient in found[:shared]])
    torch.testing.assert_close(flat, wanted, atol=1e-5, rtol=1e-4)
    for a, b in zip(found[shared:], plain[shared:], strict=True):
        torch.testing.assert_close(a, b)
    value = CombinedGradients(model.shared, combine)(model(data), data)
    torch.testing.assert_close(value, WeightedSum()(model(data), data))


def test_objectives_that_look_at_gradients_also_run_without():
    model, data = problem()
    with torch.no_grad():
        plain = WeightedSum()(model(data), data)
        assert torch.equal(CombinedGradients(model.shared, pcgrad)(model(data), data), plain)
        torch.testing.assert_close(GradNorm(2, model.shared)(model(data), data), plain)


def test_gradnorm_moves_weight_to_the_task_that_pulls_less():
    model, data = problem(scale=10.0)
    objective = GradNorm(2, model.shared)
    value = objective(model(data), data)
    torch.testing.assert_close(value, task_losses(model(data), data).sum())
    losses = task_losses(model(data), data)
    norms = task_gradients(losses, model.shared).norm(dim=1)
    assert norms[0] < norms[1]
    (slope,) = torch.autograd.grad(value, objective.parameter)
    assert slope[0] < 0 < slope[1]  # descent raises the first weight and lowers the second
    objective.parameter.data = torch.tensor([0.0, math.log(3)])  # weights 1/2 and 3/2
    weighted = objective(model(data), data)
    torch.testing.assert_close(weighted, 0.5 * losses[0] + 1.5 * losses[1])


def test_gradnorm_in_fit_comes_to_rest_at_equal_norms():
    """With the model frozen in place by a learning rate of zero the weights are 1 / norm."""
    model, data = problem(scale=10.0)
    objective = GradNorm(2, model.shared)
    optimizer = torch.optim.Adam(
        [{"params": model.parameters(), "lr": 0.0}, {"params": objective.parameters(), "lr": 0.02}]
    )
    fit(
        model,
        objective,
        loader(Dataset(data), 6),
        epochs=300,
        optimizer=optimizer,
        progress=False,
    )
    norms = task_gradients(task_losses(model(data), data), model.shared).norm(dim=1)
    expected = 2 * F.normalize(1 / norms, p=1, dim=0)
    torch.testing.assert_close(objective.weights, expected, atol=0.02, rtol=0.05)
    assert objective.first.isfinite().all()


def test_three_identical_losses_triple_the_gradient():
    """001's image, text and audio loss are one formula: the sum points where one of them points."""
    model, data = problem()
    one = gradients_of(WeightedSum({"kind": 1.0, "size": 0.0}), model, data)
    three = gradients_of(WeightedSum({"kind": 3.0, "size": 0.0}), model, data)
    for a, b in zip(one, three, strict=True):
        torch.testing.assert_close(3 * a, b)
