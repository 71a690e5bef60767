"""npm, played by a small script: what is asked of it, and what is said when it fails."""

import stat

import pytest

from mmtutor.data.fetch import FetchError, client
from mmtutor.data.fetch.registry import Package


def download(name, version, folder):
    return client.download(Package("npm", name, version, "", "", [""]), folder)


@pytest.fixture
def play(tmp_path, monkeypatch):
    """`play(script)`: the only npm there is; the folder it works in."""
    program = tmp_path / "bin" / "npm"
    program.parent.mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("PATH", str(program.parent))

    def play(script: str):
        program.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/asked\n{script}\n')
        program.chmod(stat.S_IRWXU)
        return tmp_path / "here"

    return play


def test_a_package_is_packed_and_no_script_of_it_runs(play, tmp_path):
    folder = play("echo tgz > scope-thing-1.0.0.tgz; echo scope-thing-1.0.0.tgz")
    path = download("@scope/thing", "1.0.0", folder)
    assert path.read_text() == "tgz\n"
    asked = (tmp_path / "asked").read_text().split()
    assert asked[0] == "pack"
    assert "--ignore-scripts" in asked
    assert asked[-1] == "@scope/thing@1.0.0"


def test_a_failure_is_told_in_npms_words(play):
    folder = play("echo 'npm error code ETARGET' >&2; echo 'A log is in ...' >&2; exit 1")
    with pytest.raises(FetchError, match=r"npm could not get thing 9 \(npm error code ETARGET\)"):
        download("thing", "9", folder)


def test_no_npm(play, tmp_path):
    with pytest.raises(FetchError, match=r"no npm here\. .*Node\.js.*--from"):
        download("thing", "1.0.0", tmp_path)
