"""Fashion-MNIST: from a package to the cache and to a data set, with what may go wrong."""

import gzip
import sys

import pytest
import torch

from data_scripts.package import run
from mmtutor.data import load
from mmtutor.data.fetch import SETS, FetchError, client, get, summary
from mmtutor.data.real.fashion_mnist import CLASSES
from tests.data.debs import deb, member

(WANTED,) = SETS["fashion-mnist"].packages
PACKAGE, FOLDER = WANTED.name, WANTED.inside
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = {
    split: torch.randint(256, (n, 28, 28), generator=GENERATOR)
    for split, n in (("train", 12), ("t10k", 5))
}
LABELS = {split: torch.arange(len(images)) % 10 for split, images in IMAGES.items()}


def idx(values: torch.Tensor) -> bytes:
    header = bytes([0, 0, 8, values.ndim])
    sizes = b"".join(size.to_bytes(4) for size in values.shape)
    return header + sizes + values.to(torch.uint8).numpy().tobytes()


def parts(**replaced: bytes) -> dict[str, bytes]:
    """The four files, uncompressed; `train_images=...` replaces one."""
    files = {f"{split}_images": idx(images) for split, images in IMAGES.items()}
    files |= {f"{split}_labels": idx(labels) for split, labels in LABELS.items()}
    return files | replaced


def package(path, package=PACKAGE, compress=gzip.compress, **replaced):
    members = []
    for name, data in parts(**replaced).items():
        split, kind = name.split("_")
        ending = "idx3" if kind == "images" else "idx1"
        members.append(member(f"{FOLDER}/{split}-{kind}-{ending}-ubyte.gz", compress(data)))
    return deb(path / "fashion.deb", extra=tuple(members), package=package)


def prepare(path, root):
    get("fashion-mnist", root=root, package=path)
    return summary("fashion-mnist", root)


def test_pictures_come_back_as_they_went_in(tmp_path):
    report = prepare(package(tmp_path), tmp_path)
    assert "not all files as in" in report
    assert "17 pictures" in report
    for split, theirs in (("train", "train"), ("test", "t10k")):
        data = load("fashion-mnist", split, root=tmp_path)
        image = data.column("image")
        assert image.dtype == torch.uint8
        assert torch.equal(image.long(), IMAGES[theirs].unsqueeze(1).expand(-1, 3, -1, -1))
        assert torch.equal(data.column("label"), LABELS[theirs])
    assert len(load("fashion-mnist", n=3, root=tmp_path)) == 3
    assert not list(tmp_path.rglob(".partial-*"))


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"train_images": idx(IMAGES["train"])[:-1]}, "damaged: not an IDX"),
        ({"train_images": idx(IMAGES["train"]) + b"x"}, "damaged: not an IDX"),
        ({"train_images": idx(IMAGES["train"][:, 1:])}, "damaged: not an IDX"),
        ({"train_images": b"\0\0\x0d\x03" + idx(IMAGES["train"])[4:]}, "damaged: not an IDX"),
        ({"t10k_labels": idx(LABELS["t10k"][1:])}, "5 pictures and 4 labels"),
        ({"t10k_labels": idx(LABELS["t10k"] + 6)}, "labels below 10"),
        ({"train_labels": b""}, "damaged"),
    ],
)
def test_damaged_files_are_refused_and_nothing_is_cached(tmp_path, replaced, message):
    with pytest.raises(FetchError, match=message):
        prepare(package(tmp_path, **replaced), tmp_path)
    with pytest.raises(FileNotFoundError, match=r"mmtutor fetch fashion-mnist"):
        load("fashion-mnist", root=tmp_path)


def test_a_stream_that_is_no_gzip_or_ends_early(tmp_path):
    for compress in (bytes, lambda data: gzip.compress(data)[:-9]):
        with pytest.raises(FetchError, match="damaged"):
            prepare(package(tmp_path, compress=compress), tmp_path)


def test_another_package_is_refused(tmp_path):
    with pytest.raises(FetchError, match="is package 'other': not 'dataset-fashion-mnist'"):
        prepare(package(tmp_path, package="other"), tmp_path)
    with pytest.raises(FetchError, match="not in the package"):
        prepare(deb(tmp_path / "empty.deb", package=PACKAGE), tmp_path)


def test_a_failed_preparation_keeps_what_was_there(tmp_path):
    prepare(package(tmp_path), tmp_path)
    with pytest.raises(FetchError):
        prepare(package(tmp_path, train_labels=b""), tmp_path)
    assert len(load("fashion-mnist", root=tmp_path)) == 12


def test_bad_options_are_named(tmp_path):
    prepare(package(tmp_path), tmp_path)
    with pytest.raises(ValueError, match="split must be 'train' or 'test', got 'val'"):
        load("fashion-mnist", "val", root=tmp_path)
    for n in (0, 13):
        with pytest.raises(ValueError, match=rf"n must be .*1.*, got {n}"):
            load("fashion-mnist", n=n, root=tmp_path)


def test_get_downloads_once_and_removes_the_package(tmp_path, monkeypatch):
    calls = []

    def download(wanted, folder):
        calls.append(wanted.name)
        package(folder)

    monkeypatch.setattr(client, "download", download)
    get("fashion-mnist", root=tmp_path)
    assert "17 pictures" in summary("fashion-mnist", tmp_path)
    assert tmp_path in get("fashion-mnist", root=tmp_path).parents
    assert calls == [PACKAGE]
    assert not list(tmp_path.rglob("*.deb"))


def test_the_script_takes_an_archive_and_says_what_went_wrong(tmp_path, monkeypatch, capsys):
    archive = package(tmp_path)
    for path, code in ((archive, 0), (tmp_path / "absent.deb", 1)):
        arguments = ["x", "--deb", str(path), "--out", str(tmp_path)]
        monkeypatch.setattr(sys, "argv", arguments)
        assert run("fashion-mnist", "Get them.") == code
    printed = capsys.readouterr()
    assert "17 pictures" in printed.out
    assert "fashion-mnist: " in printed.err
    assert "absent.deb" in printed.err


def test_the_real_pictures_are_all_there(fashion_mnist_cache):
    train, test = (load("fashion-mnist", split) for split in ("train", "test"))
    assert (len(train), len(test)) == (60_000, 10_000)
    for data in (train, test):
        assert data.column("label").bincount().tolist() == [len(data) // len(CLASSES)] * 10
    # trousers are tall, sneakers are wide: the labels belong to the pictures
    ink = train.subset(range(2_000)).column("image")[:, 0].float()
    rows, columns = ink.amax(2).gt(40).sum(1), ink.amax(1).gt(40).sum(1)
    wide = (columns - rows).float()
    label = train.column("label")[:2_000]
    assert wide[label == CLASSES.index("sneaker")].mean() > 8
    assert wide[label == CLASSES.index("trousers")].mean() < -8
