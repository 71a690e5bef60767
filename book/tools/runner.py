"""A pytest plugin around nbmake: collects the copy below `_build`, shows which cell is running,
reports a failing cell in full, and files a notebook that passed.

Knows one run of pytest. Which notebooks are stale, and how many run at once, is decided by
`book.tools.execute`.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import nbmake.nb_run
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell
from nbmake.pytest_items import NotebookFile

from book.tools import needs
from book.tools.layout import write_atomically
from mmtutor.machine import hardware, versions

PACKAGES = ("transformers", "torchvision", "jupyter-book")


class Client(NotebookClient):
    """nbclient's own, which also says which cell it is at."""

    at: tuple[str, int, int, str] = ("", 0, 0, "")  # chapter, cell, cells, source
    began = 0.0

    def __init__(self, nb: Any, **options: Any) -> None:
        # Coalesced: what one print writes stays one output, however slowly it arrives.
        options |= {"extra_arguments": ["--log-level=ERROR"], "coalesce_streams": True}
        super().__init__(nb, **options)
        Client.began = time.perf_counter()

    async def async_execute_cell(self, cell: Any, cell_index: int, *args: Any, **more: Any) -> Any:
        if needs.OUTPUTS in cell.metadata:
            imports = new_code_cell(needs.imports(cell.source))
            await super().async_execute_cell(imports, cell_index, *args, **more)
            cell.outputs = cell.metadata.pop(needs.OUTPUTS)
            self.nb.cells[cell_index] = cell
            return cell
        if cell.cell_type != "code":
            return await super().async_execute_cell(cell, cell_index, *args, **more)
        chapter = self.nb.metadata["mmtutor"]["chapter"]
        Client.at = (chapter, cell_index + 1, len(self.nb.cells), cell.source)
        progress = asyncio.create_task(keep_showing_progress())
        try:
            return await super().async_execute_cell(cell, cell_index, *args, **more)
        finally:
            progress.cancel()


nbmake.nb_run.NotebookClient = Client


async def keep_showing_progress() -> None:
    while True:
        show_progress()
        await asyncio.sleep(1 if sys.stdout.isatty() else 30)


def show_progress() -> None:
    """`5-labs/retrieval  cell 12 of 40  31 s  result = run(config)`: one line, renewed on a tty."""
    chapter, cell, cells, source = Client.at
    seconds = time.perf_counter() - Client.began
    code = next((line for line in source.splitlines() if line and line[0] not in "#%"), "")
    line = f"  {chapter}  cell {cell:>2} of {cells}  {seconds:5.0f} s  {code[:48]}"
    start, end = ("\r\033[K", "") if sys.stdout.isatty() else ("", "\n")
    print(start + line, end=end, flush=True)


def pytest_collect_file(file_path: Path, parent: Any) -> NotebookFile | None:
    # nbmake itself leaves out whatever lies below a folder named _build.
    if file_path.suffix == ".ipynb" and "_build" in file_path.parts:
        return NotebookFile.from_parent(parent, path=file_path)
    return None


def pytest_exception_interact(node: Any, call: pytest.CallInfo) -> None:
    """Name the notebook, the cell, its source and the error."""
    chapter, cell, cells, source = Client.at
    error = next((arg.error for arg in call.excinfo.value.args if hasattr(arg, "error")), None)
    summary = error.summary if error else f"{call.excinfo.typename}: {call.excinfo.value}"
    print(f"\n\nFAILED  book/{chapter}.md, cell {cell} of {cells}\n" + "-" * 75)
    print(source + "\n" + "-" * 75)
    if error:
        print(error.trace.partition(source)[2].strip() or error.trace)
    print(f"{'-' * 75}\nbook/{chapter}.md, cell {cell}: {summary}\n", flush=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Any:
    report = yield
    if report.when == "call" and report.passed:
        executed = nbformat.read(str(item.path), 4)
        warnings = stderr(executed)
        if warnings:
            report.outcome = "failed"
            chapter = executed.metadata["mmtutor"]["chapter"]
            print(f"\n\nFAILED  book/{chapter}.md wrote to stderr\n{warnings}", flush=True)
        else:
            file(executed, item.path.resolve(), call.duration)
    return report


def stderr(executed: nbformat.NotebookNode) -> str:
    """What the cells wrote to stderr, each with its number: warnings are errors in this book."""
    return "\n".join(
        f"cell {number}: {output.text.strip()}"
        for number, cell in enumerate(executed.cells, 1)
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    )


def file(executed: nbformat.NotebookNode, path: Path, seconds: float) -> None:
    """Put the run copy `_build/run/X.ipynb` at `_build/executed/X.ipynb`, with its record."""
    executed.metadata["mmtutor"] |= {
        "seconds": round(seconds, 1),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine(),
        "versions": versions(*PACKAGES),
    }
    run = next(parent for parent in path.parents if parent.name == "run")
    write_atomically(run.parent / "executed" / path.relative_to(run), nbformat.writes(executed))


def machine() -> str:
    """The hardware in words: processor, how many cores the notebook had, GPU if there is one."""
    found = hardware()
    words = f"{found['cpu']}, {os.environ['OMP_NUM_THREADS']} of {found['cores']} cores"
    return f"{words}, {found['gpu']}" if "gpu" in found else words
