"""Run as a program: a run killed again and again, against the same run left alone.

    python -m tests.training.killed FOLDER --kills 50 --processes 2

Loads PyTorch once and forks each run, so that a kill costs no start. Prints JSON: how many kills
hit a run, how many of them a half-written checkpoint, and whether both runs end the same.
"""

import argparse
import json
import os
import random
import signal
import socket
import time
import traceback
from contextlib import suppress
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import load_file

from mmtutor.files import PARTIAL
from mmtutor.training.checkpoint import write_tensors
from mmtutor.training.step_folders import Checkpoints
from tests.training.test_resume import Picture, pictures, seed_all, train

EPOCHS = 4


def work(folder: Path, rank: int, processes: int, sharded: bool, port: int, save: bool) -> None:
    """One process of a run of 4 epochs, with a checkpoint after each step; writes its weights."""
    torch.set_num_threads(1)
    os.environ.update(ACCELERATE_USE_CPU="1", OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    if processes > 1:
        there = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_RANK": str(rank)}
        os.environ.update(there, RANK=str(rank), WORLD_SIZE=str(processes))
    seed_all(1 + rank)
    net = Picture()
    checkpoints = Checkpoints(folder, every=1, say=lambda what: None) if save else None
    batches = pictures(workers=2 if processes == 1 else 0)
    history = train(net, batches, checkpoints, epochs=EPOCHS, accumulate=2, sharded=sharded)
    if rank == 0:
        result = {**net.state_dict(), "loss": torch.tensor(history.loss)}
        write_tensors(folder / "result.safetensors", result)
    if dist.is_initialized():
        dist.destroy_process_group()


def start(folder: Path, processes: int, sharded: bool, save: bool) -> list[int]:
    """Fork a run; returns the ids of its processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(processes):
        child = os.fork()
        if child == 0:
            code = 1
            os.setsid()
            try:
                work(folder, rank, processes, sharded, port, save)
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(code)
        children.append(child)
    return children


def ended(children: list[int], within: float) -> bool:
    """Whether all end well in so many seconds; else they are killed."""
    until, codes = time.monotonic() + within, {}
    while len(codes) < len(children) and time.monotonic() < until:
        for child in set(children) - set(codes):
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                codes[child] = os.waitstatus_to_exitcode(status)
                if codes[child]:
                    raise RuntimeError(f"a run ended with status {codes[child]}")
        time.sleep(0.002)
    left = set(children) - set(codes)
    for child in left:
        os.kill(child, signal.SIGKILL)
    for child in left:
        os.waitpid(child, 0)
        # A loader's worker that was just being born may not notice, and would live on for ever.
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
    return not left


def killed(folder: Path, kills: int, how: tuple[int, bool], seconds: float) -> dict[str, int]:
    """Kill a run `kills` times, at random moments of its `seconds`, then let it end.

    `how` many processes it has, and whether it is sharded.
    """
    draw, hit, writing, rounds = random.Random(0), 0, 0, 0
    while hit < kills:
        rounds += 1
        if ended(start(folder, *how, save=True), draw.uniform(0, seconds)):
            for place in folder.glob("step-*"):  # it got to the end: once more from the beginning
                os.rename(place, folder / f"ended-{rounds}-{place.name}")
            continue
        hit += 1
        writing += any(folder.glob(f"{PARTIAL}*"))
    if not ended(start(folder, *how, save=True), 300):
        raise RuntimeError("a run that was killed did not end")
    return {"kills": hit, "while writing": writing, "runs": rounds + 1}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--sharded", action="store_true")
    options = parser.parse_args()
    how = options.processes, options.sharded
    whole, run = options.folder / "whole", options.folder / "run"
    whole.mkdir(parents=True)
    run.mkdir()
    if not ended(start(whole, *how, save=False), 300):
        raise RuntimeError("the run that is left alone did not end")
    timed, began = options.folder / "timed", time.monotonic()
    timed.mkdir()
    if not ended(start(timed, *how, save=True), 300):
        raise RuntimeError("the run that is timed did not end")
    found = killed(run, options.kills, how, time.monotonic() - began)
    one, other = (load_file(folder / "result.safetensors") for folder in (whole, run))
    found["same"] = all(torch.equal(one[name], other[name]) for name in one)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
