"""Does the claim that each chapter is about fail where nothing was learned?

    python -m book.tools.headlines [CHAPTER ...] [--jobs N]

Each chapter tags one claim `headline`. This runs the chapter up to it with training switched off:
no optimiser moves a weight, and a call of `train` or `fit` sees one batch. Other claims are left
out, and cells that break on such models are passed over. Then the headline must fail, by its own
`assert`: a claim that an untrained model passes says nothing of a trained one. A chapter that has
not changed since it last failed so is not run again.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nbclient import NotebookClient
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from book.tools import needs
from book.tools.execute import CELL_TIMEOUT, default_jobs, key, preset
from book.tools.layout import Book, digest, write_atomically
from book.tools.sync import notebook
from mmtutor.machine import cores

TAG = "headline"
UNTRAINED = '''
def switch_off():
    """Training runs through the motions and changes nothing."""
    import torch
    from mmtutor.training import loop
    from mmtutor.training.fit import Run

    def train(model, objective, loader, optimizer, epochs=1):
        batch = next(iter(loader))
        with torch.no_grad():
            loss = float(objective(model(batch), batch))
        model.eval()
        return [loss] * len(loader) * epochs

    def train_epoch(run, epoch, losses):
        _, batch = next(run.batches.epoch(epoch))
        loss = float(run.wrapped(batch).detach())  # a loss without a gradient would be refused
        run.history.loss += [loss] * run.steps
        run.history.learning_rate += [0.0] * run.steps
        run.history.examples += len(next(iter(batch.values()))) * len(run.batches)
        run.history.seconds += 1e-3

    for optimizer in vars(torch.optim).values():
        if isinstance(optimizer, type) and issubclass(optimizer, torch.optim.Optimizer):
            optimizer.step = lambda self, closure=None: None
    loop.train, Run.train_epoch = train, train_epoch


switch_off()
'''


class HeadlineError(Exception):
    """The chapter's headline claim is missing, or stood where it should have failed."""


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="headlines", description=__doc__)
    parser.add_argument(
        "chapters", nargs="*", metavar="CHAPTER", help="all of them if none is named"
    )
    parser.add_argument("--jobs", type=int, default=default_jobs(), help="chapters at once")
    parser.add_argument("--root", type=Path, default=Book.root, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    book = Book(options.root)
    chapters = [c for c in book.chapters() if headline(notebook(c)) is not None]
    chapters = [c for c in chapters if not options.chapters or book.name(c) in options.chapters]
    os.environ |= {"MMTUTOR_PRESET": preset(), "TQDM_DISABLE": "1"}
    os.environ["OMP_NUM_THREADS"] = str(max(1, cores() // options.jobs))
    with ThreadPoolExecutor(options.jobs) as pool:
        passed = list(pool.map(lambda chapter: tried(book, chapter), chapters))
    return int(not all(passed))


def tried(book: Book, chapter: Path) -> bool:
    """Run the chapter without training, unless it was run before; print what came of it."""
    name, page = book.name(chapter), notebook(chapter)
    noted, mark = note(book, chapter, page)
    if has_failed(book, chapter, page):
        return True
    try:
        says = fails_untrained(page)
    except HeadlineError as error:
        print(f"FAILED  {name}: {error}", flush=True)
        return False
    write_atomically(noted, mark)
    print(f"{name}: the headline fails without training, as it should ({says})", flush=True)
    return True


def note(book: Book, chapter: Path, page: NotebookNode) -> tuple[Path, str]:
    """The file that notes that the headline failed untrained, and what it then says."""
    parts = key(book, chapter), UNTRAINED, page.cells[headline(page)].source
    path = book.build / "headlines" / f"{book.name(chapter)}.txt"
    return path, digest([part.encode() for part in parts])


def has_failed(book: Book, chapter: Path, page: NotebookNode) -> bool:
    """Whether the headline, as it stands, was seen to fail without training."""
    path, mark = note(book, chapter, page)
    return path.exists() and path.read_text() == mark


def headline(page: NotebookNode) -> int | None:
    """The number of the cell that is tagged `headline`."""
    return next((i for i, cell in enumerate(page.cells) if tagged(cell, TAG)), None)


def tagged(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", [])


def fails_untrained(page: NotebookNode) -> str:
    """Run the page up to its headline with training switched off; how the headline failed.

    Raises:
        HeadlineError: it did not fail, or not by an `assert`.
    """
    last = headline(page)
    if needs.absent([page.cells[last]]):
        return "left out: a set of data is absent"
    before = [c for c in page.cells[:last] if c.cell_type == "code" and not tagged(c, "claim")]
    page.cells = [new_code_cell(UNTRAINED), *before, page.cells[last]]
    options = {"timeout": CELL_TIMEOUT, "allow_errors": True, "kernel_name": "python3"}
    NotebookClient(page, extra_arguments=["--log-level=ERROR"], **options).execute()
    broken = [found for cell in page.cells[:-1] if (found := error(cell))]
    if error(page.cells[0]):
        raise HeadlineError(f"training could not be switched off: {error(page.cells[0])}")
    found = error(page.cells[-1])
    if not found:
        raise HeadlineError("the headline claim holds for models that learned nothing")
    if not found.startswith("AssertionError"):
        raise HeadlineError(f"the headline broke before its assert: {found}; earlier: {broken}")
    return found.strip().rstrip(":") + (f"; {len(broken)} cells before it broke" if broken else "")


def error(cell: NotebookNode) -> str:
    """`AssertionError: 3 > 2`, if the cell ended so."""
    found = [o for o in cell.get("outputs", []) if o.output_type == "error"]
    return f"{found[0].ename}: {found[0].evalue}"[:300] if found else ""


if __name__ == "__main__":
    sys.exit(main())
