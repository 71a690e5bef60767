"""The job files of the chapter on training at scale say what the command line understands."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
import yaml

from book.tools.layout import ROOT

JOBS = ROOT / "book" / "7-deployment" / "jobs"


def slurm() -> list[str]:
    """The words of the command that each machine runs."""
    text = (JOBS / "retrieval.slurm").read_text("utf-8").replace("\\\n", " ")
    return shlex.split(re.search(r"^srun (torchrun .*)$", text, re.MULTILINE)[1])


def kubernetes() -> list[list[str]]:
    specs = yaml.safe_load((JOBS / "retrieval.yaml").read_text("utf-8"))["spec"]
    replicas = specs["pytorchReplicaSpecs"].values()
    return [each["template"]["spec"]["containers"][0]["command"] for each in replicas]


def test_master_and_worker_run_the_same_and_the_same_as_in_slurm():
    master, worker = kubernetes()
    assert master == worker
    own = ["--out", "runs/retrieval"]
    assert [*slurm()[slurm().index("-m") :][:-2], *own] == [*master[1:][:-2], *own]


@pytest.mark.parametrize("more", [[], ["--set", "sharded=true"]], ids=["whole", "sharded"])
def test_the_command_of_slurm_trains_in_two_processes_of_which_one_writes(more, tmp_path):
    out = tmp_path / "out"
    here = {
        "$SLURM_NNODES": "1",
        "$SLURM_JOB_ID": "7",
        "$first:29500": "localhost:0",
        "8": "2",
        "h100": "tiny",
        "runs/retrieval": str(out),
    }
    words = [here.get(word, word) for word in slurm()[1:]] + more
    alone = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", *words],
        env=os.environ | alone,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Written to") == 1
    record = json.loads((out / "metrics.json").read_text("utf-8"))
    assert record["metrics"]["test"]["mean"]["recall_at_10"]["estimate"] > 0
