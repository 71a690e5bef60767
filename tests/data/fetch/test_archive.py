"""Wheels, zip files and `.tar.gz`: what comes out, and the damaged and hostile ones refused."""

import gzip
import stat
import tarfile
import zipfile

import pytest

from mmtutor.data.fetch import FetchError, archive
from mmtutor.data.fetch.archive import unpack
from mmtutor.data.fetch.registry import Package
from tests.data.debs import HOSTILE, SPECIAL, inside, member, tar

FILES = {"thing/a.txt": b"one", "thing/b/c.png": b"two" * 999, "other/d.txt": b"three"}


def wheel(path, files=FILES, modes=()):
    """A zip file; `modes` are (name, Unix mode) of further empty members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in files.items():
            out.writestr(name, data)
        for name, mode in modes:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            out.writestr(info, b"/etc/passwd")
    return path


def tgz(path, files=FILES, extra=()):
    members = [member(name, data) for name, data in files.items()]
    path.write_bytes(gzip.compress(tar([*members, *extra])))
    return path


def wanted(inside="", endings=("",)):
    return Package("pypi", "x", "1", "", inside, list(endings))


def unpacked(path, tmp_path, *options):
    folder = tmp_path / "out"
    unpack(path, wanted(*options), folder)
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


@pytest.mark.parametrize("make", [wheel, tgz])
def test_what_is_wanted_comes_out(make, tmp_path):
    path = make(tmp_path / "x")
    assert unpacked(path, tmp_path) == FILES
    expected = {"a.txt": b"one"}
    assert unpacked(path, tmp_path / "some", "thing", (".txt",)) == expected


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_tar_archives_are_refused(case, tmp_path):
    bad, message = HOSTILE[case]
    path = tgz(tmp_path / "x.tgz", {inside("a.txt"): b"one"}, (bad,))
    with pytest.raises(FetchError, match=message):
        unpacked(path, tmp_path)


@pytest.mark.parametrize(
    "name", ["../evil", "thing/../../evil", "/tmp/evil", "thing\\evil", "C:evil", "a\nb", "a\0b"]
)
def test_hostile_names_in_a_zip_file_are_refused(name, tmp_path):
    path = wheel(tmp_path / "x.whl", {"thing/a.txt": b"one", name.replace("\0", "#"): b"x"})
    path.write_bytes(path.read_bytes().replace(b"#", b"\0"))  # zipfile would not write it
    with pytest.raises(FetchError, match="unsafe name"):
        unpacked(path, tmp_path)
    assert not (tmp_path / "evil").exists()


def test_links_and_devices_in_a_zip_file_are_refused(tmp_path):
    for kind in (stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR):
        path = wheel(tmp_path / "x.whl", modes=[("thing/link", kind | 0o777)])
        with pytest.raises(FetchError, match=SPECIAL):
            unpacked(path, tmp_path, "thing")
        assert unpacked(path, tmp_path / "some", "other") == {"d.txt": b"three"}


def test_a_name_twice_in_a_zip_file_is_refused(tmp_path):
    path = wheel(tmp_path / "x.whl", {"thing/a.txt": b"one", "thing/b.txt": b"two"})
    path.write_bytes(path.read_bytes().replace(b"thing/b.txt", b"thing/a.txt"))
    with pytest.raises(FetchError, match="is there twice"):
        unpacked(path, tmp_path)


@pytest.mark.parametrize("make", [wheel, tgz])
@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ("MAX_FILE", "declares 4194304 bytes"),
        ("MAX_TOTAL", "unpacks to more than 2097152 bytes"),
        ("MAX_MEMBERS", "more than 2097152 members"),
    ],
)
def test_bombs_are_refused(make, limit, message, tmp_path, monkeypatch):
    path = make(tmp_path / "x", {"thing/zeros": bytes(2**22)} | FILES)
    monkeypatch.setattr(archive, limit, 2**21 if limit != "MAX_MEMBERS" else 2)
    message = message.replace("2097152 members", "2 members")
    with pytest.raises(FetchError, match=message):
        unpacked(path, tmp_path)


def test_a_header_that_swells_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "MAX_TOTAL", 2**21)
    path = tmp_path / "x.tgz"
    info, _ = member("long name", kind=tarfile.GNUTYPE_LONGNAME)
    info.size = 2**23
    path.write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + b"a" * 2**23))
    with pytest.raises(FetchError, match="unpacks to more than"):
        unpacked(path, tmp_path)


@pytest.mark.parametrize("make", [wheel, tgz])
def test_a_truncated_archive_is_refused_at_every_length(make, tmp_path):
    whole = make(tmp_path / "whole").read_bytes()
    path = tmp_path / "x"
    for length in range(0, len(whole) - 9, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(FetchError, match="x is damaged or truncated"):
            unpack(path, wanted(), tmp_path / str(length))
