"""Execute every chapter that changed, once, and keep the executed copies.

    python -m book.tools.execute            # run what is stale under nbmake, one chapter a core
    python -m book.tools.execute --timings  # also copy the seconds into the package

A chapter is stale when its code cells, what they reach in the package (`mmtutor.reach`), the
installed versions of what they import or the preset differ from those its executed copy was made
with. Prose, and the rest of the package, may change without running anything.
Does not know how a page is rendered.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from book.tools import needs
from book.tools.layout import Book, digest, write_atomically
from book.tools.reached import reached
from book.tools.sync import notebook, to_json
from mmtutor.machine import cores

CELL_TIMEOUT = 1800  # seconds
MAX_JOBS = 4  # chapters at once; each may need 2 GB
PRESET = "cpu"
# Tags that change what a run does; the others only change how the page looks.
RUN_TAGS = {"raises-exception", "skip-execution"}
RECORD = "mmtutor"  # the key of our record in an executed copy's metadata
TIMINGS = Path("mmtutor/notebook/timings.json")


@dataclass(frozen=True)
class Timing:
    """One chapter's run: wall seconds, the ISO date, the machine in words, and versions."""

    chapter: str
    seconds: float
    date: str
    machine: str
    versions: dict[str, str]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="execute", description=__doc__)
    parser.add_argument("--timings", action="store_true", help=f"refresh {TIMINGS}")
    parser.add_argument("--complete", action="store_true", help="fail if a cell was left out")
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="chapters at once")
    parser.add_argument("--root", type=Path, default=Book.root, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    book = Book(options.root)
    code = execute(book, options.jobs)
    done = timings(book)
    write_atomically(book.build / "timings.json", as_json(done))
    if options.timings and not code:
        write_atomically(book.root / TIMINGS, as_json(done))
    print("\nslowest notebooks:" if done else "no notebook has been executed")
    for timing in sorted(done, key=lambda t: -t.seconds)[:5]:
        print(f"  {timing.seconds:7.1f} s  {timing.chapter}")
    return code or int(tell_left_out(book) and options.complete)


def tell_left_out(book: Book) -> bool:
    """Say which chapters left cells out because a set is absent; whether there are any."""
    paths = [executed_copy(book, chapter) for chapter in book.chapters()]
    noted = [record(path) for path in paths if path.exists()]
    counts = {
        run["chapter"]: run["left_out"] for run in noted if run.get("left_out", {}).get("cells")
    }
    for chapter, left_out in counts.items():
        print(f"skipped in {chapter}: {left_out['cells']} cells, {left_out['claims']} claims")
    if counts:
        print("some sets of data are absent: `mmtutor fetch --all` gets them")
    return bool(counts)


def default_jobs() -> int:
    """One chapter a core; one in all where there is a GPU, whose memory they would share."""
    import torch

    return 1 if torch.cuda.is_available() else min(cores(), MAX_JOBS)


def execute(book: Book, jobs: int = 1) -> int:
    """Run the stale chapters, `jobs` at once; 0 when each then has a fresh executed copy."""
    forget_removed(book)
    stale = [chapter for chapter in book.chapters() if not is_fresh(book, chapter)]
    kept = len(book.chapters()) - len(stale)
    print(f"execute: {kept} notebooks unchanged, {len(stale)} to run", flush=True)
    if not stale:
        return 0
    run = book.build / "run"
    shutil.rmtree(run, ignore_errors=True)
    paths = [prepare(book, chapter, run) for chapter in slowest_first(book, stale)]
    jobs = max(1, min(jobs, len(paths)))
    with ThreadPoolExecutor(jobs) as pool:
        codes = pool.map(lambda path: run_nbmake(book, path, max(1, cores() // jobs)), paths)
        return max(codes)


def slowest_first(book: Book, chapters: list[Path]) -> list[Path]:
    """By the run times that the package keeps, new ones first: none long is left for the end."""
    path = book.root / TIMINGS
    kept = json.loads(path.read_text()) if path.exists() else {}
    seconds = {name: timing["seconds"] for name, timing in kept.items()}
    return sorted(chapters, key=lambda c: -seconds.get(book.name(c), float("inf")))


def prepare(book: Book, chapter: Path, run: Path) -> Path:
    """Lay a copy of the notebook into the folder `run`, with its key; the path of the copy."""
    copy = notebook(chapter)
    name = book.name(chapter)
    kept = executed_copy(book, chapter)
    left_out = needs.leave_out(copy, nbformat.read(kept, 4) if kept.exists() else None)
    copy.metadata[RECORD] = {"chapter": name, "key": key(book, chapter), "left_out": left_out}
    path = run / f"{name}.ipynb"
    write_atomically(path, to_json(copy))
    return path


def run_nbmake(book: Book, path: Path, threads: int) -> int:
    """One pytest for one notebook; `book.tools.runner` shows progress and files what passed."""
    # A page has no kernel, so controls draw all that they can show; nor a use for progress bars.
    environment = os.environ | {
        "MMTUTOR_PAGE": "1",
        "MMTUTOR_PRESET": preset(),
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join([str(Book.root), *sys.path[1:]]),
        "TQDM_DISABLE": "1",
    }
    pytest = [sys.executable, "-m", "pytest", "-p", "book.tools.runner", "-p", "no:cacheprovider"]
    quiet = ["--capture=no", "--no-header", "--no-summary", "--tb=no", "-q", "-c", os.devnull]
    nbmake = ["--nbmake", "--overwrite", f"--nbmake-timeout={CELL_TIMEOUT}"]
    command = [*pytest, *quiet, *nbmake, f"--rootdir={book.root}", str(path)]
    return subprocess.run(command, env=environment, cwd=Book.root).returncode


def key(book: Book, chapter: Path) -> str:
    """What a run of this chapter depends on, in one hash."""
    return digest([json.dumps(key_inputs(book, chapter), sort_keys=True).encode()])


def key_inputs(book: Book, chapter: Path) -> dict[str, Any]:
    """What goes into the key; `package` has a hash for each file that the cells reach."""
    cells = [cell for cell in notebook(chapter).cells if cell.cell_type == "code"]
    files, versions = reached([cell.source for cell in cells], book.root)
    files.pop(TIMINGS.as_posix(), None)
    return {
        "cells": [[c.source, sorted(RUN_TAGS & set(c.metadata.get("tags", [])))] for c in cells],
        "package": {path: digest([content]) for path, content in files.items()},
        "versions": versions,
        "python": "{}.{}".format(*sys.version_info),
        "preset": preset(),
        "absent": needs.absent(cells),
    }


def preset() -> str:
    return os.environ.get("MMTUTOR_PRESET", PRESET)


def executed_copy(book: Book, chapter: Path) -> Path:
    return book.executed / f"{book.name(chapter)}.ipynb"


def is_fresh(book: Book, chapter: Path) -> bool:
    path = executed_copy(book, chapter)
    return path.exists() and record(path)["key"] == key(book, chapter)


def record(path: Path) -> dict:
    """What was noted about the run that made this executed copy."""
    return json.loads(path.read_text(encoding="utf-8"))["metadata"][RECORD]


def read_executed(book: Book, chapter: Path) -> nbformat.NotebookNode:
    """The chapter as its `.md` stands now, with the outputs of its executed copy."""
    if not is_fresh(book, chapter):
        raise FileNotFoundError(f"{book.name(chapter)} has not been executed since it changed")
    executed = nbformat.read(executed_copy(book, chapter), 4)
    current = notebook(chapter)
    current.metadata[RECORD] = executed.metadata[RECORD]
    sources = [cell for cell in executed.cells if cell.cell_type == "code"]
    targets = [cell for cell in current.cells if cell.cell_type == "code"]
    for target, source in zip(targets, sources, strict=True):
        target.outputs, target.execution_count = source.outputs, source.execution_count
    return current


def timings(book: Book) -> list[Timing]:
    """One entry for each chapter that has an executed copy, in reading order."""
    paths = {book.name(c): executed_copy(book, c) for c in book.chapters()}
    noted = {name: record(path) for name, path in paths.items() if path.exists()}
    fields = ("seconds", "date", "machine", "versions")
    return [Timing(name, *(run[field] for field in fields)) for name, run in noted.items()]


def as_json(runs: list[Timing]) -> str:
    chapters = {run.chapter: {k: v for k, v in vars(run).items() if k != "chapter"} for run in runs}
    return json.dumps(chapters, indent=2, sort_keys=True) + "\n"


def forget_removed(book: Book) -> None:
    """Delete the executed copies of chapters that are no more."""
    kept = {executed_copy(book, chapter) for chapter in book.chapters()}
    for path in book.executed.rglob("*.ipynb"):
        if path not in kept:
            path.unlink()


if __name__ == "__main__":
    sys.exit(main())
