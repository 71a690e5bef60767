"""Grad-CAM against captum and by hand; activations; grids."""

import captum.attr
import pytest
import torch
from torch import nn

from mmtutor.encoders import SmallCNN
from mmtutor.explain.features import _as_grid, activations, grad_cam
from mmtutor.explain.targets import pair_score
from mmtutor.models import Classifier
from mmtutor.models.classifier import ClassifierOutput


def test_equal_to_captum(model, batch, target):
    def forward(image):
        return model({**batch, "image": image}).logits

    layer = model.encoders["image"].stages[2]
    their = captum.attr.LayerGradCam(forward, layer)
    theirs = their.attribute(batch["image"], target, relu_attributions=True)
    theirs = nn.functional.interpolate(theirs, (32, 32), mode="bilinear")[:, 0].detach()
    torch.testing.assert_close(grad_cam(model, batch, target, layer), theirs)
    named = grad_cam(model, batch, target, "encoders.image.stages.2")
    assert named.equal(grad_cam(model, batch, target, layer))


def test_of_a_mean_pooled_linear_head_it_is_the_class_map():
    """CAM (Zhou et al. 2016): the head's weights on every token, divided by their number."""
    torch.manual_seed(0)
    model = Classifier(SmallCNN(8, 8), 3).eval()
    batch, target = {"image": torch.rand(2, 3, 64, 64)}, torch.tensor([2, 0])
    tokens = model.encoder(batch["image"]).tokens  # [2, 16, 8]
    by_hand = torch.einsum("bnd,bd->bn", tokens, model.head[1].weight[target]) / 16
    by_hand = nn.functional.interpolate(by_hand.relu().view(2, 1, 4, 4), (64, 64), mode="bilinear")
    torch.testing.assert_close(grad_cam(model, batch, target), by_hand[:, 0].detach())


def test_of_a_pair_and_of_frozen_weights(dual, batch):
    expected = grad_cam(dual, batch, pair_score)
    assert expected.shape == (3, 32, 32)
    assert grad_cam(dual.requires_grad_(False), batch, pair_score).equal(expected)


def test_activations_by_name(model, batch):
    stages = model.encoders["image"].stages
    kept = activations(model, batch, {"edges": stages[0], "last": stages[2]})
    assert {name: tuple(x.shape) for name, x in kept.items()} == {
        "edges": (3, 8, 8, 8),
        "last": (3, 8, 2, 2),
    }
    assert not kept["edges"].requires_grad
    assert not stages[0]._forward_hooks


def test_grids_and_errors(model, batch, target):
    x = torch.arange(12.0).view(1, 6, 2)
    assert _as_grid(x, (20, 30)).equal(x.transpose(1, 2).reshape(1, 2, 2, 3))
    with pytest.raises(ValueError, match="7 tokens form no grid"):
        _as_grid(torch.zeros(1, 7, 2), (20, 30))
    with pytest.raises(ValueError, match="was not called"):
        grad_cam(model, batch, target, nn.Conv2d(3, 3, 1))

    class Blind(nn.Module):
        def __init__(self):
            super().__init__()
            self.image = SmallCNN(8, 8)

        def forward(self, batch):
            return ClassifierOutput(0 * self.image(batch["image"]).pooled())

    assert not grad_cam(Blind(), batch, target).any()


def test_a_layer_is_kept_as_it_was_before_the_next_worked_in_place():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(inplace=True))

    class Whole(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = layers

        def forward(self, batch):
            return ClassifierOutput(self.layers(batch["image"]).mean((2, 3)))

    batch = {"image": torch.randn(2, 3, 4, 4)}
    kept = activations(Whole(), batch, {"norm": layers[0]})["norm"]
    torch.testing.assert_close(kept, batch["image"], atol=1e-3, rtol=0)  # nothing seen yet
    assert kept.min() < 0
