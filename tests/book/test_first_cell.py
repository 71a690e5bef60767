"""The first cell installs and fetches only where mmtutor is absent, and pins what is there."""

import importlib.metadata
import importlib.util
import subprocess

import nbformat
import pytest

from book.tools.sync import first_cell

NEEDS = nbformat.v4.new_code_cell("1", metadata={"tags": ["needs-smollm2", "hide-input"]})
FIRST_CELL = first_cell([NEEDS])


@pytest.fixture
def commands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: run.append(command))
    return run


def test_it_does_nothing_where_mmtutor_is_installed(commands, tmp_path):
    exec(FIRST_CELL, {})
    assert commands == []
    assert list(tmp_path.iterdir()) == []


def test_it_installs_mmtutor_and_keeps_torch_and_numpy(commands, monkeypatch, tmp_path):
    find = importlib.util.find_spec
    absent = {"mmtutor", "torchvision"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda p: None if p in absent else find(p))
    exec(FIRST_CELL, {})
    pins = [f"{name}=={importlib.metadata.version(name)}" for name in ("numpy", "torch")]
    assert (tmp_path / "keep.txt").read_text().split() == pins
    command, fetch = commands
    assert command[command.index("--constraint") + 1] == "keep.txt"
    assert command[-1].startswith("mmtutor[")
    assert fetch[1:4] == ["-m", "mmtutor", "fetch"]
    assert fetch[4:] == ["smollm2"]
