"""Stamps: from a package to the cache and to a data set, with everything that may go wrong."""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from data_scripts.package import run
from mmtutor.data import load
from mmtutor.data.fetch import FetchError, client, get, located, summary
from mmtutor.data.fetch.pictures import decode
from mmtutor.data.real import stamps_archive
from mmtutor.data.real.stamps import leaks, skipped
from mmtutor.data.splits import normalised
from mmtutor.files import CacheError
from tests.data.debs import HOSTILE, bomb, deb, png, stamps, svg

COUNT = 6


@pytest.fixture
def archive(tmp_path) -> Path:
    return deb(tmp_path / "stamps.deb", stamps(COUNT))


@pytest.fixture
def root(tmp_path) -> Path:
    return tmp_path / "cache"


def tree(folder: Path) -> dict[str, bytes]:
    """Every file under `folder` but the lock, which says nothing."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def prepare(archive: Path, root: Path) -> Path:
    return get("stamps", root=root, package=archive)


def sprite(index: int) -> torch.Tensor:
    return torch.tensor(decode(png(index), 224)).permute(2, 0, 1)


def test_examples_come_back_as_they_went_in(archive, root):
    prepare(archive, root)
    data = load("stamps", split="all", root=root)
    assert len(data) == COUNT
    assert data.column("image").dtype == torch.uint8
    for example in data:
        index = int(example["name"][-1])
        assert example["category"] == ("animals" if index % 2 else "food")
        assert example["caption"] == f"A thing number {index}."
        assert example["caption_zh"] == f"东西 {index}。"
        assert example["captions"]["de"] == f"Ding {index}."
        assert torch.equal(example["image"], sprite(index))


def test_sounds_are_kept_with_their_stamp(tmp_path, root):
    sounds = {
        "food/thing0.ogg": b"crunch",
        "food/thing0_desc.ogg": b"english",
        "food/thing0_desc_pt_BR.ogg": b"brazilian",
        "animals/thing1.wav": b"miaow",
        "animals/nobody.ogg": b"orphan",
    }
    prepare(deb(tmp_path / "x.deb", stamps(2) | sounds), root)
    cat, apple = load("stamps", split="all", root=root)
    assert Path(cat["sound"]).read_bytes() == b"miaow"
    assert cat["spoken"] == {}
    assert Path(apple["sound"]).read_bytes() == b"crunch"
    spoken = {language: Path(path).read_bytes() for language, path in apple["spoken"].items()}
    assert spoken == {"en": b"english", "pt_BR": b"brazilian"}


def test_what_is_unusable_is_skipped_with_its_reason(tmp_path, root):
    caption = b"Something."
    unusable = {
        "symbols/a.png": png(20),
        "symbols/a.txt": caption,
        "x/empty.png": png(21),
        "x/empty.txt": b" \nde.utf8=Leer.\n",
        "x/blank.png": png(22),
        "x/blank.txt": b"",
        "x/latin.png": png(23),
        "x/latin.txt": "Café".encode("latin-1"),
        "x/silent.png": png(24),
        "x/unseen.txt": caption,
        "x/jpeg.png": b"\xff\xd8\xff",
        "x/jpeg.txt": caption,
        "x/ghost.svg": svg(body='<rect width="9" height="9" fill="white"/>'),
        "x/ghost.txt": caption,
        "x/bomb.png": bomb(12_000, 12_000),
        "x/bomb.txt": caption,
    }
    prepare(deb(tmp_path / "x.deb", stamps(COUNT) | unusable), root)
    assert len(load("stamps", "all", root=root)) == COUNT
    reasons = {name: reason.split(":")[0] for name, reason in skipped(root).items()}
    assert reasons == {
        "x/empty": "empty English caption",
        "x/blank": "empty English caption",
        "x/latin": "caption file is not UTF-8",
        "x/silent": "no caption file",
        "x/unseen": "no picture",
        "x/ghost": "white on white",
        "x/jpeg": "cannot be decoded as PNG",
        "x/bomb": "12000 x 12000 pixels",
    }
    report = summary("stamps", root)
    assert "2 × empty English caption: x/blank, x/empty" in report
    assert "6 examples" in report
    assert "8 skipped" in report


def test_one_corrupt_picture_in_a_hundred_leaves_the_pairing_intact(tmp_path, root):
    files = stamps(100)
    files["food/thing42.png"] = files["food/thing42.png"][:60] + bytes(40)
    prepare(deb(tmp_path / "x.deb", files), root)
    assert list(skipped(root)) == ["food/thing42"]
    assert skipped(root)["food/thing42"].startswith("damaged PNG")
    data = load("stamps", split="all", root=root)
    assert len(data) == 99
    for example in data:
        index = int(example["name"].rpartition("thing")[2])
        assert example["caption"] == f"A thing number {index}."
        assert torch.equal(example["image"], sprite(index))


def test_a_drawing_is_preferred_to_its_png(tmp_path, root):
    red = svg(body='<rect width="100%" height="100%" fill="red"/>')
    files = {"a/b.svg": red, "a/b.png": png(), "a/b.txt": "\ufeffA\tb.\r\nfr.utf8=\r\n".encode()}
    prepare(deb(tmp_path / "x.deb", files), root)
    (example,) = load("stamps", split="all", root=root)
    assert example["image"][:, 112, 112].tolist() == [255, 0, 0]
    assert example["captions"] == {"en": "A b."}


def test_preparing_again_decodes_nothing(archive, root, monkeypatch):
    first = prepare(archive, root)
    monkeypatch.setattr(stamps_archive, "decode", lambda *_: pytest.fail("decoded again"))
    assert prepare(archive, root) == first


def test_a_new_archive_takes_over_and_a_lost_file_is_made_again(archive, root, tmp_path):
    prepare(archive, root)
    prepare(deb(tmp_path / "new.deb", stamps(3)), root)
    assert len(load("stamps", split="all", root=root)) == 3
    cached = prepare(archive, root)
    assert len(load("stamps", split="all", root=root)) == COUNT
    (cached / "images.npy").unlink()
    with pytest.raises(FileNotFoundError, match="no stamps in"):
        located("stamps", root)
    assert prepare(archive, root) == cached == located("stamps", root)
    assert len(load("stamps", split="all", root=root)) == COUNT


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_writes_nothing_anywhere(tmp_path, root, archive, case):
    prepare(archive, root)
    bad, message = HOSTILE[case]
    path = deb(tmp_path / "bad.deb", stamps(2) | {"a.txt": b"one", "a.ogg": b"sound"}, (bad,))
    before = tree(tmp_path)
    with pytest.raises(FetchError, match=message):
        prepare(path, root)
    assert tree(tmp_path) == before
    assert not Path("/tmp/evil").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"package": "bash"}, "is package 'bash': not 'tuxpaint-stamps-default'"),
        ({"sums": {"food/thing0.png": "0" * 32}}, "checksum differs"),
        ({"files": {"symbols/a.png": png(), "symbols/a.txt": b"A."}}, "no usable stamp"),
    ],
)
def test_a_wrong_archive_is_named_and_leaves_nothing(tmp_path, root, options, message):
    path = deb(tmp_path / "bad.deb", **{"files": stamps(2)} | options)
    with pytest.raises(FetchError, match=message):
        prepare(path, root)
    assert tree(root) == {}


def test_a_truncated_archive_leaves_nothing(archive, root):
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(FetchError, match=r"stamps\.deb is damaged or truncated"):
        prepare(archive, root)
    assert tree(root) == {}


@pytest.fixture
def small_files():
    """No file may grow beyond 100 kB meanwhile, like on a disk that fills up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("large", ["pictures", "sounds"])
def test_a_full_disk_while_caching(tmp_path, root, large, request):
    good = prepare(deb(tmp_path / "good.deb", stamps(2)), root)
    more = {"food/thing0.ogg": bytes(200_000)} if large == "sounds" else {}
    bad = deb(tmp_path / "bad.deb", stamps(3) | more)
    before = tree(tmp_path)
    request.getfixturevalue("small_files")
    with pytest.raises(CacheError, match=r"cannot write to .*unchanged"):
        prepare(bad, root)
    assert tree(tmp_path) == before
    assert located("stamps", root) == good


KILLED = """
import os, signal, sys
from mmtutor.data.fetch import get
from mmtutor.data.real import stamps_archive
decode, calls = stamps_archive.decode, []
def killing(*arguments):
    calls.append(1)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(*arguments)
stamps_archive.decode = killing
get("stamps", package=sys.argv[1], root=sys.argv[2])
"""


def test_killed_while_caching_and_run_again(tmp_path, root):
    archive = deb(tmp_path / "x.deb", stamps(COUNT) | {"food/thing0.ogg": b"sound"})
    done = subprocess.run([sys.executable, "-c", KILLED, archive, root])
    assert done.returncode == -signal.SIGKILL
    assert any(name.endswith(".ogg") for name in tree(root))  # killed half way
    with pytest.raises(FileNotFoundError, match="no stamps in"):
        load("stamps", root=root)
    cached = prepare(archive, root)
    assert len(load("stamps", "all", root=root)) == COUNT
    assert sorted(os.listdir(root / "stamps")) == sorted([".lock", "set.json", cached.name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "val"}, "split must be 'all', 'train' or 'test', got 'val'"),
        ({"fold": 5}, r"fold must be in \[0, 5\), got 5"),
        ({"fold": -1}, "fold must be a whole number of at least 0, got -1"),
        ({"folds": 1}, "folds must be a whole number of at least 2, got 1"),
        ({"image_size": 0}, "image_size must be a whole number of at least 1, got 0"),
        ({"image_size": 225}, r"image_size must be in \[1, 224\], got 225"),
    ],
)
def test_options_that_cannot_be(archive, root, options, message):
    prepare(archive, root)
    with pytest.raises(ValueError, match=message):
        load("stamps", root=root, **options)


def test_an_empty_cache_says_what_to_do(root):
    with pytest.raises(FileNotFoundError, match=r"no stamps in .*`mmtutor fetch stamps`"):
        load("stamps", root=root)


def test_smaller_pictures_are_averages(archive, root):
    prepare(archive, root)
    large, small = (
        load("stamps", root=root, image_size=size).column("image") for size in (224, 32)
    )
    assert small.shape[1:] == (3, 32, 32)
    assert small.dtype == torch.uint8
    means = (images.float().mean((1, 2, 3)) for images in (large, small))
    torch.testing.assert_close(*means, atol=0.5, rtol=0)


class TestScript:
    """`data_scripts/stamps.py`."""

    def run(self, monkeypatch, *arguments) -> int:
        monkeypatch.setattr(sys, "argv", ["stamps.py", *map(str, arguments)])
        return run("stamps", "Get the stamps.")

    def test_it_reports_and_then_finds_it_done(self, archive, root, monkeypatch, capsys):
        assert self.run(monkeypatch, "--deb", archive, "--out", root) == 0
        out = capsys.readouterr().out
        assert "tuxpaint-stamps-default 1-test (not all files as in" in out
        assert f"{COUNT} examples" in out
        monkeypatch.setenv("PATH", "")  # no apt: it is not asked
        assert self.run(monkeypatch, "--out", root) == 0
        assert f"{COUNT} examples" in capsys.readouterr().out

    def test_apts_download_is_not_kept(self, archive, root, monkeypatch, capsys):
        def download(package, folder: Path) -> Path:
            assert package.name == "tuxpaint-stamps-default"
            return archive.rename(folder / archive.name)

        monkeypatch.setattr(client, "download", download)
        assert self.run(monkeypatch, "--out", root) == 0
        assert f"{COUNT} examples" in capsys.readouterr().out
        assert not list(root.rglob("*.deb"))

    def test_no_apt(self, root, monkeypatch, capsys):
        monkeypatch.setenv("PATH", "")
        assert self.run(monkeypatch, "--out", root) == 1
        assert "pass it with --deb FILE.deb" in capsys.readouterr().err

    def test_a_missing_archive_and_a_folder_in_the_way(
        self, archive, tmp_path, monkeypatch, capsys
    ):
        assert self.run(monkeypatch, "--deb", tmp_path / "absent.deb", "--out", tmp_path) == 1
        assert "absent.deb" in capsys.readouterr().err
        (tmp_path / "file").write_bytes(b"")
        assert self.run(monkeypatch, "--deb", archive, "--out", tmp_path / "file") == 1
        message = capsys.readouterr().err
        assert message.startswith(f"stamps: cannot write to {tmp_path / 'file'}")
        assert "not writable" in message


def test_a_leak_is_found(archive, root):
    prepare(archive, root)
    data = load("stamps", split="all", root=root)
    one, other = data.subset([0, 1, 2]), data.subset([3, 4, 5])
    assert leaks(one, other) == []
    repeated = other.with_column("caption", ["x", one.column("caption")[1].upper(), "y"])
    assert leaks(one, repeated) == [(one[1]["name"], other[1]["name"], "caption")]
    flipped = other.column("image").clone()
    flipped[2] = one[0]["image"].flip(-1)
    found = leaks(one, other.with_column("image", flipped))
    assert found == [(one[0]["name"], other[2]["name"], "picture")]


@pytest.fixture(scope="module")
def data(stamps_cache):
    return load("stamps", split="all", root=stamps_cache)


class TestRealStamps:
    """What the book relies on in the real package, of whichever version."""

    def test_there_are_enough_and_none_is_a_symbol(self, data):
        assert len(data) > 600
        assert "symbols" not in data.column("category")
        assert len(set(data.column("name"))) == len(data)
        assert all(normalised(caption) for caption in data.column("caption"))

    @pytest.mark.parametrize("fold", range(5))
    def test_nothing_leaks_from_train_to_test(self, data, fold):
        train, test = (load("stamps", split=split, fold=fold) for split in ("train", "test"))
        assert leaks(train, test) == []
        assert len(train) + len(test) == len(data)
        assert abs(len(test) - len(data) / 5) < 3
        assert not set(train.column("group").tolist()) & set(test.column("group").tolist())

    def test_random_splits_would_leak(self, data):
        halves = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)).chunk(2)
        kinds = {kind for _, _, kind in leaks(*map(data.subset, halves))}
        assert kinds == {"caption", "picture"}

    def test_captions_in_many_languages_and_sounds(self, data):
        languages = set().union(*data.column("captions"))
        assert {"en", "de", "zh_CN", "zh_TW", "fr", "ja"} < languages
        assert sum(map(bool, data.column("caption_zh"))) > 400
        sounds = [path for path in data.column("sound") if path]
        assert len(sounds) > 50
        spoken = [path for paths in data.column("spoken") for path in paths.values()]
        for path in [*sounds, *spoken[::50]]:
            assert Path(path).read_bytes()[:4] in (b"OggS", b"RIFF")

    def test_pictures_show_something_on_white(self, data):
        images = data.column("image").numpy()
        assert images.shape[1:] == (3, 224, 224)
        assert (images.reshape(len(images), -1).min(axis=1) < 200).all()
        corners = images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
        assert np.median(corners) == 255

    def test_pictures_are_mapped_and_never_written_back(self, data):
        image = load("stamps", split="all").column("image")
        image[0] = 0
        assert not data[0]["image"].equal(image[0])
        assert load("stamps", split="all")[0]["image"].equal(data[0]["image"])
