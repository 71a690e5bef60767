"""Gradients against their definition, against captum, and where they must be 0."""

from functools import partial

import captum.attr
import pytest
import torch
from torch import nn

from mmtutor.encoders import SmallCNN
from mmtutor.explain import gradients
from mmtutor.explain.targets import Probability, differentiable, pair_score, scores
from mmtutor.models import Classifier
from mmtutor.models.classifier import ClassifierOutput

METHODS = (
    gradients.gradient,
    gradients.input_x_gradient,
    gradients.smooth_grad,
    gradients.integrated_gradients,
    gradients.guided_backpropagation,
)


class Linear(nn.Module):
    """A linear score of all pixels, for each class its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 3, 8, 8))

    def forward(self, batch):
        return ClassifierOutput(torch.einsum("bchw,kchw->bk", batch["image"], self.weight))


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return Linear()


def test_of_a_linear_model_all_is_known(linear):
    batch, target = {"image": torch.rand(2, 3, 8, 8)}, torch.tensor([1, 3])
    weight = linear.weight[target].detach()
    part = (weight * batch["image"]).sum(1)
    assert gradients.gradient(linear, batch, target).equal(weight.abs().amax(1))
    torch.testing.assert_close(gradients.input_x_gradient(linear, batch, target), part)
    torch.testing.assert_close(gradients.integrated_gradients(linear, batch, target), part)
    torch.testing.assert_close(gradients.smooth_grad(linear, batch, target), weight.abs().amax(1))


@pytest.mark.parametrize("modality", ["image", "tokens"])
@pytest.mark.parametrize("method", METHODS)
def test_shapes_padding_and_the_model_left_as_it_was(model, batch, target, method, modality):
    model.train()
    model.encoders["image"].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = method(model, batch, target, modality)
    assert found.shape == (batch["image"][:, 0].shape if modality == "image" else (3, 4))
    assert found.isfinite().all()
    assert found.any()
    if modality == "tokens":
        assert not found[~batch["tokens_mask"]].any()
    assert model.training
    assert not model.encoders["image"].training
    assert all(p.grad is None for p in model.parameters())
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    assert not batch["image"].requires_grad
    assert not any(part._forward_hooks for part in model.modules())


@pytest.mark.parametrize("modality", ["image", "tokens"])
def test_integrated_gradients_are_complete(model, batch, target, modality):
    model.double()
    batch["image"] = batch["image"].double()
    x, score = differentiable(model, batch, target, modality)
    with torch.no_grad():
        change = score(x) - score(torch.zeros_like(x))
    rule = partial(gradients.integrated_gradients, model, batch, target, modality)
    coarse, fine = (rule(steps=steps).flatten(1).sum(1) for steps in (2, 64))
    assert (fine - change).norm() < 0.05 * change.norm()
    assert (fine - change).norm() < (coarse - change).norm()


def _many(batch, times):
    return {name: value.repeat(times, *[1] * (value.ndim - 1)) for name, value in batch.items()}


def test_equal_to_captum(model, batch, target):
    def forward(image):
        return model({**_many(batch, len(image) // 3), "image": image}).logits

    image, baseline = batch["image"].clone().requires_grad_(), torch.rand(1, 3, 32, 32)
    theirs = captum.attr.Saliency(forward).attribute(image, target).amax(1)
    torch.testing.assert_close(gradients.gradient(model, batch, target), theirs)
    theirs = captum.attr.InputXGradient(forward).attribute(image, target).sum(1)
    torch.testing.assert_close(gradients.input_x_gradient(model, batch, target), theirs.detach())
    theirs = captum.attr.IntegratedGradients(forward).attribute(
        image, baseline.expand_as(image), target, n_steps=9, method="riemann_middle"
    )
    ours = gradients.integrated_gradients(model, batch, target, baseline=baseline, steps=9)
    torch.testing.assert_close(ours, theirs.sum(1).float().detach(), atol=1e-6, rtol=1e-4)


def test_words_equal_to_captum(model, batch, target):
    def forward(tokens):
        return model({**_many(batch, len(tokens) // 3), "tokens": tokens}).logits

    layer = model.encoders["tokens"].embedding
    their = captum.attr.LayerIntegratedGradients(forward, layer)
    padding = torch.zeros_like(batch["tokens"])
    theirs = their.attribute(batch["tokens"], padding, target, n_steps=9, method="riemann_middle")
    theirs = theirs.sum(-1).masked_fill(~batch["tokens_mask"], 0).float().detach()
    nothing = layer(padding[:1, :1]).detach()
    ours = gradients.integrated_gradients(model, batch, target, "tokens", nothing, steps=9)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_guided_backpropagation_equal_to_captum():
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)
    )

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, batch):
            return ClassifierOutput(self.net(batch["image"]))

    image, target = torch.rand(2, 3, 8, 8), torch.tensor([1, 2])
    ours = gradients.guided_backpropagation(Wrapped(), {"image": image}, target)
    with pytest.warns(UserWarning, match="Setting"):
        theirs = captum.attr.GuidedBackprop(net).attribute(image.clone().requires_grad_(), target)
    torch.testing.assert_close(ours, theirs.abs().amax(1).detach())
    assert not ours.equal(gradients.gradient(Wrapped(), {"image": image}, target))


def test_a_pair_can_be_the_target(dual, batch):
    image = batch["image"].clone().requires_grad_()
    (expected,) = torch.autograd.grad(pair_score(dual, {**batch, "image": image}).sum(), image)
    found = gradients.gradient(dual, batch, pair_score)
    torch.testing.assert_close(found, expected.abs().amax(1))
    assert gradients.gradient(dual, batch, pair_score, "tokens").shape == (3, 4)


def test_each_example_is_explained_on_its_own(model, batch, target):
    together = gradients.gradient(model, batch, target)
    alone = {name: value[1:2] for name, value in batch.items()}
    torch.testing.assert_close(
        gradients.gradient(model, alone, target[1:2]), together[1:2], atol=1e-6, rtol=1e-4
    )


def test_probability_saturates_where_the_logit_does_not():
    torch.manual_seed(0)
    model = Classifier(SmallCNN(8, 8), 3)
    model.head[1].weight.data *= 1e4
    batch = {"image": torch.rand(2, 3, 32, 32)}
    sure = model.eval()(batch).logits.argmax(1)
    assert gradients.gradient(model, batch, sure).amax() > 1
    assert gradients.gradient(model, batch, Probability(sure)).amax() < 1e-6


def test_errors_say_what_is_wrong(linear, model, batch, target):
    with pytest.raises(ValueError, match=r"no nn\.ReLU|needs an nn\.ReLU"):
        gradients.guided_backpropagation(linear, {"image": torch.rand(1, 3, 8, 8)}, target[:1])
    with pytest.raises(ValueError, match=r"target must be \(B,\) with B = 3"):
        gradients.gradient(model, batch, target[:2])
    with pytest.raises(KeyError, match="the batch lacks image"):
        gradients.gradient(model, {"tokens": batch["tokens"]}, target)
    with pytest.raises(ValueError, match="no encoder of 'tokens'; it has none"):
        gradients.gradient(linear, batch, target, "tokens")
    with pytest.raises(ValueError, match="the score of target must be"):
        scores(model, batch, lambda model, batch: model(batch).logits)


class Blind(nn.Module):
    """Reads the words alone."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, batch):
        return self.model({**batch, "image": torch.zeros_like(batch["image"])})


@pytest.mark.parametrize("method", METHODS)
def test_of_a_blind_model_every_map_is_zero(model, batch, target, method):
    assert not method(Blind(model), batch, target).any()
    assert not method(Blind(model).requires_grad_(False), batch, target).any()


def test_a_sound_has_a_size_at_each_moment_and_none_at_padding():
    class Loudness(nn.Module):
        def forward(self, batch):
            return ClassifierOutput(batch["audio"].pow(2).sum(1, keepdim=True))

    sound = torch.tensor([[1.0, -2.0, 3.0]])
    batch = {"audio": sound, "audio_mask": torch.tensor([[True, True, False]])}
    found = gradients.gradient(Loudness(), batch, torch.tensor([0]), "audio")
    assert found.tolist() == [[2.0, 4.0, 0.0]]
    with pytest.raises(ValueError, match="has no map"):
        gradients._sum(torch.zeros(1, 2, 3, 4, 4), "video", {})


def test_the_noise_of_an_example_does_not_depend_on_the_others(model, batch, target):
    picture = batch["image"].clone()
    picture[0] *= 0.01
    alone = {name: value[:1] for name, value in {**batch, "image": picture}.items()}
    together = gradients.smooth_grad(model, {**batch, "image": picture}, target, samples=1)
    torch.testing.assert_close(
        gradients.smooth_grad(model, alone, target[:1], samples=1), together[:1]
    )
