"""`shapes`: pinned bytes, a slow reference renderer, truthful captions, meaning, splits."""

import hashlib
import importlib.util
import json
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmtutor.data import collate, load, loader
from mmtutor.data.shapes.captions import COLOURS_ZH, SHAPES_ZH, chinese, english
from mmtutor.data.shapes.render import PALETTE, SHADES, masks, radii, render
from mmtutor.data.shapes.scene import (
    COLOURS,
    HELD_OUT_SHAPE,
    OFFSETS,
    SHAPES,
    SIZES,
    SPLITS,
    exchange_colours,
    meaning,
    scenes,
)

# ---------------------------------------------------------------- the same bytes, everywhere


def test_bytes_are_pinned():
    dataset = load("shapes", "test", n=64, size=64, seed=7, max_objects=3, with_masks=True)
    digest = hashlib.sha256()
    for name in sorted(dataset.columns):
        column = dataset.column(name)
        content = (
            "\n".join(column).encode() if isinstance(column, list) else column.numpy().tobytes()
        )
        digest.update(name.encode() + content)
    assert digest.hexdigest() == "21088212ebe4aa534fd693dd7f491e96e8634728f049f4672d7ce355b997c06f"


def test_fewer_examples_are_a_prefix_of_more():
    few, many = load("shapes", n=10, size=32), load("shapes", n=25, size=32)
    for name, column in few.columns.items():
        longer = many.column(name)[:10]
        same = column == longer if isinstance(column, list) else torch.equal(column, longer)
        assert same, name


def test_seeds_and_splits_are_streams_of_their_own():
    captions = [load("shapes", split, n=20, size=32).column("caption") for split in SPLITS]
    captions.append(load("shapes", n=20, size=32, seed=1).column("caption"))
    captions.append(load("shapes", "val", n=20, size=32, seed=1).column("caption"))
    for first in range(len(captions)):
        for second in range(first):
            assert captions[first] != captions[second]


def test_columns_and_batch():
    dataset = load("shapes", n=6, with_masks=True)
    shapes = {k: tuple(v.shape) for k, v in dataset.columns.items() if not isinstance(v, list)}
    pairs = dict.fromkeys(("shape", "colour", "size", "position"), (6, 2))
    ones = dict.fromkeys(("scene", "count", "background"), (6,))
    pictures = {"image": (6, 3, 64, 64), "masks": (6, 2, 64, 64)}
    assert shapes == {**pairs, **ones, **pictures, "relation": (6, 1)}
    assert dataset.column("image").dtype == torch.uint8
    assert dataset.column("masks").dtype == torch.bool
    assert all(dataset.column(key).dtype == torch.int64 for key in (*pairs, *ones, "relation"))
    assert dataset.name == "shapes/train"
    assert collate([dataset[0], dataset[1]])["image"].shape == (2, 3, 64, 64)
    assert next(iter(loader(dataset, 4)))["colour"].shape == (4, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "dev"}, "split must be 'train', 'val', 'test' or 'unseen', got 'dev'"),
        ({"n": 0}, "n must be a whole number of at least 1, got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0, got -1"),
        ({"max_objects": 4}, "max_objects must be 1, 2 or 3, got 4"),
        ({"size": 31}, "size must be a whole number of at least 32, got 31"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        load("shapes", **options)


# ------------------------------------------------------------------------------------- pixels


def inside(shape, x, y):
    """Is the point in the shape of radius 1, its outline included? Plain floating point."""
    distance, far, near = np.hypot(x, y), max(abs(x), abs(y)), min(abs(x), abs(y))
    tiny = 1e-9
    if shape == "circle":
        return distance**2 <= 0.90 + tiny
    if shape == "ring":
        return 0.32 - tiny <= distance**2 <= 0.90 + tiny
    if shape == "square":
        return far <= 0.84 + tiny
    if shape == "triangle":
        return y <= 0.8 + tiny and abs(x) <= (y + 1) / 1.8 + tiny
    if shape == "cross":
        return far <= 0.96 + tiny and near <= 0.32 + tiny
    angle = np.arctan2(x, -y) % (2 * np.pi / 5) - np.pi / 5  # a star, folded to half a point
    tip, notch = 1.0, np.cos(2 * np.pi / 5) / np.cos(np.pi / 5)
    u, v = distance * np.cos(abs(angle)), distance * np.sin(abs(angle))
    tip_u, tip_v = tip * np.cos(np.pi / 5), tip * np.sin(np.pi / 5)
    return (tip_u - notch) * v >= tip_v * (u - notch)


def slow_picture(scene, row, size):
    """The picture of one scene, a pixel, an object and a subpixel at a time."""
    picture = np.full((3, size, size), SHADES[scene.background[row]], dtype=np.int64)
    for k in range(scene.count[row]):
        radius = radii(size)[scene.size[row, k]]
        slack = radii(size)[1] - radius
        shift = [int(o) * (2 * slack + 1) // OFFSETS - slack for o in scene.offset[row, k]]
        cell_y, cell_x = divmod(int(scene.position[row, k]), 3)
        centre_x = (2 * cell_x + 1) * size // 6 + shift[0]
        centre_y = (2 * cell_y + 1) * size // 6 + shift[1]
        name, colour = SHAPES[scene.shape[row, k]], PALETTE[scene.colour[row, k]]
        for y in range(centre_y - radius, centre_y + radius):
            for x in range(centre_x - radius, centre_x + radius):
                covered = sum(
                    inside(name, (x + i - centre_x) / radius, (y + j - centre_y) / radius)
                    for i in (0.125, 0.375, 0.625, 0.875)
                    for j in (0.125, 0.375, 0.625, 0.875)
                )
                blend = (picture[:, y, x] * (16 - covered) + colour * covered) / 16
                picture[:, y, x] = np.floor(blend + 0.5)
    return picture


@pytest.mark.parametrize("size", [32, 50, 64])
def test_pictures_equal_a_slow_reference(size):
    scene = scenes("train", 8, seed=3, max_objects=3)
    fast = render(scene, size).astype(np.int64)
    for row in range(len(scene)):
        assert np.array_equal(fast[row], slow_picture(scene, row, size))


@pytest.mark.parametrize("size", [32, 33, 47, 64, 100])
def test_every_object_is_whole_in_its_cell_and_its_colour(size):
    scene = scenes("train", 300, seed=1, max_objects=3)
    covered, pictures = masks(scene, size), render(scene, size)
    assert (covered.sum(axis=1) <= 1).all(), "objects overlap"
    assert ((covered.sum(axis=(2, 3)) > 0) == (scene.shape >= 0)).all()
    edges = np.array([0, 1, 2, 3]) * size / 3
    for row, k in np.argwhere(scene.shape >= 0)[:200]:
        y, x = np.nonzero(covered[row, k])
        cell_y, cell_x = divmod(int(scene.position[row, k]), 3)
        assert edges[cell_y] - 1 <= y.min() <= y.max() <= edges[cell_y + 1]
        assert edges[cell_x] - 1 <= x.min() <= x.max() <= edges[cell_x + 1]
        pixels = pictures[row][:, covered[row, k]].T.astype(np.int64)
        boldest = pixels[abs(pixels - SHADES[scene.background[row]]).sum(axis=1).argmax()]
        assert abs(PALETTE - boldest).sum(axis=1).argmin() == scene.colour[row, k]


# ----------------------------------------------------------------------------------- captions

PLACES = {
    "at the top left": 0,
    "in the top left corner": 0,
    "at the top centre": 1,
    "in the middle of the top row": 1,
    "at the top right": 2,
    "in the top right corner": 2,
    "at the middle left": 3,
    "in the middle of the left column": 3,
    "in the centre": 4,
    "in the middle": 4,
    "at the middle right": 5,
    "in the middle of the right column": 5,
    "at the bottom left": 6,
    "in the bottom left corner": 6,
    "at the bottom centre": 7,
    "in the middle of the bottom row": 7,
    "at the bottom right": 8,
    "in the bottom right corner": 8,
}
SIDES = {
    "left of": "left",
    "to the left of": "left",
    "right of": "right",
    "to the right of": "right",
    **dict.fromkeys(("above", "over"), "above"),
    **dict.fromkeys(("below", "under"), "below"),
}
OBJECT = rf"a ({'|'.join(SIZES)}) ({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})"


def parse_english(caption):
    """Things as (size, colour, shape), and their relations or the cell, as a reader takes them."""
    things = [tuple(match) for match in re.findall(OBJECT, caption)]
    plain = re.sub(OBJECT, "#", caption)
    if len(things) == 1:
        place = re.fullmatch(r"(?:there is # |# is |# )(.+)", plain)[1]
        return things, PLACES[place]
    match = re.fullmatch(r"(?:there is # (.+?)|# is (.+?)|# (.+?)) #(?:, which is (.+) #)?", plain)
    return things, [SIDES[group] for group in match.groups() if group]


WHERE_ZH = ["左上角", "顶部中间", "右上角", "左侧中间", "正中间", "右侧中间"]
WHERE_ZH += ["左下角", "底部中间", "右下角"]
SIDES_ZH = {"左": "left", "右": "right", "上": "above", "下": "below"}
SIDE_ZH = "[左右][边侧]|[上下][方面]"
COLOUR_ZH, SHAPE_ZH = "|".join(COLOURS_ZH), "|".join(SHAPES_ZH)
OBJECT_ZH = rf"一个(?:([小大])的({COLOUR_ZH})|({COLOUR_ZH})的([小大]))({SHAPE_ZH})"


def parse_chinese(caption):
    things = []
    for size, colour, colour2, size2, shape in re.findall(OBJECT_ZH, caption):
        things.append(
            (
                SIZES["小大".index(size or size2)],
                COLOURS[COLOURS_ZH.index(colour or colour2)],
                SHAPES[SHAPES_ZH.index(shape)],
            )
        )
    plain = re.sub(OBJECT_ZH, "#", caption)
    if len(things) == 1:
        place = re.fullmatch(r"#(?:在|位于)(?:画面)?(.+)|(?:画面)?(.+)有#", plain)
        return things, WHERE_ZH.index(place[1] or place[2])
    if match := re.fullmatch(rf"#的({SIDE_ZH})有#", plain):
        return things[::-1], [SIDES_ZH[match[1][0]]]
    match = re.fullmatch(rf"#(?:在#|位于#的)({SIDE_ZH})(?:，后者在#({SIDE_ZH}))?", plain)
    return things, [SIDES_ZH[group[0]] for group in match.groups() if group]


def facts(scene, row):
    """What is true of one scene, found from cells alone."""
    count = scene.count[row]
    things = [
        (SIZES[scene.size[row, k]], COLOURS[scene.colour[row, k]], SHAPES[scene.shape[row, k]])
        for k in range(count)
    ]
    cells = [divmod(int(cell), 3) for cell in scene.position[row, :count]]
    if count == 1:
        return things, int(scene.position[row, 0])
    return things, [side(first, second) for first, second in pairwise(cells)]


def side(first, second):
    if first[0] == second[0]:
        return "left" if first[1] < second[1] else "right"
    assert first[1] == second[1], "neither in one row nor in one column"
    return "above" if first[0] < second[0] else "below"


@pytest.mark.parametrize("split", ["train", "unseen"])
def test_captions_are_true_in_both_languages(split):
    scene = scenes(split, 2000, max_objects=3)
    for row, (text, text_zh) in enumerate(zip(english(scene), chinese(scene), strict=True)):
        assert parse_english(text) == facts(scene, row), text
        assert parse_chinese(text_zh) == facts(scene, row), text_zh


def test_all_words_and_wordings_occur():
    scene = scenes("train", 4000)
    texts, texts_zh = english(scene), chinese(scene)
    frames = {re.sub(OBJECT, "#", text) for text in texts}
    frames_zh = {re.sub(OBJECT_ZH, "#", text) for text in texts_zh}
    assert len(frames) == 3 * 2 * 9 + 3 * 2 * 4
    assert len(frames_zh) == 3 * 2 * 9 + 3 * 2 * 4


def test_meaning_is_equal_exactly_when_captions_say_the_same():
    scene = scenes("train", 6000, seed=2)
    inverse = {"left": "right", "right": "left", "above": "below", "below": "above"}
    said, ids = [], meaning(scene).tolist()
    for text in english(scene):
        things, relation = parse_english(text)
        if len(things) == 2 and relation[0] in ("right", "below"):
            things, relation = things[::-1], [inverse[relation[0]]]
        said.append((tuple(things), str(relation)))
    assert len(set(zip(said, ids, strict=True))) == len(set(said)) == len(set(ids))
    texts = {}
    for text, identity in zip(english(scene), ids, strict=True):
        texts.setdefault(identity, set()).add(text)
    assert any(len(wordings) > 1 for wordings in texts.values())


def test_a_chain_of_three_means_the_same_backwards():
    scene = scenes("train", 300, max_objects=3)
    three = scene.count == 3
    reversed_chain = type(scene)(
        **{
            name: getattr(scene, name)[three]
            if getattr(scene, name).ndim == 1 or name == "wording"
            else getattr(scene, name)[three][:, ::-1]
            for name in scene.__dataclass_fields__
        }
    )
    assert meaning(scene)[three].tolist() == meaning(reversed_chain).tolist()
    corners = scene.position[three][:, [0, 2]]
    assert (corners[:, 0] // 3 != corners[:, 1] // 3).all()
    assert (corners[:, 0] % 3 != corners[:, 1] % 3).all()


def test_foils_use_the_same_words_and_are_false():
    dataset = load("shapes", "test", n=500, size=32)
    scene = scenes("test", 500)
    pairs = scene.count == 2
    assert (meaning(scene) == meaning(exchange_colours(scene))).tolist() == (~pairs).tolist()
    for caption, foil, pair in zip(
        dataset.column("caption"), dataset.column("foil"), pairs, strict=True
    ):
        assert bool(foil) == pair
        if pair:
            assert foil != caption
            assert sorted(foil.split()) == sorted(caption.split())


# ------------------------------------------------------------------------- what is drawn, how often


def combinations(scene):
    present = scene.shape >= 0
    return set(zip(scene.colour[present].tolist(), scene.shape[present].tolist(), strict=True))


def test_unseen_holds_what_no_other_split_has():
    held_out = set(enumerate(HELD_OUT_SHAPE.tolist()))
    everything = {(c, s) for c in range(len(COLOURS)) for s in range(len(SHAPES))}
    for split in ("train", "val", "test"):
        assert combinations(scenes(split, 5000, max_objects=3)) == everything - held_out
    unseen = scenes("unseen", 5000, max_objects=3)
    novel = (HELD_OUT_SHAPE[unseen.colour] == unseen.shape) & (unseen.shape >= 0)
    assert (novel.sum(axis=1) == 1).all(), "one novel object a scene"
    assert combinations(unseen) == everything
    trained = set(meaning(scenes("train", 5000, max_objects=3)).tolist())
    assert trained.isdisjoint(meaning(unseen).tolist())


def test_attributes_are_drawn_evenly_and_colours_differ():
    scene = scenes("train", 12_000)
    for values, kinds in [
        (scene.count, {1, 2}),
        (scene.background, set(range(4))),
        (scene.colour[:, 0], set(range(len(COLOURS)))),
        (scene.shape[:, 0], set(range(len(SHAPES)))),
        (scene.size[:, 0], {0, 1}),
        (scene.position[:, 0], set(range(9))),
        (scene.relation[scene.count == 2, 0], set(range(4))),
    ]:
        found, counts = np.unique(values, return_counts=True)
        assert set(found.tolist()) == kinds
        expected = counts.sum() / len(kinds)
        assert abs(counts - expected).max() < 5 * expected**0.5 * (1 + len(kinds) / 24)
    assert (scene.colour[:, 0] != scene.colour[:, 1]).all()


# -------------------------------------------------------------------------------- the data script


@pytest.fixture
def script():
    path = Path(__file__).parents[3] / "data_scripts" / "shapes.py"
    spec = importlib.util.spec_from_file_location("shapes_script", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_writes_what_load_gives(script, tmp_path, capsys):
    folder = tmp_path / "out"
    assert script.main([str(folder), "--split", "val", "--n", "5", "--size", "32"]) == 0
    dataset = load("shapes", "val", n=5, size=32)
    tensors = load_file(folder / "tensors.safetensors")
    texts = json.loads((folder / "captions.json").read_text(encoding="utf-8"))
    assert torch.equal(tensors["image"], dataset.column("image"))
    assert tensors["masks"].dtype == torch.bool
    assert texts["caption_zh"] == dataset.column("caption_zh")
    assert "5 examples" in capsys.readouterr().out
    for arguments in ([str(folder)], [str(tmp_path / "new"), "--size", "8"]):
        with pytest.raises(SystemExit) as stop:
            script.main(arguments)
        assert stop.value.code == 2
    assert "size must be a whole number of at least 32, got 8" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
