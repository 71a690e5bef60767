"""The script that keeps Flickr30k in a folder: what it writes, refuses and notices."""

import json
import sys

import pytest
import torch

from data_scripts import flickr30k
from mmtutor.data.hub.flickr30k import load_flickr30k
from tests.hub_standins import flickr_rows, save_flickr30k

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

COUNTS = {"train": 3, "val": 1, "test": 2}


@pytest.fixture
def source(tmp_path):
    return save_flickr30k(tmp_path / "source", flickr_rows(COUNTS))


def test_the_folder_reads_like_the_source(source, tmp_path):
    flickr30k.prepare(source, tmp_path / "out", counts=COUNTS)
    for split, count in COUNTS.items():
        kept, original = (load_flickr30k(at, split) for at in (tmp_path / "out", source))
        assert len(kept) == count
        assert kept.column("captions") == original.column("captions")
        assert torch.equal(kept[0]["image"], original[0]["image"])
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["images"] == COUNTS


def test_a_changed_or_missing_file_is_noticed(source, tmp_path):
    out = tmp_path / "out"
    flickr30k.prepare(source, out, counts=COUNTS)
    flickr30k.verify(out)
    with open(out / "test.parquet", "r+b") as file:
        file.seek(100)
        file.write(b"X")
    with pytest.raises(ValueError, match=r"test\.parquet is missing or was changed"):
        flickr30k.verify(out)
    (out / "test.parquet").unlink()
    with pytest.raises(ValueError, match=r"test\.parquet is missing"):
        flickr30k.verify(out)


@pytest.mark.parametrize(
    ("counts", "message"),
    [({"test": 9}, "has 2 images: expected 9"), ({"dev": 1}, "split must be")],
)
def test_what_is_not_flickr30k_leaves_nothing_behind(source, tmp_path, counts, message):
    with pytest.raises(ValueError, match=message):
        flickr30k.prepare(source, tmp_path / "kept" / "out", counts=counts)
    assert list((tmp_path / "kept").iterdir()) == []


def test_an_image_with_too_few_captions_is_named(tmp_path):
    columns = flickr_rows(COUNTS)
    columns["caption"][5] = columns["caption"][5][:4]
    bad = save_flickr30k(tmp_path / "bad", columns)
    with pytest.raises(ValueError, match="image 1 of 'test' has 4 captions"):
        flickr30k.prepare(bad, tmp_path / "out", counts=COUNTS)


def test_the_command_says_what_went_wrong_in_one_line(source, tmp_path, monkeypatch, capsys):
    command = ["flickr30k.py", "--source", str(source), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", command)
    assert flickr30k.main() == 1  # the stand-in is too small
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "flickr30k: split 'train' has 3 images: expected 29000"
    flickr30k.prepare(source, tmp_path / "out", counts=COUNTS)
    assert flickr30k.main() == 0
    assert "already there" in capsys.readouterr().out
