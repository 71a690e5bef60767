"""SIGKILL at random moments; `MMTUTOR_KILLS=50` in the environment makes it the long form."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = int(os.environ.get("MMTUTOR_KILLS", "8"))


def run(folder, kills, *how):
    """What `tests.training.killed` prints."""
    command = [sys.executable, "-m", "tests.training.killed", str(folder / "runs")]
    done = subprocess.run(
        [*command, "--kills", str(kills), *how],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


FEW, TWO = max(2, KILLS // 4), ("--processes", "2")


@pytest.mark.parametrize(("kills", "how"), [(KILLS, ()), (FEW, TWO), (FEW, (*TWO, "--sharded"))])
def test_a_run_killed_again_and_again_ends_as_if_left_alone(tmp_path, kills, how):
    found = run(tmp_path, kills, *how)
    assert found["same"]
    assert found["kills"] == kills
