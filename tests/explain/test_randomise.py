"""Weights drawn anew: all of them, reproducibly, and the model itself untouched."""

import torch

from mmtutor.encoders import VisionTransformer
from mmtutor.explain.randomise import cascade, randomised
from mmtutor.fusion import FUSIONS


def test_every_weight_is_drawn_anew_and_the_model_kept(model):
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape) + 3)
                assert name
    before = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    other = randomised(model, seed=1)
    assert torch.get_rng_state().equal(state)
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())
    for name, value in other.state_dict().items():
        if value.is_floating_point():
            assert not value.equal(before[name]), name
    again, third = randomised(model, seed=1).state_dict(), randomised(model, seed=2).state_dict()
    assert all(value.equal(again[name]) for name, value in other.state_dict().items())
    assert not third["head.weight"].equal(other.state_dict()["head.weight"])


def test_parameters_without_a_layer_are_shuffled():
    torch.manual_seed(0)
    for part in (VisionTransformer(8), FUSIONS["bottleneck"]({"a": 4, "b": 4}, 8)):
        name = "position" if isinstance(part, VisionTransformer) else "shared"
        before, after = getattr(part, name), getattr(randomised(part), name)
        assert not after.equal(before)
        assert after.flatten().sort().values.equal(before.flatten().sort().values)


def test_the_cascade_goes_from_the_head_down(model):
    steps = list(cascade(model))
    names = [name for name, _ in steps]
    assert names[0] == "head"
    assert names[-1] == "encoders.image.stages.0.0"
    first, last = steps[0][1].state_dict(), steps[-1][1].state_dict()
    own = model.state_dict()
    changed = {name for name in own if not first[name].equal(own[name])}
    assert changed == {"head.weight", "head.bias"}
    linear = [name for name in own if name.endswith(("0.weight", "head.weight", "qkv.weight"))]
    assert all(not last[name].equal(own[name]) for name in linear)


def test_statistics_of_a_normalisation_without_weights_are_forgotten():
    layer = torch.nn.BatchNorm2d(2, affine=False)
    layer(torch.full((4, 2, 3, 3), 50.0))
    assert layer.running_mean.min() > 1
    assert not randomised(layer).running_mean.any()
