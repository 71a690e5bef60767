import os
import subprocess
import sys
from pathlib import Path

import torch

from mmtutor.losses import gather_with_grad
from mmtutor.training.checkpoint import read_tensors
from tests.training import contrastive_processes, processes


def two_processes(script, result):
    """Run a module's file in two processes of torchrun; the tensors that the first one wrote."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [*command, script, str(result)],
        env=environment | {"PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return read_tensors(result)[0]


def test_two_processes_train_as_one_with_the_whole_batch(tmp_path):
    """Negatives of both processes count, with their gradients: same losses, same weights."""
    result = two_processes(processes.__file__, tmp_path / "result")
    for name, expected in processes.train(batch_size=8).items():
        torch.testing.assert_close(result[name], expected.cpu(), msg=lambda m, n=name: f"{n}: {m}")


def test_contrastive_losses_of_unequal_shares_are_that_of_the_whole_batch(tmp_path):
    """Five pairs and three, plain and chunked losses, the model in one piece and in chunks."""
    result = two_processes(contrastive_processes.__file__, tmp_path / "result")
    whole = slice(0, 8)
    results = contrastive_processes.results
    expected = results(whole, False, False) | results(whole, False, True)
    assert result.keys() == expected.keys()
    for name, value in expected.items():
        found = result[name]
        torch.testing.assert_close(
            found, value, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
        )


def test_alone_nothing_is_gathered():
    x = torch.ones(2, 3)
    assert gather_with_grad(x) is x
