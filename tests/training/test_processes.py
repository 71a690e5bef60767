import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmtutor.losses import gather_with_grad
from mmtutor.training import load_model
from mmtutor.training.checkpoint import read_tensors
from tests.training import contrastive_processes, processes, sharded


def two_processes(script, folder):
    """Run a module's file in two processes of torchrun; the tensors that the first one wrote."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, script, str(folder)],
        env=environment | {"PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return read_tensors(folder / "result")[0]


def test_two_processes_train_as_one_with_the_whole_batch(tmp_path):
    """Negatives of both processes count, with their gradients: same losses, same weights."""
    result = two_processes(processes.__file__, tmp_path)
    for name, expected in processes.train(batch_size=8).items():
        torch.testing.assert_close(result[name], expected.cpu(), msg=lambda m, n=name: f"{n}: {m}")


def test_contrastive_losses_of_unequal_shares_are_that_of_the_whole_batch(tmp_path):
    """Five pairs and three, plain and chunked losses, the model in one piece and in chunks."""
    result = two_processes(contrastive_processes.__file__, tmp_path)
    whole = slice(0, 8)
    results = contrastive_processes.results
    expected = results(whole, False, False) | results(whole, False, True)
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        found = result[name]
        torch.testing.assert_close(
            found, value, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_two_sharded_processes_train_as_one_with_the_whole_batch(tmp_path):
    """Temperature, clipping, accumulation and chunks; a run that was resumed; what is saved."""
    result = two_processes(sharded.__file__, tmp_path)
    assert result["share held"] < 0.6
    for way in sharded.WAYS:
        for name, expected in sharded.train(way, batch_size=8).items():
            found = result[f"{way} {name}"]
            torch.testing.assert_close(
                found, expected.cpu(), rtol=0, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
            )
    model = sharded.build("whole", seed=1)
    load_model(model, tmp_path / "whole" / "step-6" / "model.safetensors")
    for name, x in model.state_dict().items():
        assert torch.equal(x, result[f"whole model.{name}"]), name


def test_one_process_cannot_be_sharded():
    with pytest.raises(ValueError, match="sharded needs several processes, got one"):
        sharded.train("whole", batch_size=8, sharded=True)


def test_alone_nothing_is_gathered():
    x = torch.ones(2, 3)
    assert gather_with_grad(x) is x
