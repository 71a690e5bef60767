"""What can happen to a checkpoint on disk: one clear message each, and nothing saved is lost."""

import hashlib
import json
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn

from mmtutor.files import CacheError
from mmtutor.training.checkpoint import CheckpointError, load_model, read_tensors, write_tensors
from mmtutor.training.step_folders import (
    MANIFEST,
    Budget,
    Checkpoints,
    _seal,
    damage,
    newest_step,
    write_step,
)
from tests.training.problem import Regression, data, model, run

LONGER = {"schedule": "constant", "warmup": 0.0}  # a run that may be gone on with


def trained(folder, epochs=2, net=None, **options):
    """Four steps an epoch, a checkpoint each second one; returns what was said."""
    said = []
    checkpoints = Checkpoints(folder, every=2, keep=9, say=said.append)
    run(net or model(), data(), epochs, **LONGER, **options, checkpoint=checkpoints)
    return said


def found(place):
    return f"found {place}, saved by this run: goes on from there"


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def rewrite(place, change):
    """Let `change` edit a checkpoint, and make its manifest right again."""
    change(place)
    about = json.loads((place / MANIFEST).read_text())
    for name in about["sha256"]:
        about["sha256"][name] = hashlib.sha256((place / name).read_bytes()).hexdigest()
    about["seal"] = _seal({key: value for key, value in about.items() if key != "seal"})
    (place / MANIFEST).write_text(json.dumps(about))


def test_a_checkpoint_is_a_folder_whose_weights_load_as_a_model(tmp_path):
    net = model()
    trained(tmp_path, net=net)
    assert names(tmp_path) == ["step-2", "step-4", "step-6", "step-8"]
    assert names(tmp_path / "step-8") == [MANIFEST, "model.safetensors", "state.pt"]
    again = Regression()
    load_model(again, tmp_path / "step-8" / "model.safetensors")
    assert torch.equal(again.layers[0].weight, net.layers[0].weight)
    state = torch.load(tmp_path / "step-8" / "state.pt", weights_only=True)
    assert len(state["history"]["loss"]) == 8


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", ["model.safetensors", "state.pt", MANIFEST])
@pytest.mark.parametrize("harm", ["flip", "remove", "cut"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_taken(tmp_path, name, harm):
    whole = model()
    trained(tmp_path / "whole", 3, whole)
    trained(tmp_path / "run")
    path = tmp_path / "run" / "step-8" / name
    {"flip": flip, "remove": path.__class__.unlink, "cut": lambda p: p.write_bytes(b"")}[harm](path)
    net = model()
    said = trained(tmp_path / "run", 3, net)
    assert said[0].startswith(f"{path.parent} is damaged and is skipped: ")
    assert name in said[0]
    assert said[1:] == [
        f"found {tmp_path / 'run' / 'step-6'}, saved by this run: goes on from there"
    ]
    assert torch.equal(net.layers[0].weight, whole.layers[0].weight)
    assert damage(path.parent) is None  # written anew on the way


def test_all_damaged_is_said_and_the_run_begins(tmp_path):
    trained(tmp_path)
    for place in tmp_path.iterdir():
        (place / MANIFEST).unlink()
    said = trained(tmp_path)
    assert len(said) == 4
    assert all("manifest.json is missing" in line for line in said)


def test_another_architecture_is_named_and_nothing_is_lost(tmp_path):
    trained(tmp_path)
    before = names(tmp_path)
    wider = model()
    wider.layers[0], wider.layers[3] = nn.Linear(3, 20), nn.Linear(20, 1)
    with pytest.raises(
        CheckpointError, match=r"step-8/model\.safetensors does not fit .*\(16, 3\)"
    ):
        trained(tmp_path, net=wider)
    assert names(tmp_path) == before


def drop_a_key(place):
    tensors, _ = read_tensors(place / "model.safetensors")
    del tensors["layers.0.bias"]
    write_tensors(place / "model.safetensors", tensors)


def put_a_pickle(place):
    (place / "model.safetensors").write_bytes(pickle.dumps({"layers.0.bias": [0.0]}))


def put_a_torch_file(place):
    torch.save({"layers.0.bias": torch.zeros(16)}, place / "model.safetensors")


def put_code(place):
    torch.save({"optimizer": print}, place / "state.pt")


def drop_the_optimizer(place):
    state = torch.load(place / "state.pt", weights_only=True)
    del state["optimizer"]
    torch.save(state, place / "state.pt")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_a_key, r"model\.safetensors does not fit model Regression: missing layers\.0\.bias"),
        (put_a_pickle, r"model\.safetensors is a pickle, which may run code when read"),
        (put_a_torch_file, r"model\.safetensors is a pickle, which may run code when read"),
        (put_code, r"state\.pt is damaged or holds more than data"),
        (drop_the_optimizer, r"state\.pt does not fit this run: 'optimizer'"),
    ],
)
def test_files_that_are_whole_but_wrong_are_refused(tmp_path, change, message):
    trained(tmp_path)
    rewrite(tmp_path / "step-8", change)
    net = model()
    before = net.layers[0].weight.clone()
    with pytest.raises(CheckpointError, match=message):
        trained(tmp_path, net=net)
    assert torch.equal(net.layers[0].weight, before)
    assert names(tmp_path) == ["step-2", "step-4", "step-6", "step-8"]


def test_a_full_disk_is_said_and_what_was_saved_stays(tmp_path, monkeypatch):
    trained(tmp_path, 1)

    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(CacheError, match="no room is left on the disk; what was there is unch"):
        trained(tmp_path, 2)
    monkeypatch.undo()
    assert names(tmp_path) == ["step-2", "step-4"]
    assert trained(tmp_path, 2) == [
        f"found {tmp_path / 'step-4'}, saved by this run: goes on from there"
    ]


def test_the_newest_and_the_best_are_kept(tmp_path):
    recall = iter([0.1, 0.9, 0.3, 0.2, 0.4])
    checkpoints = Checkpoints(tmp_path, every=4, keep=2, best="recall")
    run(model(), data(), 5, checkpoint=checkpoints, validate=lambda net: {"recall": next(recall)})
    assert names(tmp_path) == ["step-16", "step-20", "step-8"]


def test_what_a_kill_left_is_swept_and_not_read(tmp_path):
    trained(tmp_path)
    (tmp_path / ".partial-1234").mkdir()
    (tmp_path / "step-99x").mkdir()
    checkpoints = Checkpoints(tmp_path)
    about = json.loads((tmp_path / "step-8" / MANIFEST).read_text())
    assert newest_step(replace(checkpoints, run=about["run"])) == tmp_path / "step-8"
    assert ".partial-1234" not in names(tmp_path)


def test_saving_takes_a_small_share_of_the_time():
    budget = Budget()
    assert not budget.affords_one()
    budget.training = 3.0
    assert budget.affords_one()
    budget.spend(0.04)
    assert not budget.affords_one()
    budget.training = 4.0
    assert budget.affords_one()


def test_a_tiny_run_saves_at_its_end_only(tmp_path):
    run(model(), data(), epochs=3, checkpoint=tmp_path)
    assert names(tmp_path) == ["step-12"]


def test_a_folder_that_is_a_file_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="not writable"):
        write_step(Checkpoints(tmp_path / "file"), 1, {"a": b""}, None)


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"keep": 0}, {"minutes": 0}, {"minutes": float("nan")}, {"best": 3}]
)
def test_settings_that_cannot_be_are_refused(tmp_path, wrong):
    with pytest.raises((ValueError, TypeError), match=f"^{next(iter(wrong))} must be"):
        Checkpoints(tmp_path, **wrong)
