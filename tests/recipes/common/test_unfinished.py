"""A recipe of two trainings on the command line: stopped, gone on with, refused, begun anew."""

import json
import os
import signal
import sys

import pytest
from safetensors.torch import load_file
from typer.testing import CliRunner

import mmtutor.recipes
from mmtutor import cli

RECIPE = '''"""A recipe that trains twice."""
import torch
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from tests.training.problem import Regression, data, squared_error

@settings
class Config(TrainConfig):
    epochs: int = 2
    width: int = 1


PRESETS = {"tiny": Config()}
HOOK = [lambda: None]


def hooked(output, batch):
    HOOK[0]()
    return squared_error(output, batch)


def run(config):
    torch.manual_seed(config.seed)
    for _ in range(2):
        model = Regression(0.3)
        history = train(config, model, hooked, data(shuffle=True))
    return Result({"drawn": torch.rand(()).item()}, history, model, config)
'''


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """The module of the recipe; its `HOOK` is called before each of 16 losses, 8 a training."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/twice.py").write_text(RECIPE)
    paths = [*mmtutor.recipes.__path__, str(tmp_path / "recipes")]
    monkeypatch.setattr(mmtutor.recipes, "__path__", paths)
    monkeypatch.setitem(mmtutor.recipes.RECIPES, "twice", "mmtutor.recipes.twice")
    yield cli._find("twice")
    sys.modules.pop("mmtutor.recipes.twice", None)


def run(out, *options):
    words = ["run", "twice", "--preset", "tiny", "--out", str(out), "--save-steps", "1", *options]
    return CliRunner().invoke(cli.app, words)


def at_loss(recipe, number, action):
    calls = iter(range(1, 100))

    def hook():
        if next(calls) == number:
            action()

    recipe.HOOK[0] = hook


def terminate():
    os.kill(os.getpid(), signal.SIGTERM)


def pull():
    raise FloatingPointError("pulled")


def results(out):
    record = json.loads((out / "metrics.json").read_text())
    weights = load_file(out / "model.safetensors")
    kept = {key: record["history"][key] for key in ("loss", "learning_rate", "epochs")}
    return record["metrics"], kept, {name: w.tolist() for name, w in weights.items()}


@pytest.mark.parametrize("number", [3, 8, 9, 14, 16])
def test_sigterm_saves_and_the_same_command_goes_on(tmp_path, recipe, number):
    """In the first training or the second; all results are those of the uninterrupted run."""
    assert run(tmp_path / "whole").exit_code == 0
    at_loss(recipe, number, terminate)
    stopped = run(tmp_path / "out")
    assert stopped.exit_code == 143
    first = number <= 8
    folder = tmp_path / "out" / ("" if first else "training-2")
    place = folder / f"step-{number if first else number - 8}"
    assert f"twice stopped: SIGTERM: saved as {place}; the same call goes on" in stopped.stderr
    assert stopped.stderr.count("\n") == 1
    recipe.HOOK[0] = lambda: None
    again = run(tmp_path / "out")
    assert again.exit_code == 0, again.output
    assert f"mmtutor: twice: found {place}, saved by this run: goes on from there" in again.stderr
    assert results(tmp_path / "out") == results(tmp_path / "whole")


def test_sigterm_outside_of_training_is_one_sentence(tmp_path, recipe, monkeypatch):
    monkeypatch.setattr(recipe, "Regression", lambda dropout: terminate())
    stopped = run(tmp_path / "out")
    assert stopped.exit_code == 143
    assert stopped.stderr == "mmtutor: twice stopped: SIGTERM\n"


def test_another_runs_folder_is_refused_until_it_is_finished(tmp_path, recipe):
    out = tmp_path / "out"
    at_loss(recipe, 11, pull)
    assert run(out).exit_code == 1
    refused = run(out, "--set", "lr=0.5")
    assert refused.exit_code == 1
    assert refused.stderr.count("\n") == 1
    assert f"{out} holds another run, unfinished: lr is 0.001 there, 0.5 here" in refused.stderr
    assert "--restart" in refused.stderr
    recipe.HOOK[0] = lambda: None
    assert run(out).exit_code == 0
    assert (out / "training-2" / "step-8").is_dir()
    other = run(out, "--set", "lr=0.5")
    assert other.exit_code == 0
    assert other.stderr == ""
    assert json.loads((out / "metrics.json").read_text())["config"]["lr"] == 0.5


def test_restart_begins_anew(tmp_path, recipe):
    at_loss(recipe, 11, pull)
    assert run(tmp_path / "out").exit_code == 1
    calls = []
    recipe.HOOK[0] = lambda: calls.append(1)
    anew = run(tmp_path / "out", "--restart", "--set", "lr=0.5")
    assert anew.exit_code == 0
    assert "found" not in anew.stderr
    assert len(calls) == 16


def test_each_training_of_a_run_is_watched_in_its_folder(tmp_path, recipe):
    assert run(tmp_path / "out", "--track", "tensorboard").exit_code == 0
    for folder in (tmp_path / "out", tmp_path / "out" / "training-2"):
        assert len(list((folder / "tensorboard").iterdir())) == 1


def test_an_unknown_tracker_is_refused_before_anything_runs(tmp_path, recipe):
    refused = run(tmp_path / "out", "--track", "tensorbord")
    assert refused.exit_code == 2
    assert refused.stderr.startswith("mmtutor: track must be 'tensorboard' or 'wandb', got")
    assert not (tmp_path / "out").exists()
