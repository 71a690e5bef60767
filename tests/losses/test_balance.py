import pytest
import torch
import torch.nn.functional as F

from mmtutor.encoders import FeatureEncoder
from mmtutor.losses import cross_entropy
from mmtutor.losses.balance import BranchLosses, GradientModulation, _modulation, code_gradients
from mmtutor.models.branches import Branches


def problem(batch=4):
    torch.manual_seed(0)
    model = Branches([FeatureEncoder(3), FeatureEncoder(2, "token_features")], 5)
    data = {
        "image_features": torch.randn(batch, 3, requires_grad=True),
        "token_features": torch.randn(batch, 2, requires_grad=True),
        "label": torch.arange(batch) % 5,
    }
    return model, data


@pytest.mark.parametrize("batch", [1, 4])
def test_branch_losses_add_each_branch_alone(batch):
    model, data = problem(batch)
    output = model(data)
    image, text = (F.cross_entropy(x, data["label"]) for x in output.branches.values())
    expected = cross_entropy(output, data) + 0.5 * (image + text)
    torch.testing.assert_close(BranchLosses(0.5)(output, data), expected)
    torch.testing.assert_close(BranchLosses(0.0)(output, data), cross_entropy(output, data))


def test_modulation_by_hand():
    """Probabilities of the true class 0.8 and 0.2 in a batch of one: ratios 4 and 1/4."""
    scores = {"a": torch.tensor([[4.0, 1.0]]).log(), "b": torch.tensor([[1.0, 4.0]]).log()}
    factors = _modulation(scores, torch.tensor([0]), alpha=0.5)
    torch.testing.assert_close(factors, torch.tensor([1 - torch.tanh(torch.tensor(2.0)), 1.0]))
    assert _modulation(scores, torch.tensor([0]), alpha=0.0).tolist() == [1, 1]
    with pytest.raises(ValueError, match="branches must be of two modalities or more, got a"):
        _modulation({"a": scores["a"]}, torch.tensor([0]), alpha=1.0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_modulation_of_extreme_scores_stays_finite(dtype):
    scores = {"a": torch.tensor([[1e4, 0]]).to(dtype), "b": torch.tensor([[0, 1e4]]).to(dtype)}
    factors = _modulation(scores, torch.tensor([0]), alpha=1.0)
    assert factors.isfinite().all()
    assert factors[1] == 1


def test_modulation_scales_the_encoders_gradient_and_nothing_else():
    model, data = problem()
    leaves = [data["image_features"], data["token_features"], *model.parameters()]
    plain = torch.autograd.grad(cross_entropy(model(data), data), leaves)
    output = model(data)
    loss = GradientModulation(0.7)(output, data)
    held = torch.autograd.grad(loss, leaves)
    torch.testing.assert_close(loss, cross_entropy(output, data))
    factors = _modulation(output.branches, data["label"], 0.7)
    assert factors.min() < 1
    for m in range(2):
        torch.testing.assert_close(held[m], factors[m] * plain[m])
    for a, b in zip(held[2:], plain[2:], strict=True):
        torch.testing.assert_close(a, b)


def test_the_pull_at_a_code_is_the_residual_seen_through_its_scores():
    """d loss_i / d code_m = W_m' (p_i - y_i): one residual for all modalities."""
    model, data = problem()
    output = model(data)
    residual = output.logits.softmax(dim=1) - F.one_hot(data["label"], 5)
    found = code_gradients(cross_entropy(output, data), output.codes)
    for name, score in model.scores.items():
        expected = (residual @ score.weight).norm(dim=1).mean().item()
        assert found[name] == pytest.approx(expected, rel=1e-5)


def test_a_frozen_encoder_hears_nothing():
    model, data = problem()
    data["token_features"] = data["token_features"].detach()
    output = model(data)
    found = code_gradients(cross_entropy(output, data), output.codes)
    assert found["token_features"] == 0 < found["image_features"]
