"""Kept results: joined from runs, found again, and honest about where they come from."""

import json

import pytest

from data_scripts import keep as script
from mmtutor.recipes.common import stored as kept
from mmtutor.recipes.common.stored import keep, load_kept, provenance


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
    }
    (folder / "metrics.json").write_text(json.dumps(record))
    return folder


def test_seeds_are_joined_without_their_histories(tmp_path):
    runs = [write_run(tmp_path / str(seed), seed, size=3) for seed in (0, 1)]
    keep("vqa", runs, tmp_path)
    found = load_kept("vqa", tmp_path)
    assert [run["metrics"]["accuracy"] for run in found] == [0.5, 0.6]
    assert all("history" not in run for run in found)
    assert provenance(found) == (
        "Stored result, not computed on this page: seeds 0, 1; A processor, 2 cores; "
        "python 3.11.7, torch 2.15.0; 2026-11-22; `mmtutor run vqa --preset cpu --seed 0`."
    )
    found[0]["hardware"]["gpu"] = "NVIDIA H100"
    assert "; NVIDIA H100; " in provenance(found)


def test_only_the_seed_may_differ(tmp_path):
    runs = [write_run(tmp_path / "a", size=3), write_run(tmp_path / "b", size=4)]
    with pytest.raises(ValueError, match="differ in their seed alone"):
        keep("vqa", runs, tmp_path)
    with pytest.raises(ValueError, match=r"each seed once, got \[0, 0\]"):
        keep("vqa", runs[:1] * 2, tmp_path)
    other = json.loads((runs[0] / "metrics.json").read_text())
    other["hardware"]["gpu"], other["seed"] = "NVIDIA T4", 1
    (runs[1] / "metrics.json").write_text(json.dumps(other))
    with pytest.raises(ValueError, match="differ in their seed alone"):
        keep("vqa", runs, tmp_path)


def test_what_is_not_kept_is_named_with_what_is(tmp_path):
    with pytest.raises(FileNotFoundError, match="there are: none"):
        load_kept("vqa", tmp_path)
    keep("other", [write_run(tmp_path / "0")], tmp_path)
    with pytest.raises(FileNotFoundError, match="'vqa' is kept with the package; there are: other"):
        load_kept("vqa", tmp_path)


def test_the_script_keeps_and_says_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(kept.keep, "__defaults__", (tmp_path / "kept",))
    run = write_run(tmp_path / "0")
    assert script.main(["vqa", str(run)]) == 0
    assert load_kept("vqa", tmp_path / "kept")[0]["seed"] == 0
    assert script.main(["vqa", str(tmp_path / "lost")]) == 1
    assert "lost" in capsys.readouterr().err
