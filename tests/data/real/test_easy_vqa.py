"""easy-VQA: from the wheel to the cache and to a data set, with what may go wrong."""

import hashlib
import io
import json
import sys
import zipfile
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from mmtutor.data import collate, load
from mmtutor.data.fetch import SETS, FetchError, get, located
from mmtutor.data.real.easy_vqa import ANSWERS, TYPES

PICTURES = np.random.default_rng(0).integers(256, size=(4, 64, 64, 3), dtype=np.uint8)
ROWS = [
    ["is there a circle?", "no", 0],
    ["what shape is present?", "triangle", 0],
    ["what color is the shape?", "teal", 1],
    ["is there not a red shape?", "yes", 2],
    ["is a red shape present?", "no", 2],
]
TEST_ROWS = [["what is the red shape?", "circle", 0]]


def png(picture, size=64):
    file = io.BytesIO()
    Image.fromarray(picture[:size]).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def files():
    """The files of a small wheel of the same layout, by name; a test may change them."""
    found = {"easy_vqa/__init__.py": b"raise AssertionError('code of the wheel ran')"}
    for split, rows in (("train", ROWS), ("test", TEST_ROWS)):
        found[f"easy_vqa/data/{split}/questions.json"] = json.dumps(rows).encode()
        for number in {row[2] for row in rows}:
            picture = PICTURES[number if split == "train" else 3]
            found[f"easy_vqa/data/{split}/images/{number}.png"] = png(picture)
    return found


@pytest.fixture
def prepare(files, tmp_path, monkeypatch):
    """`prepare()` packs them as the known wheel and fetches that into the cache `tmp_path`."""

    def prepare():
        path = tmp_path / "tiny.whl"
        with zipfile.ZipFile(path, "w") as wheel:
            for name, content in files.items():
                wheel.writestr(name, content)
        source = SETS["easy-vqa"]
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        known = replace(source, packages=[replace(source.packages[0], sha256=sha256)])
        monkeypatch.setitem(SETS, "easy-vqa", known)
        return get("easy-vqa", root=tmp_path, package=path)

    return prepare


@pytest.fixture
def wheel(prepare):
    return prepare()


def test_questions_and_pictures_come_back_as_they_went_in(wheel, tmp_path):
    data = load("easy-vqa", root=tmp_path)
    assert data.column("question") == [row[0] for row in ROWS]
    assert data.column("answer") == [row[1] for row in ROWS]
    assert data.column("image_id").tolist() == [row[2] for row in ROWS]
    assert [ANSWERS[label] for label in data.column("label")] == data.column("answer")
    assert data.column("type") == ["yes/no", "shape", "colour", "yes/no", "yes/no"]
    for row, (_, _, number) in enumerate(ROWS):
        picture = data.column("image")[row]
        assert picture.dtype == torch.uint8
        assert np.array_equal(picture.permute(1, 2, 0).numpy(), PICTURES[number])
    assert data.column("image")[0] is data.column("image")[1], "one picture is stored once"
    test = load("easy-vqa", "test", root=tmp_path)
    assert test[0]["question"] == TEST_ROWS[0][0]
    assert np.array_equal(test[0]["image"].permute(1, 2, 0).numpy(), PICTURES[3])
    batch = collate([data[row] for row in range(3)])
    assert batch["image"].shape == (3, 3, 64, 64)
    assert batch["label"].tolist() == data.column("label")[:3].tolist()


def test_the_wheels_code_never_runs_and_is_not_kept(wheel, tmp_path):
    assert len(load("easy-vqa", root=tmp_path)) == len(ROWS)
    assert "easy_vqa" not in sys.modules
    assert not list(tmp_path.rglob(".partial-*"))
    assert not list(wheel.rglob("*.py"))


def test_holdout_sets_whole_pictures_aside(wheel, tmp_path):
    train = load("easy-vqa", "train", holdout=1, root=tmp_path)
    val = load("easy-vqa", "val", holdout=1, root=tmp_path)
    assert train.column("image_id").tolist() == [0, 0, 1]
    assert val.column("image_id").tolist() == [2, 2]
    assert torch.equal(val[0]["image"], load("easy-vqa", root=tmp_path)[3]["image"])
    assert len(load("easy-vqa", "test", holdout=1, root=tmp_path)) == 1


def test_a_missing_wheel_says_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`mmtutor fetch easy-vqa`"):
        load("easy-vqa", root=tmp_path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train/images/1.png", None),
        ("train/images/1.png", b"\x89PNG"),
        ("train/images/1.png", png(PICTURES[1])[:-1000]),
        ("train/images/1.png", png(PICTURES[1], size=32)),
        ("test/images/0.png", b""),
        ("train/questions.json", None),
        ("train/questions.json", b"[["),
        ("train/questions.json", b"[]"),
        ("train/questions.json", b'[["what shape is present?", "cube", 0]]'),
        ("train/questions.json", b'[["what shape is present?", "circle"]]'),
        ("train/questions.json", b'[["what shape is present?", "circle", -1]]'),
        ("test/questions.json", b'{"what": 1}'),
    ],
)
def test_a_damaged_file_is_named_and_nothing_is_cached(files, prepare, tmp_path, name, content):
    del files[f"easy_vqa/data/{name}"]
    if content is not None:
        files[f"easy_vqa/data/{name}"] = content
    with pytest.raises(FetchError, match=f"{name} is (missing or )?damaged"):
        prepare()
    with pytest.raises(FileNotFoundError):
        located("easy-vqa", tmp_path)


def test_bad_options_are_named(wheel, tmp_path):
    with pytest.raises(ValueError, match="split must be 'train', 'val' or 'test', got 'dev'"):
        load("easy-vqa", "dev", root=tmp_path)
    for n in (0, 6):
        with pytest.raises(ValueError, match=rf"n must be .*1.*, got {n}"):
            load("easy-vqa", n=n, root=tmp_path)
    for split, holdout in (("val", 0), ("val", 3), ("train", 3), ("train", -1)):
        with pytest.raises(ValueError, match=f"holdout must be .*, got {holdout}"):
            load("easy-vqa", split, holdout=holdout, root=tmp_path)
    assert len(load("easy-vqa", n=2, root=tmp_path)) == 2


# -------------------------------------------------------------------- the real data, as published


@pytest.fixture(scope="module")
def splits():
    return {split: load("easy-vqa", split) for split in ("train", "test")}


def test_the_published_sizes_and_answers(splits):
    assert {split: len(data) for split, data in splits.items()} == {"train": 38_575, "test": 9_673}
    for split, pictures in (("train", 4_000), ("test", 1_000)):
        image_id = splits[split].column("image_id")
        assert (image_id.diff() >= 0).all(), "questions about one picture stand together"
        assert image_id.unique().tolist() == list(range(pictures))
        assert set(splits[split].column("answer")) == set(ANSWERS)


def test_types_say_what_is_asked(splits):
    wording = {"what color": "colour", "what is the color": "colour", "what": "shape"}
    for question, kind in zip(
        splits["test"].column("question"), splits["test"].column("type"), strict=True
    ):
        starts = [kind for start, kind in wording.items() if question.startswith(start)]
        assert kind == (starts[0] if starts else "yes/no"), question


def test_no_picture_is_in_both_splits(splits):
    seen = {
        split: {picture.numpy().tobytes() for picture in data.column("image")}
        for split, data in splits.items()
    }
    assert (len(seen["train"]), len(seen["test"])) == (4_000, 1_000), "none twice within a split"
    assert seen["train"].isdisjoint(seen["test"])


def test_what_the_question_alone_gives_away(splits):
    """The figures of the module's docstring: majority answer in train to each question."""
    answers = defaultdict(Counter)
    train, test = splits["train"], splits["test"]
    for question, answer in zip(train.column("question"), train.column("answer"), strict=True):
        answers[question][answer] += 1
    right = defaultdict(list)
    for question, answer, kind in zip(
        *(test.column(name) for name in ("question", "answer", "type")), strict=True
    ):
        right[kind].append(answers[question].most_common(1)[0][0] == answer)
    share = {kind: round(100 * sum(hits) / len(hits), 1) for kind, hits in right.items()}
    assert share == {"yes/no": 82.5, "shape": 34.8, "colour": 12.0}
    every = [hit for hits in right.values() for hit in hits]
    assert round(100 * sum(every) / len(every), 1) == 67.0
    assert set(share) == set(TYPES)


def test_the_pictures_belong_to_their_questions(splits):
    """A shape said to be blue has its strongest colour in the blue channel, and so on."""
    channels = {"red": 0, "green": 1, "blue": 2}
    data = splits["test"]
    for image, question, answer in zip(
        *(data.column(name) for name in ("image", "question", "answer")), strict=True
    ):
        if answer in channels and question.startswith("what"):
            floor = image.flatten(1).min(1).values
            assert floor.argmax() == channels[answer], question
