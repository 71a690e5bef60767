"""One model in three frameworks; those that are not installed by their stored result."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmtutor.recipes.common.stored import load_stored
from mmtutor.recipes.deployment import frameworks
from mmtutor.recipes.deployment.frameworks import IN_KERAS, Config, gaps, in_torch, reshaped, task

TINY = Config.preset("tiny")
STORED = load_stored("frameworks")


def test_the_course_is_that_of_gradient_descent():
    weights, data = task(TINY)
    course = in_torch(weights, data, TINY)
    model = frameworks.InTorch(*weights["embed.weight"].shape)
    model.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    batch = {name: torch.tensor(column) for name, column in data.items()}
    for step, expected in enumerate(course.losses):
        loss = F.cross_entropy(model(batch), batch["label"])
        assert loss.item() == pytest.approx(expected)
        slopes = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for (name, p), slope in zip(model.named_parameters(), slopes, strict=True):
                assert step or np.allclose(course.gradients[name], slope, atol=1e-6)
                p -= TINY.lr * slope
    assert course.passes == TINY.steps == len(course.losses)


def test_weights_are_carried_by_their_axes():
    weights, _ = task(TINY)
    assert weights.keys() == IN_KERAS.keys()
    for name, (_, axes) in IN_KERAS.items():
        right, wrong = weights[name].transpose(axes), reshaped(weights[name], axes)
        assert right.shape == wrong.shape
        assert np.array_equal(right.transpose(np.argsort(axes)), weights[name])
        assert np.array_equal(right, wrong) == (list(axes) == sorted(axes))


def test_gaps_are_the_largest_differences():
    course = in_torch(*task(TINY), TINY)
    bias = course.gradients["head.bias"] + 2
    moved = course._replace(
        logits=course.logits + 0.5,
        losses=[loss - 1 for loss in course.losses],
        gradients=course.gradients | {"head.bias": bias},
    )
    assert gaps(moved, course) == pytest.approx({"logits": 0.5, "gradients": 2, "losses": 1})


@pytest.mark.parametrize("run", STORED, ids=lambda run: f"seed {run['seed']}")
def test_all_stored_logits_are_those_of_todays_code(run):
    config = replace(Config.preset(run["preset"]), seed=run["seed"])
    today = in_torch(*task(config), config)
    for logits in run["metrics"]["logits"].values():
        assert np.allclose(today.logits, logits, atol=1e-4)


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(frameworks, "find_spec", lambda name: None if name == "jax" else name)
    with pytest.raises(ImportError, match=r'jax not installed; .* "mmtutor\[frameworks\]"'):
        frameworks.run(TINY)


@pytest.mark.skipif(bool(frameworks.missing()), reason="the extra `frameworks` is not installed")
def test_three_frameworks_agree_and_two_mistakes_do_not():
    found = frameworks.run(TINY).metrics
    for way, gap in found["gaps"].items():
        assert (max(gap.values()) < 1e-5) == (way in ("keras", "jax")), way
    assert found["passes"]["torch"] == TINY.steps
    assert found["passes"]["keras"] == found["passes"]["jax"] == 1
