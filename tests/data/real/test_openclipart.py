"""Open Clip Art: from drawings that say what they are to captions, with what may go wrong."""

import json

import numpy as np
import pytest

from mmtutor.data import load
from mmtutor.data.fetch import FetchError
from mmtutor.data.real.openclipart_archive import _caption, _keywords, prepare
from mmtutor.data.real.stamps import leaks
from tests.data.debs import clip_art, svg


def bar(number, colour="red"):
    return f'<rect x="{number}" width="{3 * number + 2}" height="9" fill="{colour}"/>'


def prepared(files, tmp_path):
    for name, data in files.items():
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).write_bytes(data)
    (tmp_path / "out").mkdir()
    says = prepare(tmp_path / "in", tmp_path / "out")
    kept = json.loads((tmp_path / "out/openclipart.json").read_bytes())
    return says, kept, np.load(tmp_path / "out/images.npy")


def test_what_a_drawing_says_is_read(tmp_path):
    drawing = clip_art("A  Red\nBar", ["red_thing", "hash(0x8a)", "Ann", "bar", ""], "Ann", bar(1))
    says, (kept,), images = prepared({"a/b.svg": drawing}, tmp_path)
    assert says == "1 drawings, 1 with a clean caption; 0 skipped"
    assert kept == {
        "name": "a/b.svg",
        "title": "A Red Bar",
        "tags": ["red_thing", "hash(0x8a)", "Ann", "bar"],
        "author": "Ann",
        "caption": "a red bar",
        "keywords": ["red thing", "bar"],
        "fault": "",
        "group": 0,
        "split": "train",
    }
    assert images.shape == (1, 3, 112, 112)
    assert images[0, :, 40, 5].tolist() == [255, 0, 0]  # drawn as wide as the square


def test_what_is_unusable_is_counted(tmp_path):
    outside = '<image href="http://example.org/x.png" width="9" height="9"/>'
    files = {
        "good.svg": clip_art("Bar", [], "Ann", bar(1)),
        "link.svg": clip_art("Bar", [], "Ann", outside),
        "white.svg": clip_art("Bar", [], "Ann", bar(2, "white")),
        "untitled.svg": clip_art("", [], "Ann", bar(3)),
        "silent.svg": svg(body=bar(4)),
        "owned.svg": clip_art("Bar", [], "Ann", bar(5), licence="by-nc/"),
        "broken.svg": b"<svg",
    }
    says, kept, _ = prepared(files, tmp_path)
    assert [each["name"] for each in kept] == ["good.svg"]
    first, *reasons = says.splitlines()
    assert first == "1 drawings, 1 with a clean caption; 6 skipped"
    assert sorted(reasons) == [
        "  1 × SVG refers to another file or format",
        "  1 × damaged SVG",
        "  1 × not in the public domain",
        "  1 × white on white",
        "  2 × no title",
    ]
    with pytest.raises(FetchError, match=r"no usable drawing in the package \(1 skipped\)"):
        prepare(_only(tmp_path / "in", "broken.svg"), tmp_path / "out")


def _only(folder, name):
    for path in folder.iterdir():
        if path.name != name:
            path.unlink()
    return folder


def test_entities_that_grow_are_refused(tmp_path):
    text = clip_art("&c;", [], "Ann", bar(1))
    bomb = b'<!DOCTYPE svg [<!ENTITY a "%s">' % (b"x" * 9_999)
    for one, other in ((b"b", b"a"), (b"c", b"b")):
        bomb += b'<!ENTITY %s "%s">' % (one, b"&%s;" % other * 999)
    files = {"bomb.svg": bomb + b"]>" + text, "good.svg": clip_art("Bar", [], "Ann", bar(1))}
    says, kept, _ = prepared(files, tmp_path)
    assert [each["name"] for each in kept] == ["good.svg"]
    assert "1 × " in says


def test_each_fault_of_a_caption_is_found(tmp_path):
    known = "alpha beta gamma delta omega"
    files = {
        "clean.svg": clip_art("Alpha beta", [], "Ann", bar(1)),
        "copy.svg": clip_art("Alpha beta 2", [], "Bob", bar(1)),
        "other.svg": clip_art("Alpha beta 3", [], "Bob", bar(2)),
        "author.svg": clip_art("Bar by Ann", [], "Ann", bar(3)),
        "nothing.svg": clip_art("r2", [], "Ann", bar(4)),
        "ann.svg": clip_art(known, [], "Ann", bar(5)),
        "bob.svg": clip_art(known, [], "Bob", bar(6)),
        "pia.svg": clip_art("cane gatto rana lana alpha", [], "Pia", bar(7)),
        "pia2.svg": clip_art("alpha", [], "Pia", bar(8)),
    } | {f"x{i}.svg": clip_art(f"Theme {i}", [], "Ann", bar(9 + i)) for i in range(11)}
    _, kept, _ = prepared(files, tmp_path)
    faults = {each["name"].removesuffix(".svg"): each["fault"] for each in kept}
    assert {name: fault for name, fault in faults.items() if name[0] != "x"} == {
        "clean": "",
        "copy": "copy",
        "other": "",
        "author": "author",
        "nothing": "nothing",
        "ann": "",
        "bob": "",
        "pia": "language",
        "pia2": "language",
    }
    assert {faults[f"x{i}"] for i in range(11)} == {"collection"}
    splits = {each["name"]: (each["group"], each["split"]) for each in kept}
    assert splits["clean.svg"] == splits["copy.svg"] == splits["other.svg"]


def test_titles_become_captions():
    titles = {
        "Clipart by Nicu Buculei - book_01": "book",
        "Pie, Cherry (B and W)": "pie, cherry b and w",
        "L&eacute;zard4": "lézard",
        "45 RPM  Records.": "rpm records",
        "3D-box": "3d box",
    }
    assert {title: _caption(title) for title in titles} == titles
    assert _keywords(["a_b", "A B", "hash", "0x8b", "Joe", "unsorted", "--"], "joe") == ["a b"]


def test_what_is_missing_or_unknown_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match="`mmtutor fetch openclipart`"):
        load("openclipart", root=tmp_path)
    with pytest.raises(ValueError, match="split must be"):
        load("openclipart", "dev")
    with pytest.raises(TypeError, match="clean must be"):
        load("openclipart", clean=1)


# -------------------------------------------------------------------- the real ones, as published


@pytest.fixture(scope="module")
def splits():
    return {split: load("openclipart", split) for split in ("train", "val", "test")}


def test_no_caption_and_no_lookalike_stands_in_two_splits(splits):
    for column in ("caption", "group", "name"):
        sides = [set(map(str, list(data.column(column)))) for data in splits.values()]
        assert len(set.union(*sides)) == sum(map(len, sides)), column
    assert leaks(splits["val"], splits["test"]) == leaks(splits["train"], splits["test"]) == []
    raw = {split: load("openclipart", split, clean=False) for split in splits}
    groups = [set(data.column("group").tolist()) for data in raw.values()]
    assert len(set.union(*groups)) == sum(map(len, groups))
    assert sum(map(len, raw.values())) == 7_148


def test_cleaning_leaves_names_of_things(splits):
    raw, clean = load("openclipart", "all", clean=False), load("openclipart", "all")
    sizes = [len(data) for data in splits.values()]
    assert sum(sizes) == len(clean) > 2_000
    assert min(sizes) > 0.12 * len(clean)
    assert set(clean.column("fault")) == {""}
    for noise in ("gramastar", "Orso", "Lemon SVG theme", "hash"):
        assert noise.casefold() not in clean.column("caption")
        assert noise == "hash" or noise in raw.column("caption")
    assert "hash" in {tag for tags in raw.column("keywords") for tag in tags}
    assert "hash" not in {tag for tags in clean.column("keywords") for tag in tags}
    red = clean.column("image")[clean.column("caption").index("strawberry")].float()
    assert red.flatten(1).mean(dim=1).argmax() == 0
