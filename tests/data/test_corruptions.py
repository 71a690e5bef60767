import pytest
import torch

from mmtutor.data import Dataset, load
from mmtutor.data.corruptions import (
    CORRUPTIONS,
    IMAGE,
    SEVERITIES,
    SOUND,
    TEXT,
    corrupt,
    gaussian_noise,
)
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.data.transforms import Tokenize

FIELD = {"image": "image", "text": "caption", "sound": "audio"}
ALL = [(modality, name) for modality, kinds in CORRUPTIONS.items() for name in kinds]


@pytest.fixture(scope="module")
def data() -> Dataset:
    return load("shapes", "test", n=24, size=32, with_sound=True)


def spoiled(data, name, severity, modality, **options):
    return corrupt(data, name, severity, modality, **options).column(FIELD[modality])


def distance(one, other) -> torch.Tensor:
    """(N,) how far apart two columns are, example by example."""
    if isinstance(one, torch.Tensor):
        return (one.float() - other.float()).square().flatten(1).sum(1)
    if isinstance(one[0], str):
        return torch.tensor([edits(a, b) for a, b in zip(one, other, strict=True)])
    return torch.stack([(a - b).square().sum() for a, b in zip(one, other, strict=True)])


def edits(a: str, b: str) -> float:
    """Characters that differ, or are lost."""
    return float(len(a) - len(b) if len(a) != len(b) else sum(map(str.__ne__, a, b)))


@pytest.mark.parametrize(("modality", "name"), ALL)
def test_every_example_is_spoiled_more_with_every_step(data, modality, name):
    clean = data.column(FIELD[modality])
    steps = torch.stack(
        [distance(clean, spoiled(data, name, s, modality)).double() for s in SEVERITIES]
    )
    if name != "pixelate":  # its squares may fall well or badly
        assert (steps[1:] * (1 + 1e-6) >= steps[:-1]).all()
    assert (steps.mean(dim=1).diff() > 0).all()
    assert steps[0].mean() > 0


@pytest.mark.parametrize(("modality", "name"), ALL)
def test_a_seed_decides_and_nothing_else_changes(data, modality, name):
    one, same = (spoiled(data, name, 3, modality, seed=1) for _ in range(2))
    other = spoiled(data, name, 3, modality, seed=2)
    assert distance(one, same).max() == 0
    fixed = name in ("blur", "contrast", "brightness", "pixelate", "clipping")
    assert (distance(one, other).max() == 0) == fixed
    changed = corrupt(data, name, 3, modality)
    assert all(
        changed.columns[key] is value
        for key, value in data.columns.items()
        if key != FIELD[modality]
    )
    assert corrupt(data, name, 0, modality) is data


@pytest.mark.parametrize("name", IMAGE)
def test_pictures_of_any_shape(name):
    data = Dataset({"image": torch.randint(256, (3, 3, 28, 41), dtype=torch.uint8)})
    for severity in SEVERITIES:
        image = spoiled(data, name, severity, "image")
        assert image.shape == (3, 3, 28, 41)
        assert image.dtype == torch.uint8


def test_a_picture_that_stands_in_many_rows_is_spoiled_once():
    one, two = torch.randint(256, (2, 3, 16, 16), dtype=torch.uint8)
    data = Dataset({"image": [one, one, two, one]})
    image = spoiled(data, "gaussian noise", 2, "image")
    assert image[0] is image[1] or torch.equal(image[0], image[1])
    assert not torch.equal(image[0], image[2])
    stacked = spoiled(Dataset({"image": torch.stack([one, two])}), "gaussian noise", 2, "image")
    assert torch.equal(stacked, torch.stack([image[0], image[2]]))


def test_pictures_by_hand():
    grey = Dataset({"image": torch.full((1, 3, 10, 10), 100, dtype=torch.uint8)})
    assert (spoiled(grey, "brightness", 2, "image") == 151).all()  # 100 + 0.2 * 255
    assert (spoiled(grey, "contrast", 5, "image") == 100).all()
    assert (spoiled(grey, "blur", 5, "image") == 100).all()
    assert (spoiled(grey, "pixelate", 5, "image") == 100).all()
    hole = spoiled(grey, "occlusion", 3, "image") == 128
    assert hole[0, 0].sum() == 16
    assert torch.equal(hole[0, 0], hole[0, 2])
    half = torch.zeros(1, 3, 10, 10, dtype=torch.uint8)
    half[..., 5:] = 200
    drawn = spoiled(Dataset({"image": half}), "contrast", 5, "image")
    assert drawn.unique().tolist() == [90, 110]  # 100 -+ 0.1 * 100


def test_noise_has_the_strength_it_says():
    sound = torch.sin(torch.linspace(0, 500, 8000)) * 0.1
    data = Dataset({"audio": [sound, sound[:4000]]})
    for severity, decibels in zip(SEVERITIES, (20, 14, 8, 2, -5), strict=True):
        rows = spoiled(data, "noise", severity, "sound")
        for row, clean in zip(rows, data.column("audio"), strict=True):
            ratio = 10 * (clean.square().mean() / (row - clean).square().mean()).log10()
            assert abs(ratio - decibels) < 0.3


def test_sounds_by_hand():
    data = Dataset({"audio": [torch.tensor([0.0, 0.2, -1.0, 0.5]), torch.zeros(2)]})
    clipped, silent = spoiled(data, "clipping", 2, "sound")
    torch.testing.assert_close(clipped, torch.tensor([0.0, 0.2, -0.5, 0.5]))
    for name in SOUND:
        row, silent = spoiled(data, name, 5, "sound")
        assert row.shape == (4,)
        assert silent.tolist() == [0, 0]
    long = Dataset({"audio": torch.ones(5, 1000)})
    assert ((spoiled(long, "time mask", 3, "sound") == 0).sum(dim=1) == 300).all()


@pytest.mark.parametrize("name", TEXT)
@pytest.mark.parametrize("text", ["", "a", "一", "…", "two words", "一个圆"])
def test_texts_of_any_length(name, text):
    for severity in SEVERITIES:
        row = spoiled(Dataset({"caption": [text]}), name, severity, "text")[0]
        assert bool(row) == bool(text)


def test_texts_keep_what_they_should():
    text = "Red circle, left of 一个小圆形"
    data = Dataset({"caption": [text] * 50})
    for row in spoiled(data, "typos", 5, "text"):
        assert sorted(row) == sorted(text)
        assert row.index(",") == text.index(",")
    for row in spoiled(data, "word drop", 5, "text"):
        assert row
        assert set(row) <= set(text)
    assert spoiled(data, "case", 5, "text")[0] == "rED CIRCLE, LEFT OF 一个小圆形"


def test_chinese_characters_are_lost_one_by_one():
    rows = spoiled(Dataset({"caption": ["一个小的绿色星形"] * 200}), "word drop", 3, "text")
    assert 0.6 < sum(map(len, rows)) / (8 * 200) < 0.8
    assert len(set(rows)) > 20  # each row has a stream of its own


def test_the_tokens_are_those_of_the_spoiled_text(data):
    tokenizer = WordTokenizer.fit(data.column("caption"))
    tokenized = data.with_transform(Tokenize(tokenizer))
    changed = corrupt(tokenized, "word drop", 5, "text")
    expected = tokenizer.encode(changed.column("caption")[0])
    assert changed[0]["tokens"].tolist() == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fog", 1, "image"), "corruption must be .* or 'pixelate', got 'fog'"),
        (("blur", 1, "text"), "corruption must be .* or 'case', got 'blur'"),
        (("blur", 6, "image"), "severity must be 0, 1, 2, 3, 4 or 5, got 6"),
        (("blur", 1, "smell"), "modality must be 'image', 'text' or 'sound', got 'smell'"),
    ],
)
def test_what_does_not_exist_is_refused(data, arguments, message):
    with pytest.raises(ValueError, match=message):
        corrupt(data, *arguments)
    with pytest.raises(KeyError, match="no column 'question'"):
        corrupt(data, "typos", 1, "text", "question")


def test_columns_that_would_be_misread_are_refused(data):
    for column, kind, modality in (
        (torch.zeros(2, 3, 4, 4), "blur", "image"),
        (torch.zeros(2, 8, dtype=torch.int16), "noise", "sound"),
        (torch.full((2, 8), torch.nan), "noise", "sound"),
        ([["a"], ["b"]], "typos", "text"),
    ):
        with pytest.raises((TypeError, ValueError), match=r"data.column\('x'\)"):
            corrupt(Dataset({"x": column}), kind, 1, modality, "x")


@pytest.mark.parametrize("severity", [0, 6, -1, 1.5])
def test_a_severity_is_1_to_5(severity):
    with pytest.raises(ValueError, match="severity must be 1, 2, 3, 4 or 5"):
        gaussian_noise(torch.rand(1, 3, 4, 4), severity, torch.Generator())
