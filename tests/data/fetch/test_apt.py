"""apt, played by a small script: what is asked of it, and what is said when it fails."""

import stat

import pytest

from mmtutor.data.fetch import FetchError
from mmtutor.data.fetch.client import download
from mmtutor.data.fetch.registry import Package

THING = Package("debian", "thing", "1", "", "", [""])
FETCH = "case $* in *download*) echo deb > thing_1_all.deb;; esac"
NEEDS_LISTS = f"case $* in *Dir::State::Lists*) {FETCH};; *) exit 100;; esac"


@pytest.fixture
def play(tmp_path, monkeypatch):
    """`play(script)`: the only apt-get there is; the commands it got end up in the file `log`."""

    def play(script: str) -> None:
        program = tmp_path / "bin" / "apt-get"
        program.parent.mkdir()
        if script:
            program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/log\n{script}\n')
            program.chmod(stat.S_IRWXU)
        monkeypatch.setenv("PATH", str(program.parent))

    return play


def test_the_systems_lists_are_enough(play, tmp_path):
    play(FETCH)
    here = tmp_path / "here"
    here.mkdir()
    assert download(THING, here) == here / "thing_1_all.deb"
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def test_private_lists_where_the_systems_are_missing(play, tmp_path):
    play(NEEDS_LISTS)
    here = tmp_path / "here"
    here.mkdir()
    path = download(THING, here)
    assert path.read_text() == "deb\n"
    first, update, second = (tmp_path / "log").read_text().splitlines()
    assert "Dir::" not in first
    assert str(here) in update
    assert update.split()[-1] == "update"
    assert second.split()[-2:] == ["download", "thing"]
    assert [entry.name for entry in path.parent.iterdir()] == ["thing_1_all.deb"]


def test_a_failure_is_told_in_apts_words(play, tmp_path):
    play("echo 'E: Unable to locate package thing' >&2; exit 100")
    with pytest.raises(FetchError, match=r"Unable to locate package thing.*--deb"):
        download(THING, tmp_path)


def test_no_apt(play, tmp_path):
    play("")
    with pytest.raises(FetchError, match=r"no apt here.*browser.*--deb FILE\.deb"):
        download(THING, tmp_path)
