"""Stick figures: joints hang together as limbs do, and are where the paint is."""

import math

import pytest
import torch

from mmtutor.data.synthetic.stick_figures import (
    BONES,
    JOINTS,
    MIRRORED,
    _paint,
    _skeleton,
    load,
    walk,
)

ONE = torch.ones(1)


def figure(*angles):
    """A figure 100 pixels high at (50, 50), its joints by name."""
    joints = _skeleton(torch.tensor([angles]), 100 * ONE, torch.tensor([[50.0, 50.0]]))
    return dict(zip(JOINTS, joints[0], strict=True))


def test_a_figure_at_rest_by_hand():
    rest = figure(*[0.0] * 9)
    expected = {
        "head": (50, 7),
        "left shoulder": (61, 20),
        "right wrist": (39, 54),
        "left hip": (57, 50),
        "right ankle": (43, 90),
    }
    for name, place in expected.items():
        torch.testing.assert_close(rest[name], torch.tensor(place).float())


def test_limbs_lift_outwards_and_bend_against_the_upper_one():
    lifted = figure(0, math.pi / 2, 0, math.pi / 2, 0, 0, math.pi / 2, 0, 0)
    torch.testing.assert_close(lifted["left elbow"], torch.tensor([78.0, 20.0]))
    torch.testing.assert_close(lifted["left wrist"], torch.tensor([78.0, 3.0]))
    torch.testing.assert_close(lifted["right ankle"], torch.tensor([3.0, 50.0]))


def test_limbs_keep_their_length():
    joints = load(n=50, size=64).column("joints")
    for left, right in [((1, 3), (2, 4)), ((9, 11), (10, 12))]:
        lengths = [(joints[:, a] - joints[:, b]).norm(dim=1) for a, b in (left, right)]
        torch.testing.assert_close(*lengths)


def test_the_paint_is_on_the_joints():
    data = load(n=100)
    clear = _paint(
        data.column("joints"),
        torch.zeros(100, 0, 2, 2),
        torch.tensor([[0.0] * 3, [1.0] * 3]).expand(100, 2, 3),
        48,
    )
    places = data.column("joints").round().long().clamp(0, 47)
    rows = torch.arange(100).unsqueeze(1)
    inside = ((data.column("joints") >= 0) & (data.column("joints") <= 47)).all(dim=2)
    assert inside.double().mean() > 0.95
    assert (clear[rows, :, places[..., 1], places[..., 0]][inside] > 60).all()
    assert clear.float().mean() < 60  # and not everywhere


def test_seen_from_behind_left_and_right_are_exchanged():
    front, behind = load(n=3), load(n=3, from_behind=True)
    assert torch.equal(front.column("image"), behind.column("image"))
    assert torch.equal(front.column("joints")[:, list(MIRRORED)], behind.column("joints"))
    for joint, other in enumerate(MIRRORED):
        swapped = JOINTS[joint].replace("left", "x").replace("right", "left")
        assert JOINTS[other] == swapped.replace("x", "right")
    assert {tuple(sorted((MIRRORED[a], MIRRORED[b]))) for a, b in BONES} == {
        tuple(sorted(bone)) for bone in BONES
    }


def test_the_seed_and_the_split_decide():
    one, two = load(n=4, seed=5).column("image"), load(n=4, seed=5).column("image")
    assert torch.equal(one, two)
    assert not torch.equal(one, load(n=4, seed=6).column("image"))
    assert not torch.equal(one, load("test", n=4, seed=5).column("image"))


def test_a_walk_closes():
    video, joints = walk(8, 40)
    assert video.shape == (8, 3, 40, 40)
    assert video.dtype == torch.uint8
    step = (joints - joints.roll(1, 0)).norm(dim=2).amax(dim=1)
    assert step.min() > 0
    assert step.max() < 12


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "split must be 'train', 'val' or 'test', got 'dev'"),
        ({"size": 16}, "size must be a whole number of at least 32, got 16"),
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        load(**options)
