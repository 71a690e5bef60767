"""Stored results: joined from runs, found again, and honest about where they come from."""

import json
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from data_scripts import store as script
from mmtutor.cli import app
from mmtutor.reach import fingerprint
from mmtutor.recipes import RECIPES
from mmtutor.recipes.common import stored
from mmtutor.recipes.common.stored import (
    load_stored,
    load_weights,
    provenance,
    store,
    store_weights,
)
from mmtutor.training import save_model

STORED = sorted(path.stem for path in stored.FOLDER.glob("*.json"))
MODULE = "mmtutor.recipes.encoders.images"


def write_run(folder, seed=0, **config):
    folder.mkdir()
    record = {
        "metrics": {"accuracy": 0.5 + seed / 10},
        "history": {"loss": [1.0] * 1000},
        "config": {"seed": seed, **config},
        "preset": "cpu",
        "seed": seed,
        "command": f"mmtutor run vqa --preset cpu --seed {seed}",
        "date": "2026-11-22T10:00:00+00:00",
        "hardware": {"cpu": "A processor", "cores": 2, "memory_gib": 8.0},
        "versions": {"python": "3.11.7", "torch": "2.15.0"},
        "module": MODULE,
        "fingerprint": fingerprint(MODULE),
    }
    (folder / "metrics.json").write_text(json.dumps(record))
    return folder


def test_seeds_are_joined_without_their_histories(tmp_path):
    runs = [write_run(tmp_path / str(seed), seed, size=3) for seed in (0, 1)]
    store("vqa", runs, tmp_path)
    found = load_stored("vqa", tmp_path)
    assert [run["metrics"]["accuracy"] for run in found] == [0.5, 0.6]
    assert all("history" not in run for run in found)
    assert provenance(found) == (
        "Stored result, not computed on this page: seeds 0, 1; A processor, 2 cores; "
        "python 3.11.7, torch 2.15.0; 2026-11-22; mmtutor run vqa --preset cpu --seed 0; "
        "its code has not changed since."
    )
    found[0]["hardware"]["gpu"] = "NVIDIA H100"
    assert "; NVIDIA H100; " in provenance(found)


def test_weights_are_kept_in_half_precision_and_small(tmp_path, monkeypatch):
    model = nn.BatchNorm1d(3)
    save_model(model, tmp_path / "model.safetensors")
    store_weights("norm", tmp_path, tmp_path)
    found = load_weights("norm", tmp_path)
    assert {name: x.dtype for name, x in found.items()} == {
        name: x.dtype for name, x in model.state_dict().items()
    }
    assert torch.equal(found["weight"], model.weight)
    assert (tmp_path / "norm.safetensors").stat().st_size < 1_000
    monkeypatch.setattr(stored, "LARGEST", 20)
    with pytest.raises(ValueError, match="at most 20 bytes, got 32"):
        store_weights("norm", tmp_path, tmp_path)
    with pytest.raises(FileNotFoundError):
        load_weights("none", tmp_path)


def test_only_the_seed_may_differ(tmp_path):
    runs = [write_run(tmp_path / "a", size=3), write_run(tmp_path / "b", size=4)]
    with pytest.raises(ValueError, match="differ in their seed alone"):
        store("vqa", runs, tmp_path)
    with pytest.raises(ValueError, match=r"each seed once, got \[0, 0\]"):
        store("vqa", runs[:1] * 2, tmp_path)
    other = json.loads((runs[0] / "metrics.json").read_text())
    other["hardware"]["gpu"], other["seed"] = "NVIDIA T4", 1
    (runs[1] / "metrics.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="differ in their seed alone"):
        store("vqa", runs, tmp_path)


def test_what_is_not_stored_is_named_with_what_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are: none"):
        load_stored("vqa", tmp_path)
    store("other", [write_run(tmp_path / "0")], tmp_path)
    with pytest.raises(
        FileNotFoundError, match="'vqa' is stored with the package; there are: other"
    ):
        load_stored("vqa", tmp_path)


def test_the_script_stores_and_says_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(stored.store, "__defaults__", (tmp_path / "stored",))
    run = write_run(tmp_path / "0")
    assert script.main(["vqa", str(run)]) == 0
    assert load_stored("vqa", tmp_path / "stored")[0]["seed"] == 0
    assert script.main(["vqa", str(tmp_path / "lost")]) == 1
    assert "lost" in capsys.readouterr().err


def test_it_says_whether_the_code_changed(tmp_path):
    store("vqa", [write_run(tmp_path / "0")], tmp_path)
    [run] = load_stored("vqa", tmp_path)
    for change in ({"fingerprint": "0" * 64}, {"module": "mmtutor.recipes.gone"}):
        assert provenance([run | change]).endswith("; its code has changed since.")
    unknown = run | {"fingerprint": None}
    assert provenance([unknown]).endswith("; code: not of the package.")
    older = unknown | {"code": "before fingerprints were kept, commit 1234567"}
    assert provenance([older]).endswith("; code: before fingerprints were kept, commit 1234567.")


def test_runs_of_different_code_are_not_joined(tmp_path):
    runs = [write_run(tmp_path / str(seed), seed) for seed in (0, 1)]
    path = runs[1] / "metrics.json"
    path.write_text(path.read_text().replace(fingerprint(MODULE), "0" * 64))
    with pytest.raises(ValueError, match="differ in their seed alone"):
        store("vqa", runs, tmp_path)


@pytest.mark.parametrize("name", STORED)
def test_a_stored_result_says_what_made_it(name):
    for run in load_stored(name):
        assert set(stored.SHOWN) - {"module", "fingerprint"} <= run.keys()
        assert run["versions"].keys() >= {"python", "torch", "numpy"}
        assert {"cores"} < run["hardware"].keys()
        if run["fingerprint"] is None:
            assert re.fullmatch(r"before fingerprints were kept, commit \w{7}", run["code"])
        else:
            assert re.fullmatch("[0-9a-f]{64}", run["fingerprint"])
            assert run["module"] in RECIPES.values()


class NotRunError(OSError):
    """Stands for a recipe's run, of which a test wants the settings alone."""


def started(command, folder, monkeypatch, **options):
    """The recipe that a command starts, and with which settings; it is not run."""
    words = shlex.split(command)
    for option, value in ({"out": str(folder)} | options).items():
        words[words.index(f"--{option}") + 1] = value
    recipe, configs = import_module(RECIPES[words[2].replace("-", "_")]), []

    def run(config):
        configs.append(config)
        raise NotRunError

    with monkeypatch.context() as patch:
        patch.setattr(recipe, "run", run)
        done = CliRunner().invoke(app, words[1:])
    assert configs, done.output
    return recipe, configs[0]


@pytest.mark.parametrize("name", STORED)
def test_the_command_of_a_stored_result_can_be_given(name, tmp_path, monkeypatch):
    for run in load_stored(name):
        recipe, config = started(run["command"], tmp_path, monkeypatch)
        assert config.seed == run["seed"]
        assert recipe.Config.preset(run["preset"])
        assert run["module"] == recipe.__name__ if run["fingerprint"] else True


def own_tests_run_tiny(recipe):
    """Whether a test file that imports the recipe makes its tiny preset."""
    folder, _, name = recipe.__name__.rpartition(".")
    wanted = re.compile(rf"from {folder} import (.*, )?{name}\b|from {recipe.__name__} import ")
    texts = [path.read_text("utf-8") for path in Path(__file__).parents[1].rglob("test_*.py")]
    return any(wanted.search(text) and 'preset("tiny"' in text for text in texts)


@pytest.mark.parametrize("name", STORED)
def test_the_same_command_runs_tiny(name, tmp_path, monkeypatch):
    """Where the command changes no setting, the recipe's own tests run it."""
    command = load_stored(name)[0]["command"]
    recipe, config = started(command, tmp_path, monkeypatch, preset="tiny")
    if "--set" in command:
        assert recipe.run(config).metrics
    else:
        assert own_tests_run_tiny(recipe)
