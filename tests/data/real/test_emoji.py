"""Emoji: from the files of the packages to a data set, with what may go wrong."""

import json

import numpy as np
import pytest
import torch

from mmtutor.data import load
from mmtutor.data.fetch import FetchError
from mmtutor.data.real.emoji import available
from mmtutor.data.real.emoji_archive import STYLES, _slug, prepare
from mmtutor.data.real.stamps import leaks
from tests.data.debs import png, svg


def row(emoji, **more):
    code = "-".join(f"{ord(each):04X}" for each in emoji)
    return {"emoji": emoji, "hexcode": code, "group": "objects", "skintone": "", **more}


def annotations(part, said):
    entries = {key: {"default": [name, "x"], "tts": [name]} for key, name in said.items()}
    return json.dumps({part: {"annotations": entries}}).encode()


@pytest.fixture
def files(tmp_path):
    """Three concepts: one with a sign, one drawn in two styles, one named in the second file."""
    rows = [
        row("☠\ufe0f"),
        row("🐈"),
        row("🇦🇹"),
        row("👍🏽", skintone="3"),
        row("", group="extras-x"),
    ]
    drawing = svg(body='<rect width="9" height="9" fill="red"/>')
    found = {
        "openmoji.json": json.dumps(rows).encode(),
        "google/2620-fe0f.png": png(0, size=(64, 64)),
        "google/1f408.png": png(1, size=(64, 64)),
        "google/1f44d-1f3fd.png": png(2),
        "twitter/2620.png": png(3, size=(64, 64)),
        "openmoji/1F1E6-1F1F9.svg": drawing,
        "fluent/cat-default.svg": drawing,
        "annotations/en/annotations.json": annotations("annotations", {"☠": "skull", "🐈": "cat"}),
        "annotationsDerived/en/annotations.json": annotations(
            "annotationsDerived", {"🇦🇹": "flag: Austria"}
        ),
        "annotations/xx/annotations.json": annotations("annotations", {"☠": "xx"}),
        "annotations/yy/annotations.json": b'{"annotations": {}}',
    }
    return {tmp_path / "in" / name: data for name, data in found.items()}


def prepared(files, tmp_path):
    for path, data in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (tmp_path / "out").mkdir()
    return prepare(tmp_path / "in", tmp_path / "out")


def test_pictures_names_and_styles_come_together(files, tmp_path):
    assert prepared(files, tmp_path) == "5 pictures of 3 concepts, 1 languages"
    kept = json.loads((tmp_path / "out/emoji.json").read_bytes())
    styles = ["google", "twitter", "google", "fluent", "openmoji"]
    assert kept["pictures"] == [[c, s] for c, s in zip([0, 0, 1, 1, 2], styles, strict=True)]
    names = json.loads((tmp_path / "out/names/en.json").read_bytes())
    assert names["names"] == ["skull", "cat", "flag: Austria"]
    assert names["keywords"][1] == ["cat", "x"]
    images = np.load(tmp_path / "out/images.npy")
    assert images.shape == (5, 3, 64, 64)
    assert (images[3] == images[4]).all()
    groups = [concept["group"] for concept in kept["concepts"]]
    assert groups[1] == groups[2] != groups[0], "equal pictures belong together"


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("google/1f408.png", b"\x89PNG", r"google/1f408\.png is damaged"),
        ("fluent/cat-default.svg", b"<svg", r"fluent/cat-default\.svg is damaged"),
        ("openmoji.json", b"[{}]", "damaged: KeyError"),
        ("openmoji.json", b"[{", "damaged: JSON"),
        ("annotations/en/annotations.json", b"{}", "damaged: KeyError.*annotations"),
    ],
)
def test_damaged_files_are_named(files, tmp_path, name, data, message):
    files[tmp_path / "in" / name] = data
    with pytest.raises(FetchError, match=message):
        prepared(files, tmp_path)


def test_names_become_file_names():
    assert _slug("woman’s hat: Côte d'Ivoire!") == "womans-hat-cote-divoire"


def test_what_is_missing_or_unknown_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="`mmtutor fetch emoji`"):
        load("emoji", root=tmp_path)
    for options in ({"split": "dev"}, {"style": "apple"}, {"style": []}, {"languages": ["tlh"]}):
        with pytest.raises(ValueError, match=f"{min(options)} must be"):
            load("emoji", **options)


# -------------------------------------------------------------------- the real ones, as published


@pytest.fixture(scope="module")
def splits():
    return {split: load("emoji", split) for split in ("train", "val", "test")}


def test_every_concept_and_its_lookalikes_are_on_one_side(splits):
    for column in ("concept", "group", "caption"):
        sides = [
            set(map(str, torch.as_tensor(d.column(column)).tolist()))
            if column != "caption"
            else set(d.column(column))
            for d in splits.values()
        ]
        assert len(set.union(*sides)) == sum(map(len, sides)), column
    assert leaks(*(_named(splits[split]) for split in ("val", "test"))) == []
    sizes = [len(data.column("concept").unique()) for data in splits.values()]
    assert sum(sizes) == 1_914
    assert min(sizes) > 200
    assert sum(map(len, splits.values())) == len(load("emoji", "all")) == 7_289


def _named(data):
    return data.with_column("name", data.column("emoji"))


def test_styles_draw_the_same_concepts_differently(splits):
    both = {style: load("emoji", "test", style=style) for style in ("google", "twitter")}
    assert set(both["google"].column("style")) == {"google"}
    assert both["google"].column("caption") == both["twitter"].column("caption")
    pictures = [data.column("image") for data in both.values()]
    assert (pictures[0] != pictures[1]).flatten(1).any(dim=1).all()
    assert set(splits["val"].column("style")) == set(STYLES)
    three = load("emoji", "test", style=["google", "twitter", "fluent"])
    assert set(three.column("style")) == {"google", "twitter", "fluent"}


def test_names_in_other_languages():
    assert len(available()) == 100
    data = load("emoji", "all", style="google", languages=["en", "de", "zh", "cs"])
    row = data.column("caption").index("crying cat")
    said = data[row]
    assert said["emoji"] == "😿"
    assert said["names"]["zh"] == "哭泣的猫"
    assert "Katze" in said["keywords"]["de"]
    assert said["names"]["en"] == said["caption"]
    assert said["image"].float().flatten(1).mean(dim=1).argmin() == 2, "a yellow face, little blue"
