import os
import signal
import subprocess
import sys

import pytest
import torch
from torch import nn

from mmtutor.files import CacheError
from mmtutor.training import load_model, save_model
from mmtutor.training.checkpoint import CheckpointError


def net(hidden=4):
    return nn.Sequential(nn.Linear(3, hidden), nn.BatchNorm1d(hidden))


def test_model_comes_back(tmp_path):
    one, other = net(), net()
    one[1].running_mean.fill_(3)
    save_model(one, tmp_path / "new folder" / "model.safetensors")
    load_model(other, tmp_path / "new folder" / "model.safetensors")
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


def test_tied_weights_come_back(tmp_path):
    def tied():
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        model[1].weight = model[0].weight
        return model

    one, other = tied(), tied()
    save_model(one, tmp_path / "model")
    load_model(other, tmp_path / "model")
    assert torch.equal(one[1].weight, other[0].weight)


def test_every_difference_is_named(tmp_path):
    path = tmp_path / "model"
    save_model(net(), path)
    with pytest.raises(CheckpointError, match=r"0\.weight is \(4, 3\) in the file, \(5, 3\) here"):
        load_model(net(5), path)
    with pytest.raises(CheckpointError, match=r"missing 2\.weight; missing 2\.bias"):
        load_model(net().append(nn.Linear(4, 1)), path)
    with pytest.raises(CheckpointError, match=r"unexpected 1\.weight"):
        load_model(net()[:1], path)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_truncated_file_is_named(tmp_path, kept):
    path = tmp_path / "model"
    save_model(net(), path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match="model is damaged"):
        load_model(net(), path)


def test_absent_file_and_folder_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match="no checkpoint at"):
        load_model(net(), tmp_path / "model")
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="not writable"):
        save_model(net(), tmp_path / "file" / "model")


KILLED = """
import os, signal, sys, torch
from torch import nn
from mmtutor.training import save_model
model = nn.Linear(2, 2)
nn.init.zeros_(model.weight)
os.replace = os.fsync = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
save_model(model, sys.argv[1])
"""


def test_kill_while_writing_leaves_the_old_file_and_the_rest_is_never_read(tmp_path):
    path = tmp_path / "model.safetensors"
    old = nn.Linear(2, 2)
    save_model(old, path)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], env={**os.environ})
    assert killed.returncode == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 2  # the old file and what the killed process left
    again = nn.Linear(2, 2)
    load_model(again, path)
    assert torch.equal(again.weight, old.weight)
