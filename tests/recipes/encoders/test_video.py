"""The video recipe, at a size of seconds, and what changing the order of frames means."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data.shapes.motion import OPPOSITE
from mmtutor.encoders import VideoTransformer
from mmtutor.evaluation.predict import Predictions
from mmtutor.recipes.encoders import video as recipe
from mmtutor.recipes.encoders.video import Config

TINY = Config.preset("tiny")


@pytest.mark.parametrize("encoder", ["3d", "2+1d"])
def test_the_tiny_preset_runs(encoder):
    result = recipe.run(replace(TINY, encoder=encoder), progress=False)
    assert {"accuracy", "shuffled", "reversed", "flipped", "parameters"} <= set(result.metrics)
    assert len(result.history.loss) == 2 * 8


def test_a_bag_of_frames_gives_a_clip_and_its_reverse_the_same_name():
    metrics = recipe.run(replace(TINY, encoder="2d", epochs=1), progress=False).metrics
    assert metrics["flipped"]["estimate"] == 0
    assert metrics["shuffled"] == metrics["accuracy"]
    assert metrics["accuracy"]["estimate"] + metrics["reversed"]["estimate"] <= 1


def test_the_control_sees_one_frame():
    assert recipe.clips(replace(TINY, see=1), "test").column("video").shape[1] == 1
    assert isinstance(recipe.build(replace(TINY, encoder="transformer")), VideoTransformer)


def test_backwards_exchanges_names_and_shuffled_keeps_the_frames():
    data = recipe.clips(TINY, "test")
    reverse, mixed = recipe._backwards(data), recipe._shuffled(data)
    assert torch.equal(reverse.column("video")[:, 0], data.column("video")[:, -1])
    assert reverse.column("label").tolist() == [OPPOSITE[i] for i in data.column("label").tolist()]
    assert torch.equal(mixed.column("label"), data.column("label"))
    assert not torch.equal(mixed.column("video"), data.column("video"))
    for clip, other in zip(data.column("video")[:9], mixed.column("video")[:9], strict=True):
        assert sorted(clip.flatten(1).tolist()) == sorted(other.flatten(1).tolist())


def test_flipped_counts_among_the_clips_named_rightly():
    eye = 9 * torch.eye(4)
    straight = Predictions(eye[[0, 1, 2, 0]], torch.tensor([0, 1, 2, 3]))
    reverse = Predictions(eye[[1, 1, 3, 1]], torch.tensor([1, 0, 3, 2]))
    assert recipe._flipped(straight, reverse).tolist() == [1, 0, 1]
    wrong = Predictions(eye[[0]], torch.tensor([1]))
    assert recipe._flipped(wrong, wrong).tolist() == [0]
