"""Pictures are decoded once, and again when anything about them changes."""

import os

import pytest
import torch
from PIL import Image

from mmtutor.data.fetch.pictures import PictureError, read_picture
from mmtutor.data.real import picture_files
from mmtutor.data.real.picture_files import kept_pictures

SIZE = (8, 12)


@pytest.fixture
def paths(tmp_path):
    made = [tmp_path / f"{colour}.jpg" for colour in ("red", "green", "blue")]
    for path in made:
        Image.new("RGB", (50, 40), path.stem).save(path)
    return made


@pytest.fixture
def decoded(monkeypatch):
    """Counts the pictures that are decoded."""
    calls = []

    def read(*arguments):
        calls.append(arguments)
        return read_picture(*arguments)

    monkeypatch.setattr(picture_files, "read_picture", read)
    return calls


def test_they_are_what_is_read_and_read_once(paths, tmp_path, decoded):
    kept = [kept_pictures(paths, SIZE, tmp_path / "kept") for _ in "ab"]
    assert len(decoded) == 3
    wanted = torch.stack([read_picture(path.read_bytes(), SIZE) for path in paths])
    assert all(torch.equal(pictures, wanted) for pictures in kept)


def test_whatever_changes_is_read_again(paths, tmp_path, decoded):
    folder = tmp_path / "kept"
    kept_pictures(paths, SIZE, folder)
    kept_pictures(paths, (12, 8), folder)
    kept_pictures(paths[::-1], SIZE, folder)
    os.utime(paths[0], ns=(1, 1))
    kept_pictures(paths, SIZE, folder)
    assert len(decoded) == 12


def test_a_damaged_picture_is_named_and_nothing_is_kept(paths, tmp_path):
    paths[1].write_bytes(paths[1].read_bytes()[:-80])
    with pytest.raises(PictureError, match=r"green\.jpg: cannot be decoded"):
        kept_pictures(paths, SIZE, tmp_path / "kept")
    assert list((tmp_path / "kept").iterdir()) == []


def test_writing_to_them_changes_no_file(paths, tmp_path):
    kept_pictures(paths, SIZE, tmp_path)[:] = 0
    assert kept_pictures(paths, SIZE, tmp_path).any()


def test_a_missing_picture_is_named(paths, tmp_path):
    paths[2].unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*blue\.jpg"):
        kept_pictures(paths, SIZE, tmp_path)
