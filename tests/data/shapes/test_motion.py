"""`moving-shapes`: no frame tells the class, the flow is what moved, captions say what is there."""

import hashlib

import numpy as np
import pytest
import torch

from mmtutor.data import collate, load
from mmtutor.data.shapes.captions import COLOURS_ZH, SHAPES_ZH
from mmtutor.data.shapes.motion import (
    MOTIONS,
    OPPOSITE,
    PHASES,
    SPEEDS,
    VERBS,
    VERBS_ZH,
    _draw,
    paths,
)
from mmtutor.data.shapes.render import render
from mmtutor.data.shapes.scene import COLOURS, SHAPES, SIZES, scenes

S = 32


def digest(dataset) -> str:
    total = hashlib.sha256()
    for name in sorted(dataset.columns):
        column = dataset.column(name)
        total.update(
            "\n".join(column).encode() if isinstance(column, list) else column.numpy().tobytes()
        )
    return total.hexdigest()


def every_start(motion: int, speed: int, phase: int, frames: int = 9):
    """Centres (S * S, frames, 2) from every pixel of the torus."""
    x, y = np.meshgrid(np.arange(S), np.arange(S))
    start = np.stack([x.ravel(), y.ravel()], axis=1)[:, None]  # [S * S, 1, 2]
    one = np.ones((S * S, 1), dtype=np.int64)
    return paths(motion * one, speed * one, start, phase * one, frames, S)[:, :, 0]


def test_bytes_are_pinned():
    dataset = load("moving-shapes", "test", n=32, seed=7, max_objects=3, with_flow=True)
    assert digest(dataset) == "633cefd6728d00c2289eca00ee00eb94cfee394db8178f57fbb0f1c93f2b3298"


@pytest.mark.parametrize("motion", range(len(MOTIONS)))
@pytest.mark.parametrize("speed", SPEEDS)
def test_in_every_frame_the_object_is_equally_often_everywhere(motion, speed):
    """So the distribution of any single frame is the same for each class: it cannot tell."""
    for phase in (0, 5):
        centre = every_start(motion, speed, phase)
        for frame in range(centre.shape[1]):
            cells = centre[:, frame, 1] * S + centre[:, frame, 0]
            assert np.array_equal(np.sort(cells), np.arange(S * S))


@pytest.mark.parametrize("motion", range(len(MOTIONS)))
def test_played_backwards_it_is_a_clip_of_the_opposite_class(motion):
    """The set of all clips of a class, backwards, is the set of all clips of its opposite."""
    frames = 5

    def clips(motion, backwards):
        paths = [every_start(motion, 2, phase, frames) for phase in range(PHASES)]
        paths = np.concatenate(paths)[:, :: -1 if backwards else 1].reshape(-1, 2 * frames)
        return np.unique(paths, axis=0, return_counts=True)

    for mine, other in zip(clips(motion, True), clips(OPPOSITE[motion], False), strict=True):
        assert np.array_equal(mine, other)


def test_the_names_of_the_motions_are_what_happens():
    """Left is towards smaller x, up towards smaller y; clockwise as on a clock, y pointing down."""
    for motion, step in zip(MOTIONS[:4], [(-1, 0), (1, 0), (0, -1), (0, 1)], strict=True):
        centre = every_start(MOTIONS.index(motion), 1, 0)
        assert ((centre[:, 1] - centre[:, 0] - step) % S == 0).all()
    x, y = every_start(4, 1, 0)[17 * S + 17].T  # from the right, around the middle (17, 17)
    assert (x[0], y[0]) == (21, 17)
    assert y[2] == 21  # then below
    assert x[4] == 13  # then left
    assert (x[PHASES], y[PHASES]) == (21, 17)
    for phase in range(PHASES):
        turn = np.diff(every_start(4, 1, phase)[17 * S + 17] - 17, axis=0)
        assert (turn[:-1, 0] * turn[1:, 1] > turn[:-1, 1] * turn[1:, 0]).all()


def test_a_frame_is_the_picture_that_shapes_draws():
    scene = scenes("train", 40, seed=3)
    scene.count[:] = 1
    for part in (scene.shape, scene.colour, scene.size, scene.position):
        part[:, 1:] = -1
    pictures = render(scene, 64)
    radius, room = np.array([6, 10])[scene.size[:, 0]], 10
    cell = np.stack([scene.position[:, 0] % 3, scene.position[:, 0] // 3], axis=1)
    slack = (room - radius)[:, None]
    centre = (2 * cell + 1) * 64 // 6 + scene.offset[:, 0] * (2 * slack + 1) // 1024 - slack
    clips = _draw(scene, np.stack([centre, centre], axis=1)[:, None], 64)  # K = 2, one absent
    assert np.array_equal(clips[:, 0], pictures)


def moved(frame: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """What the next frame shows at the place where each pixel has gone: (C, S, S)."""
    y, x = torch.meshgrid(torch.arange(S), torch.arange(S), indexing="ij")
    return frame[:, (y + flow[1]) % S, (x + flow[0]) % S]


def test_the_flow_leads_from_each_object_to_itself():
    data = load("moving-shapes", n=60, with_flow=True, seed=2)
    video, flow, masks = (data.column(key) for key in ("video", "flow", "masks"))
    assert flow.dtype == torch.int8
    assert len(set(data.column("label").tolist())) == len(MOTIONS)
    for clip, ways, covered in zip(video, flow.long(), masks, strict=True):
        for t in range(7):
            on = covered[t, 0]
            assert on.any()
            assert torch.equal(moved(clip[t + 1], ways[t])[:, on], clip[t][:, on])
            assert (ways[t][:, ~on] == 0).all()
            assert moved(covered[t + 1], ways[t])[0, on].all()


def test_of_two_objects_the_later_is_in_front_and_the_flow_is_its_own():
    data = load("moving-shapes", n=200, max_objects=2, with_flow=True, seed=4)
    masks, centre = data.column("masks"), data.column("centre")
    assert not (masks[:, :, 0] & masks[:, :, 1]).any()
    step = (centre.diff(dim=1) + 16) % S - 16  # [N, F - 1, K, 2]
    expected = torch.einsum("nfkyx,nfkc->nfcyx", masks[:, :-1].long(), step)
    assert torch.equal(data.column("flow").long(), expected)
    alone = load("moving-shapes", n=200, seed=4)  # the first objects of the same clips
    assert torch.equal(alone.column("centre"), centre[:, :, :1])
    hidden = load("moving-shapes", n=200, with_flow=True, seed=4).column("masks").sum()
    assert masks[:, :, 0].sum() < hidden


def test_captions_name_each_object_with_its_motion():
    data = load("moving-shapes", n=80, max_objects=2)
    for example in (data[i] for i in range(80)):
        parts = example["caption"].split(" while ")
        parts_zh = example["caption_zh"].split("，")
        present = [k for k in range(2) if example["shape"][k] >= 0]
        assert len(parts) == len(parts_zh) == len(present)
        for k, part, part_zh in zip(present, parts, parts_zh, strict=True):
            size, colour, shape = (int(example[key][k]) for key in ("size", "colour", "shape"))
            motion = int(example["motion"][k])
            phrase = f"a {SIZES[size]} {COLOURS[colour]} {SHAPES[shape]} "
            assert part in [phrase + verb for verb in VERBS[motion]]
            assert COLOURS_ZH[colour] in part_zh
            assert SHAPES_ZH[shape] in part_zh
            assert any(part_zh.endswith(verb) for verb in VERBS_ZH[motion])


def test_columns_prefix_and_classes():
    few, many = load("moving-shapes", n=5), load("moving-shapes", n=400)
    for name, column in few.columns.items():
        longer = many.column(name)[:5]
        assert column == longer if isinstance(column, list) else torch.equal(column, longer), name
    assert few.column("video").shape == (5, 8, 3, S, S)
    assert few.column("video").dtype == torch.uint8
    counts = many.column("label").bincount(minlength=6)
    assert counts.min() > 40
    assert load("moving-shapes", n=400, motions=4).column("label").unique().tolist() == [0, 1, 2, 3]
    batch = collate([few[0], few[1]])
    assert batch["video"].dtype == torch.float32
    assert 0 <= batch["video"].min() < batch["video"].max() <= 1
    assert digest(load("moving-shapes", "val", n=5)) != digest(few)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "split must be 'train', 'val', 'test' or 'unseen', got 'dev'"),
        ({"size": 31}, "size must be a whole number of at least 32, got 31"),
        ({"frames": 1}, "frames must be a whole number of at least 2, got 1"),
        ({"motions": 7}, "motions must be 1, 2, 3, 4, 5 or 6, got 7"),
        ({"max_objects": 4}, "max_objects must be 1, 2 or 3, got 4"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        load("moving-shapes", **options)
