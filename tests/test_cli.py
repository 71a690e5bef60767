"""The command line with a recipe made up for the test, and with a real one at its smallest."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import mmtutor.recipes
from mmtutor import cli, doctor
from mmtutor.data.fetch import SETS
from mmtutor.data.fetch.registry import Package, Source
from mmtutor.recipes.common.result import plain
from tests.data.debs import FOLDER, deb
from tests.sweep import command_line

RECIPE = '''"""A recipe that trains nothing."""
from dataclasses import dataclass
from torch import nn, tensor
from mmtutor.recipes.common.result import Result
from mmtutor.training import History

CALLS = []

@dataclass(frozen=True)
class Config:
    size: int = 2
    seed: int = 0

    @classmethod
    def preset(cls, name):
        if name not in ("tiny", "cpu"):
            raise ValueError(f"unknown preset {name!r}: expected one of tiny, cpu")
        return cls()

def run(config):
    CALLS.append(config)
    if config.seed == 14:
        raise IndexError("row 9 of 3")
    if config.seed == 13:
        raise FloatingPointError("the loss is nan at step 7, epoch 0, batch 7 of 9")
    metrics = {"recall": {1: tensor(0.25)}, "lost": float("nan"), "none": None}
    return Result(metrics, History(loss=[2.0, 1.0]), nn.Linear(config.size, 1), config)
'''


@pytest.fixture
def fake_recipe(tmp_path, monkeypatch):
    """A module `mmtutor.recipes.fake`, listed among the recipes."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes/fake.py").write_text(RECIPE)
    monkeypatch.setattr(
        mmtutor.recipes, "__path__", [*mmtutor.recipes.__path__, str(tmp_path / "recipes")]
    )
    monkeypatch.setitem(mmtutor.recipes.RECIPES, "fake", "mmtutor.recipes.fake")
    yield
    sys.modules.pop("mmtutor.recipes.fake", None)


def invoke(*arguments: str):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def calls() -> list:
    """How the fake recipe was called; none if it was never imported."""
    return getattr(sys.modules.get("mmtutor.recipes.fake"), "CALLS", [])


def one_sentence(text: str) -> bool:
    return text.startswith("mmtutor: ") and text.count("\n") == 1


@pytest.mark.usefixtures("fake_recipe")
def test_any_setting_can_be_set_and_stands_in_the_command(tmp_path):
    done = invoke("run", "fake", "--preset", "tiny", "--out", tmp_path, "--set", "size=3")
    assert done.exit_code == 0, done.output
    assert calls()[-1].size == 3
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert record["command"] == f"mmtutor run fake --preset tiny --out {tmp_path} --set size=3"


@pytest.mark.usefixtures("fake_recipe")
@pytest.mark.parametrize(
    ("option", "wrong"),
    [
        ("width=3", "NAME one of size, seed"),
        ("size", "NAME=VALUE"),
        ("size=x", "expected a whole number"),
        ("siz=3", "did you mean 'size'?"),
        ("preset=3", "NAME one of size, seed"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path, option, wrong):
    done = invoke("run", "fake", "--preset", "tiny", "--out", tmp_path, "--set", option)
    assert done.exit_code == 2
    assert one_sentence(done.output)
    assert wrong in done.output
    assert option in done.output


@pytest.mark.usefixtures("fake_recipe")
def test_run_writes_metrics_model_and_curve(tmp_path):
    out = tmp_path / "new" / "out"
    done = invoke("run", "fake", "--preset", "tiny", "--out", out, "--seed", "5")
    assert done.exit_code == 0, done.output
    assert "recall:\n  1: 0.25" in done.output
    assert sorted(path.name for path in out.iterdir()) == [
        "curve.png",
        "metrics.json",
        "model.safetensors",
    ]
    record = json.loads((out / "metrics.json").read_text())
    assert record["metrics"] == {"recall": {"1": 0.25}, "lost": None, "none": None}
    assert record["config"] == {"size": 2, "seed": 5}
    assert (record["preset"], record["seed"]) == ("tiny", 5)
    assert record["module"] == "mmtutor.recipes.fake"
    assert record["history"]["loss"] == [2.0, 1.0]
    assert record["command"] == f"mmtutor run fake --preset tiny --out {out} --seed 5"
    assert torch.__version__.startswith(record["versions"]["torch"])
    assert record["hardware"]["cores"] >= 1
    assert record["date"].endswith("+00:00")
    assert load_file(out / "model.safetensors")["weight"].shape == (1, 2)
    assert (out / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_real_recipe_from_end_to_end(tmp_path):
    out = tmp_path / "out"
    done = invoke("run", "retrieval-shapes", "--preset", "tiny", "--out", out)
    assert done.exit_code == 0, done.output
    record = json.loads((out / "metrics.json").read_text())
    assert {"test", "unseen"} <= set(record["metrics"])
    assert all(loss > 0 for loss in record["history"]["loss"])
    assert sum(tensor.numel() for tensor in load_file(out / "model.safetensors").values()) > 1000


@pytest.mark.usefixtures("fake_recipe")
def test_the_preset_defaults_to_the_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("MMTUTOR_PRESET", "cpu")
    assert invoke("run", "fake", "--out", tmp_path / "out").exit_code == 0
    assert json.loads((tmp_path / "out/metrics.json").read_text())["preset"] == "cpu"


@pytest.mark.usefixtures("fake_recipe")
@pytest.mark.parametrize("recipe", ["nothing", "common", "stored"])
def test_unknown_recipe_names_those_there_are(tmp_path, recipe):
    done = invoke("run", recipe, "--out", tmp_path)
    assert done.exit_code == 2
    assert one_sentence(done.stderr)
    known = done.stderr.partition(f"unknown recipe {recipe!r}: expected one of ")[2].strip()
    assert {"fake", "retrieval"} <= set(known.split(", "))
    assert "fake_" not in done.stderr.partition("expected")[2]


@pytest.mark.usefixtures("fake_recipe")
def test_unknown_preset_names_those_there_are(tmp_path):
    done = invoke("run", "fake", "--preset", "huge", "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert one_sentence(done.stderr)
    assert "unknown preset 'huge': expected one of tiny, cpu" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("fake_recipe")
def test_an_out_that_cannot_be_written_is_found_before_training(tmp_path):
    (tmp_path / "file").write_text("kept")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        done = invoke("run", "fake", "--preset", "tiny", "--out", out)
        assert done.exit_code == 2
        assert one_sentence(done.stderr)
        assert f"cannot write to --out {out}" in done.stderr
    assert calls() == []
    assert (tmp_path / "file").read_text() == "kept"


@pytest.mark.usefixtures("fake_recipe")
def test_a_run_that_stops_says_why_and_keeps_the_older_result(tmp_path):
    assert invoke("run", "fake", "--preset", "tiny", "--out", tmp_path / "out").exit_code == 0
    before = (tmp_path / "out/metrics.json").read_bytes()
    done = invoke("run", "fake", "--preset", "tiny", "--out", tmp_path / "out", "--seed", "13")
    assert done.exit_code == 1
    assert one_sentence(done.stderr)
    assert "the loss is nan at step 7, epoch 0, batch 7 of 9" in done.stderr
    assert (tmp_path / "out/metrics.json").read_bytes() == before


@pytest.mark.usefixtures("fake_recipe")
def test_a_bug_ends_in_one_sentence_and_its_traceback_in_the_folder(tmp_path):
    done = invoke("run", "fake", "--preset", "tiny", "--out", tmp_path / "out", "--seed", "14")
    assert done.exit_code == 1
    assert one_sentence(done.stderr)
    assert "fake stopped: IndexError: row 9 of 3 (see " in done.stderr
    assert "Traceback" in (tmp_path / "out/traceback.txt").read_text()


@pytest.mark.usefixtures("fake_recipe")
@pytest.mark.parametrize("out", ["", " "])
def test_an_empty_out_is_refused(out):
    done = invoke("run", "fake", "--preset", "tiny", "--out", out)
    assert done.exit_code == 2
    assert one_sentence(done.stderr)
    assert "expected a folder" in done.stderr
    assert calls() == []


@pytest.mark.usefixtures("fake_recipe")
def test_a_setting_comes_once(tmp_path):
    done = invoke("run", "fake", "--out", tmp_path, "--seed", "1", "--set", "seed=2")
    assert done.exit_code == 2
    assert "seed is given twice" in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "Missing argument"),
        (["runn"], "No such command 'runn'"),
        (["list", "x"], "unexpected extra argument"),
        (["run", "vqa", "--sed", "1"], "No such option"),
    ],
)
def test_the_words_themselves_are_answered_in_one_sentence(words, said, capsys):
    assert cli.main(words) == 2
    shown = capsys.readouterr().err
    assert one_sentence(shown)
    assert said in shown


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("MMTUTOR_PRESET", "huge", "$MMTUTOR_PRESET must be 'tiny', 'cpu'"),
        ("MMTUTOR_CACHE", "file", "is a file: expected a folder; see $MMTUTOR_CACHE"),
        ("MMTUTOR_CACHE", "file/below", "is a file: expected a folder; see $MMTUTOR_CACHE"),
    ],
)
def test_doctor_notices_what_cannot_be(variable, value, said, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("kept")
    monkeypatch.setenv(variable, value if value == "huge" else str(tmp_path / value))
    done = invoke("doctor")
    assert done.exit_code == 1
    assert said in done.output
    assert "Versions: " in done.output


def test_no_bad_word_is_silent_and_none_ends_in_a_traceback(capsys):
    counts, failures = command_line.sweep(int(os.environ.get("SWEEP_SEED", "0")), each=2)
    with capsys.disabled():
        print(f"\n{command_line.report(counts)}")
    assert sum(counts.values()) >= 200
    assert not failures, "\n".join(failures)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(0, "silent"), (1, "unclear"), (IndexError("row 9"), "traceback")],
    ids=["silent", "unclear", "traceback"],
)
def test_the_sweep_finds_what_is_wrong(answer, kind, monkeypatch):
    def main(words):
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(cli, "main", main)
    assert command_line.outcome(command_line.Case(("run", "vqa"), "vqa"))[0] == kind


@pytest.mark.usefixtures("fake_recipe")
def test_a_full_disk_leaves_the_older_result_whole(tmp_path, monkeypatch):
    out = tmp_path / "out"
    assert invoke("run", "fake", "--preset", "tiny", "--out", out).exit_code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    done = invoke("run", "fake", "--preset", "tiny", "--out", out, "--seed", "1")
    assert done.exit_code == 1
    assert "recall" in done.stdout  # the numbers are on the screen all the same
    assert one_sentence(done.stderr)
    assert "could not be written" in done.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


@pytest.mark.usefixtures("fake_recipe")
def test_list_describes_every_recipe():
    done = invoke("list")
    assert done.exit_code == 0
    assert "fake: A recipe that trains nothing.\n" in done.output
    assert "fake_" not in done.output


def test_doctor_speaks_of_everything(tmp_path, monkeypatch):
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path / "cache"))
    done = invoke("doctor")
    assert done.exit_code == 0
    for part in (
        "Machine: ",
        "GPU: ",
        "Versions: python ",
        "Extras",
        "shapes: built in",
        "Cache: ",
    ):
        assert part in done.output
    assert "Data, stamps: no stamps in" in done.output
    assert "`mmtutor fetch stamps` (161 MB, licence GPL-2)" in done.output
    for name in SETS:
        assert f"Data, {name}: no {name} in" in done.output
    assert f"{tmp_path / 'cache'} is not there yet" in done.output


def test_doctor_goes_on_when_a_part_is_broken(tmp_path, monkeypatch):
    (tmp_path / "stamps").mkdir()
    (tmp_path / "stamps/set.json").write_text('{"folder": ".", "form": 1, "files": {}}')
    (tmp_path / "wordllama").mkdir()
    (tmp_path / "wordllama/set.json").write_text("broken")
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path))
    done = invoke("doctor")
    assert done.exit_code == 0
    assert "Data, stamps: could not be found out" in done.output
    assert "Data, wordllama: no wordllama in" in done.output
    assert "Cache: " in done.output


@pytest.fixture
def tiny_set(tmp_path, monkeypatch):
    """A set "tiny" of one package, which lies in the folder as `thing.deb`; the only one there."""
    deb(tmp_path / "thing.deb", {"e.txt": b"five"}, package="thing")
    package = Package("debian", "thing", "1-test", "", FOLDER, (".txt",))
    source = Source("one text", licence="MIT", megabytes=1, packages=[package])
    for name in list(SETS):
        monkeypatch.delitem(SETS, name)
    monkeypatch.setitem(SETS, "tiny", source)
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "")  # no apt


@pytest.mark.usefixtures("tiny_set")
def test_fetch_makes_a_bundle_and_another_machine_takes_it(tmp_path, monkeypatch):
    done = invoke("fetch", "tiny", "--deb", tmp_path / "thing.deb", "--to", tmp_path / "stick")
    assert done.exit_code == 0
    assert "tiny: one text; 1 MB, licence MIT" in done.output
    assert str(tmp_path / "stick/tiny") in done.output.splitlines()[-1]
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path / "other"))
    done = invoke("fetch", "--all", "--from", tmp_path / "stick")
    assert done.exit_code == 0
    assert [path.read_text() for path in (tmp_path / "other").rglob("e.txt")] == ["five"]
    assert "Data, tiny: one text; from thing 1-test" in invoke("doctor").output
    assert invoke("fetch", "tiny").exit_code == 0  # it is there: apt is not asked
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path / "stick"))
    assert invoke("fetch", "tiny").exit_code == 0


@pytest.mark.usefixtures("tiny_set")
def test_fetch_says_what_is_wrong_and_goes_on_with_the_others(tmp_path, monkeypatch):
    monkeypatch.setitem(SETS, "first", SETS["tiny"])
    assert invoke("fetch", "tiny", "--deb", tmp_path / "thing.deb").exit_code == 0
    done = invoke("fetch", "--all")
    assert done.exit_code == 1
    assert one_sentence(done.stderr)
    assert "mmtutor: first: there is no apt here" in done.stderr
    assert "tiny: one text" in done.output
    for arguments in ([], ["tiny", "first", "--deb", "thing.deb"]):
        done = invoke("fetch", *arguments)
        assert done.exit_code == 2
        assert "tiny, first" in done.stderr
    done = invoke("fetch", "absent")
    assert done.exit_code == 1
    assert "name must be 'tiny' or 'first', got 'absent'" in done.stderr


def test_doctor_names_the_extras_that_are_missing(monkeypatch):
    requirements = [
        "torch>=2",
        'pytest>=8; extra == "test"',
        'no-such-thing>=1; extra == "hub"',
    ]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: requirements)
    output = invoke("doctor").output
    assert "Extras that are complete: test." in output
    assert 'hub lacks no-such-thing: pip install "mmtutor[hub]"' in output


def test_plain_keeps_paths_and_numbers():
    assert plain({1: (Path("a"), torch.ones(2), float("inf"))}) == {"1": ["a", [1.0, 1.0], None]}


def test_stored_answers_are_graded_at_the_command_line(tmp_path, capsys):
    (tmp_path / "data.csv").write_text("question,answer\n" + "what?,yes\nwhich?,no\n" * 20)
    (tmp_path / "said.csv").write_text("answer\n" + "yes\nno\n" * 20)
    said, data, out = (str(tmp_path / name) for name in ("said.csv", "data.csv", "out"))
    assert cli.main(["evaluate", "--answers", said, "--data", data, "--out", out]) == 0
    assert "accuracy" in capsys.readouterr().out
    assert (tmp_path / "out" / "cards.html").is_file()
    assert cli.main(["evaluate", "--answers", said, "--data", f"{data}x"]) == 2
    assert "mmtutor: data: path must be a table" in capsys.readouterr().err
