"""The first lines of a chapter: the same seeds, the right preset, honest words on time."""

import importlib
import json
import random
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from mmtutor.notebook import default_preset, setup
from mmtutor.notebook.setup import _duration, _expected_time

first_lines = importlib.import_module("mmtutor.notebook.setup")


@pytest.fixture(autouse=True)
def clean_style():
    import matplotlib as mpl

    with mpl.rc_context():
        yield


def test_setup_seeds_every_generator(capsys):
    def draw():
        setup("5-labs/retrieval")
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002

    assert draw() == draw()
    assert "preset" in capsys.readouterr().out


def test_the_preset_follows_the_environment_then_the_device(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))
    monkeypatch.delenv("MMTUTOR_PRESET", raising=False)
    assert default_preset() == "t4"
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    assert default_preset() == "h100"
    monkeypatch.setenv("MMTUTOR_PRESET", "tiny")
    assert default_preset() == "tiny"
    monkeypatch.delenv("MMTUTOR_PRESET")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_preset() == "cpu"


def test_the_expected_time_is_the_packaged_one_or_none(monkeypatch):
    stored = {"5-labs/retrieval": {"seconds": 240.0, "machine": "Some CPU, 2 cores"}}
    monkeypatch.setattr(json, "loads", lambda _: stored)
    assert _expected_time("5-labs/retrieval").endswith("built: 4 min (Some CPU, 2 cores).")
    assert _expected_time("9-none/such") == "Run time: not measured yet."


def test_durations():
    assert [_duration(s) for s in (3.4, 89, 120)] == ["3 s", "89 s", "2 min"]


def test_threads_are_set_when_asked_for(capsys):
    before = torch.get_num_threads()
    try:
        setup("5-labs/retrieval", threads=1)
        assert torch.get_num_threads() == 1
        setup("5-labs/retrieval")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
    assert "CPU, 1 thread, " in capsys.readouterr().out


@pytest.mark.parametrize(("loaded", "stops"), [("11.0.0", True), ("12.0.0+local", False)])
def test_a_library_that_is_not_the_installed_one_asks_for_a_restart(monkeypatch, loaded, stops):
    import PIL

    version = first_lines.metadata.version
    monkeypatch.setattr(PIL, "__version__", loaded)
    monkeypatch.setattr(
        first_lines.metadata, "version", lambda p: "12.0.0" if p == "pillow" else version(p)
    )
    told = "pillow 11.0.0 is loaded, 12.0.0 is installed: restart the kernel"
    with pytest.raises(RuntimeError, match=told) if stops else nullcontext():
        setup("5-labs/retrieval")
