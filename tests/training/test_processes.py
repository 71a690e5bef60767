import os
import subprocess
import sys
from pathlib import Path

import torch

from mmtutor.losses import gather_with_grad
from mmtutor.training.checkpoint import read_tensors
from tests.training import processes


def test_two_processes_train_as_one_with_the_whole_batch(tmp_path):
    """Negatives of both processes count, with their gradients: same losses, same weights."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    script = [processes.__file__, str(tmp_path / "result")]
    root = Path(__file__).parents[2]
    done = subprocess.run(
        command + script,
        env=environment | {"PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    result, _ = read_tensors(tmp_path / "result")
    for name, expected in processes.train(batch_size=8).items():
        torch.testing.assert_close(result[name], expected.cpu(), msg=lambda m, n=name: f"{n}: {m}")


def test_alone_nothing_is_gathered():
    x = torch.ones(2, 3)
    assert gather_with_grad(x) is x
