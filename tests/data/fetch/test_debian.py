"""The package reader: what it hands out, and the damaged and hostile packages it refuses."""

import hashlib
import lzma
import stat
import tarfile
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mmtutor.data.fetch import FetchError, archive
from mmtutor.data.fetch.archive import safe_name, unpack
from mmtutor.data.fetch.registry import Package
from tests.data.debs import FOLDER, HOSTILE, ar, deb, inside, member, tar

FILES = {"a.txt": b"one", "b/c.png": b"two", "b/e.ogg": bytes(70_000)}


def wanted(*endings):
    return Package("debian", "tuxpaint-stamps-default", "1", "", FOLDER, list(endings))


def read(path, endings=("",)) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        unpack(path, wanted(*endings), Path(folder))
        files = [file for file in Path(folder).rglob("*") if file.is_file()]
        assert not any(file.is_symlink() for file in files)
        return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize("ending", [".xz", ".gz", ""])
def test_files_come_out_whole(tmp_path, ending):
    path = deb(tmp_path / "x.deb", FILES, ending=ending)
    assert read(path) == FILES
    assert read(path, (".txt",)) == {"a.txt": b"one"}
    assert unpack(path, wanted(""), tmp_path / "out") == "1-test"


def test_another_package_is_refused(tmp_path):
    with pytest.raises(FetchError, match="is package 'bash': not 'tuxpaint-stamps-default'"):
        read(deb(tmp_path / "x.deb", FILES, package="bash"))


def test_what_is_elsewhere_is_not_handed_out(tmp_path):
    doc = (member("./usr/share/doc/x", b"doc"), member("usr/share/doc/y", kind=tarfile.SYMTYPE))
    assert read(deb(tmp_path / "x.deb", FILES, doc)) == FILES


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_members_are_refused(tmp_path, case):
    bad, message = HOSTILE[case]
    with pytest.raises(FetchError, match=message):
        read(deb(tmp_path / "x.deb", FILES, (bad,)))


def test_links_are_passed_over_only_where_a_package_is_known_to_have_some(tmp_path):
    def packed(case):
        bad, message = HOSTILE[case]
        return deb(tmp_path / "x.deb", FILES, (bad,)), message

    package = replace(wanted(".txt"), links=True)
    unpack(packed("symbolic link")[0], package, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["a.txt"]
    for case in ("hard link", "link as parent", "character device", "parent"):
        path, message = packed(case)
        with pytest.raises(FetchError, match=message):
            unpack(path, package, tmp_path / "no")


def test_a_declared_size_without_content_is_refused(tmp_path):
    info, _ = member(inside("big"))
    info.size = 2**40
    data = tar([member(inside("a.txt"), b"one")])[:1024] + info.tobuf(tarfile.GNU_FORMAT)
    path = deb(tmp_path / "x.deb", FILES, data=lzma.compress(data))
    with pytest.raises(FetchError, match="declares 1099511627776 bytes"):
        read(path)


def test_a_size_bomb_is_stopped_while_unpacking(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_TOTAL", 2**21)
    elsewhere = member("usr/share/doc/zeros", bytes(2**22))
    path = deb(tmp_path / "x.deb", FILES, (elsewhere,))
    assert path.stat().st_size < 10_000
    with pytest.raises(FetchError, match="more than 2097152 bytes"):
        read(path)


def test_too_many_members_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
    many = tuple(member(f"usr/share/doc/{number}", b"") for number in range(9))
    with pytest.raises(FetchError, match="more than 5 members"):
        read(deb(tmp_path / "x.deb", {}, many))


def test_every_file_must_have_the_checksum_the_package_states(tmp_path):
    wrong = hashlib.md5(b"other").hexdigest()
    with pytest.raises(FetchError, match=r"'a\.txt' is damaged: its checksum differs"):
        read(deb(tmp_path / "x.deb", FILES, sums={"a.txt": wrong}))
    with pytest.raises(FetchError, match="1 of the files it lists are missing"):
        read(deb(tmp_path / "x.deb", FILES, sums={"absent.txt": wrong}))
    path = deb(tmp_path / "x.deb", data=lzma.compress(tar([member(inside("new"), b"x")])))
    with pytest.raises(FetchError, match="not in the package's md5sums"):
        read(path)


def test_a_truncated_package_is_refused_at_every_length(tmp_path):
    whole = deb(tmp_path / "whole.deb", FILES).read_bytes()
    path = tmp_path / "x.deb"
    for length in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:length])
        with pytest.raises(FetchError, match=r"x\.deb"):
            read(path)


def test_a_truncated_data_archive_is_refused(tmp_path):
    plain = tar([member(inside(name), data) for name, data in FILES.items()])
    packed = lzma.compress(plain)
    for data in (packed[: len(packed) // 2], lzma.compress(plain[:2048]), lzma.compress(b"")):
        with pytest.raises(FetchError, match=r"truncated"):
            read(deb(tmp_path / "x.deb", FILES, data=data))


def test_no_single_changed_byte_gives_wrong_bytes_or_another_error(tmp_path):
    whole = deb(tmp_path / "whole.deb", FILES, ending="").read_bytes()
    rng = np.random.default_rng(0)
    path = tmp_path / "x.deb"
    for position in rng.integers(0, len(whole) - 75_000, 200):
        changed = bytearray(whole)
        changed[position] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with suppress(FetchError):
            assert read(path).items() <= FILES.items()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no ar signature"),
        (b"<html>not found</html>", "no ar signature"),
        (ar({}), "no debian-binary at its beginning"),
        (ar({"control.tar": b""}), "no debian-binary at its beginning"),
        (ar({"debian-binary": b"2.0\n"}), r"no control\.tar in it"),
        (ar({"debian-binary": b"2.0\n", "control.tar.lz": b""}), r"cannot read control\.tar\.lz"),
        (ar({"debian-binary": b"2.0\n", "control.tar.xz": b"junk"}), "damaged or truncated"),
        (ar({"debian-binary": b"2.0\n", "control.tar": tar([])}), "no control file"),
    ],
)
def test_what_is_no_debian_package(tmp_path, content, message):
    path = tmp_path / "x.deb"
    path.write_bytes(content)
    with pytest.raises(FetchError, match=message):
        read(path)


def test_an_absent_package(tmp_path):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "x.deb")


def zstd_package(tmp_path, monkeypatch, program: str):
    """A package that claims to be compressed with zstd, and `program` as the only dpkg-deb."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    if program:
        (bin_folder / "dpkg-deb").write_text(f"#!/bin/sh\n{program}\n")
        (bin_folder / "dpkg-deb").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(bin_folder))
    return deb(tmp_path / "x.deb", FILES, data=b"zstd data", ending=".zst")


def test_zstd_is_read_by_dpkg_deb(tmp_path, monkeypatch):
    plain = tmp_path / "data.tar"
    plain.write_bytes(tar([member(inside(name), data) for name, data in FILES.items()]))
    path = zstd_package(tmp_path, monkeypatch, f'[ "$1" = --fsys-tarfile ] && /bin/cat {plain}')
    assert read(path) == FILES


def test_zstd_without_a_reader_and_with_a_failing_one(tmp_path, monkeypatch):
    path = zstd_package(tmp_path, monkeypatch, "")
    with pytest.raises(FetchError, match=r"needs dpkg-deb"):
        read(path)
    (tmp_path / "again").mkdir()
    plain = tmp_path / "data.tar"
    plain.write_bytes(tar([member(inside(name), data) for name, data in FILES.items()]))
    path = zstd_package(tmp_path / "again", monkeypatch, f"/bin/cat {plain}; exit 2")
    with pytest.raises(FetchError, match=r"dpkg-deb cannot unpack data\.tar\.zst"):
        read(path)


@pytest.mark.parametrize("name", ["a/b.png", "./a/b.png", "a//b.png", "a/./b.png"])
def test_safe_names_are_made_plain(name):
    assert safe_name(name) == "a/b.png"


def test_a_long_name_from_gnu_tar(tmp_path):
    name = "/".join(["folder" * 5] * 8) + ".txt"
    assert read(deb(tmp_path / "x.deb", {name: b"x"})) == {name: b"x"}
