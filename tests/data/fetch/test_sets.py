"""Sets: fetched once, whole or not at all, found again, and taken along."""

import hashlib
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from mmtutor.data.fetch import SETS, FetchError, copy, get, located, sets, summary
from mmtutor.data.fetch.registry import Package, Source
from mmtutor.files import CacheError
from tests.data.debs import FOLDER, deb
from tests.data.fetch.test_archive import FILES, tgz, wheel

WHEEL = "thing-1.0-py3-none-any.whl"


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def made(tmp_path):
    """The packages of the set "tiny" as files, by manager."""
    (tmp_path / "made").mkdir()
    return {
        "pypi": wheel(tmp_path / "made" / WHEEL),
        "npm": tgz(tmp_path / "made/thing-2.0.tgz"),
        "debian": deb(tmp_path / "made/thing_3_all.deb", {"e.txt": b"five"}, package="thing"),
    }


@pytest.fixture
def tiny(made, monkeypatch):
    """A set of three packages; the list of what was downloaded."""

    def package(manager, version, inside, **more):
        sha256 = hashlib.sha256(made[manager].read_bytes()).hexdigest()
        return Package(manager, "thing", version, sha256, inside, (".txt",), into=manager, **more)

    packages = [package("pypi", "1.0", "thing", file=WHEEL), package("npm", "2.0", "other")]
    packages += [package("debian", "3", FOLDER)]
    source = Source("three things", licence="Public domain", megabytes=1, packages=packages)
    monkeypatch.setitem(SETS, "tiny", source)
    asked = []

    def download(package, folder):
        asked.append(package.manager)
        path = made[package.manager]
        (folder / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(sets.client, "download", download)
    return asked


def tree(folder):
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


EXPECTED = {"pypi/a.txt": FILES["thing/a.txt"], "npm/d.txt": b"three", "debian/e.txt": b"five"}


def test_a_set_is_fetched_once_and_announced_first(tiny, root, capsys):
    folder = get("tiny", root=root)
    assert tree(folder) == EXPECTED
    assert capsys.readouterr().out == "tiny: three things; 1 MB, licence Public domain\n"
    assert get("tiny", root=root) == located("tiny", root) == folder
    assert tiny == ["pypi", "npm", "debian"]
    assert capsys.readouterr().out == ""
    assert sorted(os.listdir(root / "tiny")) == [".lock", folder.name, "set.json"]


def test_the_summary_says_where_it_came_from_and_whether_debians_files_are_known(
    tiny, root, monkeypatch
):
    folder = get("tiny", root=root)
    text = summary("tiny", root)
    assert "thing 1.0, thing 2.0, thing 1-test (not all files as in 3)" in text
    known = replace(SETS["tiny"].packages[2], sha256=sets._fingerprint(folder / "debian"))
    source = replace(SETS["tiny"], packages=[*SETS["tiny"].packages[:2], known], form=2)
    monkeypatch.setitem(SETS, "tiny", source)
    get("tiny", root=root)
    assert "thing 1-test, every file as known; licence Public domain" in summary("tiny", root)


def test_another_form_or_a_lost_or_shortened_file_is_fetched_again(tiny, root, monkeypatch):
    folder = get("tiny", root=root)
    (folder / "npm/d.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"`mmtutor fetch tiny` \(1 MB, licence Public"):
        located("tiny", root)
    assert tree(get("tiny", root=root)) == EXPECTED
    (folder / "npm/d.txt").write_bytes(b"th")
    assert tree(get("tiny", root=root)) == EXPECTED
    (root / "tiny/set.json").write_text("broken")
    assert tree(get("tiny", root=root)) == EXPECTED
    assert len(tiny) == 4 * 3
    monkeypatch.setitem(SETS, "tiny", replace(SETS["tiny"], form=2))
    assert tree(get("tiny", root=root)) == EXPECTED
    assert len(tiny) == 5 * 3


@pytest.mark.parametrize("manager", ["pypi", "npm"])
def test_another_file_is_refused_and_the_next_try_does_not_meet_it(manager, tiny, made, root):
    whole = made[manager].read_bytes()
    made[manager].write_bytes(whole + b"x")
    with pytest.raises(FetchError, match=rf"{made[manager].name} is not thing .* its sha256 is"):
        get("tiny", root=root)
    assert tree(root) == {}
    made[manager].write_bytes(whole)
    assert tree(get("tiny", root=root)) == EXPECTED


@pytest.mark.parametrize("number", range(3))
def test_a_package_without_the_wanted_files_is_refused(number, tiny, root):
    packages = SETS["tiny"].packages
    packages[number] = replace(packages[number], endings=[".no", ".none"])
    with pytest.raises(FetchError, match=r"thing.*: .*/\*\.no, .*/\*\.none is not in the package"):
        get("tiny", root=root)


def test_a_hostile_package_leaves_nothing_and_what_was_there_stays(tiny, made, root, monkeypatch):
    get("tiny", root=root)
    before = tree(root)
    made["debian"].write_bytes(b"!<arch>\n")
    monkeypatch.setitem(SETS, "tiny", replace(SETS["tiny"], form=2))
    with pytest.raises(FetchError, match="not a Debian package"):
        get("tiny", root=root)
    assert tree(root) == before


def test_a_file_of_the_readers_own_takes_the_place_of_a_download(tiny, made, root, monkeypatch):
    only = replace(SETS["tiny"], packages=SETS["tiny"].packages[2:])
    monkeypatch.setitem(SETS, "tiny", only)
    folder = get("tiny", root=root, package=made["debian"])
    assert get("tiny", root=root, package=made["debian"]) == folder
    assert tiny == []
    new = deb(made["debian"].with_name("new.deb"), {"f.txt": b"six"}, package="thing")
    assert tree(get("tiny", root=root, package=new)) == {"debian/f.txt": b"six"}
    assert tree(get("tiny", root=root, package=made["debian"])) == {"debian/e.txt": b"five"}
    with pytest.raises(FileNotFoundError):
        get("tiny", root=root, package=root / "absent.deb")


KILLED = """
import os, pathlib, signal, sys
from mmtutor.data.fetch import get, sets
def download(package, folder):
    (folder / package.file).write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
sets.client.download = download
get("wordllama", root=sys.argv[1])
"""


def test_killed_while_downloading_and_run_again(root, made, monkeypatch):
    done = subprocess.run([sys.executable, "-c", KILLED, root], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    assert any(path.read_bytes() == b"half" for path in root.rglob("*.whl"))
    sha256 = hashlib.sha256(made["pypi"].read_bytes()).hexdigest()
    package = replace(
        SETS["wordllama"].packages[0], sha256=sha256, inside="thing", endings=(".txt",)
    )
    monkeypatch.setitem(SETS, "wordllama", replace(SETS["wordllama"], packages=[package]))

    def download(package, folder):
        (folder / WHEEL).write_bytes(made["pypi"].read_bytes())

    monkeypatch.setattr(sets.client, "download", download)
    assert tree(get("wordllama", root=root)) == {"a.txt": b"one"}
    assert not list(root.rglob(".partial-*"))


def test_a_complete_download_is_not_fetched_again(tiny, root, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(sets.archive, "unpack", full)
        with pytest.raises(CacheError, match="no room"):
            get("tiny", root=root)
    assert tiny == ["pypi", "npm", "debian"]
    assert tree(get("tiny", root=root)) == EXPECTED
    assert tiny == ["pypi", "npm", "debian"]


def test_a_bundle_is_used_in_place_or_copied(tiny, root, tmp_path, monkeypatch):
    folder = get("tiny", root=root)
    bundle, other = tmp_path / "stick", tmp_path / "other"
    copy("tiny", root, bundle)
    assert located("tiny", bundle) == bundle / "tiny" / folder.name
    assert tree(copy("tiny", bundle, other)) == EXPECTED
    assert copy("tiny", bundle, other) == located("tiny", other)
    assert summary("tiny", other).replace(str(other), str(root)) == summary("tiny", root)
    with pytest.raises(FileNotFoundError, match="no wordllama in"):
        copy("wordllama", bundle, other)


def test_a_damaged_bundle_is_refused_and_harms_nothing(tiny, root, tmp_path):
    folder = get("tiny", root=root)
    (folder / "npm/d.txt").write_bytes(b"THREE")
    with pytest.raises(FetchError, match=r"d\.txt is damaged: its checksum differs"):
        copy("tiny", root, tmp_path / "other")
    assert tree(tmp_path / "other") == {}


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "a\\b"])
def test_a_hostile_bundle_is_not_one(tiny, root, tmp_path, name):
    get("tiny", root=root)
    noted = root / "tiny/set.json"
    noted.write_text(noted.read_text().replace("npm/d.txt", name.replace("\\", "\\\\")))
    with pytest.raises(FileNotFoundError, match="no tiny in"):
        copy("tiny", root, tmp_path / "other")


def test_unknown_names_are_listed():
    for function in (get, located, summary):
        with pytest.raises(ValueError, match=r"name must be 'stamps', 'fashion.*got 'tiny'"):
            function("tiny")


def test_every_set_is_pinned_and_licensed():
    for source in SETS.values():
        assert source.licence
        assert source.megabytes > 0
        for package in source.packages:
            assert len(package.sha256) == 64
            assert package.version
            assert bool(package.file) == (package.manager == "pypi")
