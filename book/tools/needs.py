"""Cells that need a set of data or weights, one of those that `mmtutor fetch` knows: they carry the
tag `needs-NAME`.

Where the set is absent, such a cell is left out of the run, but for its imports, which later cells
may use. It shows what it showed when the very same cell last ran here, if it ever did, and a
sentence. Its claims are counted as skipped.
Knows one notebook; does not know how it is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from nbformat import NotebookNode
from nbformat.v4 import new_output

from mmtutor.data.fetch import located

TAG = "needs-"
OUTPUTS = "left_out"  # in a cell's metadata: it is not to be run, and this is what it shows
IMPORT = (ast.Import, ast.ImportFrom)
MARK = {"mmtutor": "left out"}  # of the output that holds the sentence


def absent(cells: Iterable[NotebookNode]) -> list[str]:
    """The sets that these cells need and that are not in the cache, each once.

    Raises:
        ValueError: a tag names no set.
    """
    return [name for name in needed(cells) if not _here(name)]


def needed(cells: Iterable[NotebookNode]) -> list[str]:
    """The sets that these cells need, each once."""
    tags = {tag for cell in cells for tag in cell.metadata.get("tags", [])}
    return sorted(tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG))


def leave_out(notebook: NotebookNode, earlier: NotebookNode | None) -> dict[str, int]:
    """Prepare the cells of `notebook` whose sets are absent to be left out; count them.

    Args:
        earlier: an executed copy, perhaps of another state of the chapter.
    """
    shown = {cell.source: cell.get("outputs", []) for cell in (earlier.cells if earlier else [])}
    counts = {"cells": 0, "claims": 0}
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if not (names := absent([cell])):
            continue
        kept = [output for output in shown.get(cell.source, []) if output.get("metadata") != MARK]
        missing = ", ".join(f"`{name}`" for name in names)
        text = f"Not run here: this cell needs {missing} (`mmtutor fetch {' '.join(names)}`)."
        text += " What it shows is from an earlier run." if kept else ""
        data = {"text/markdown": f"*{text}*", "text/plain": text}
        cell.metadata[OUTPUTS] = [*kept, new_output("display_data", data, metadata=MARK)]
        counts["cells"] += 1
        counts["claims"] += "claim" in tags
    return counts


def imports(source: str) -> str:
    """The import statements at the top level of a cell."""
    lines = [line for line in source.splitlines() if line[:1] not in "%!"]
    body = ast.parse("\n".join(lines)).body
    return "\n".join(ast.unparse(part) for part in body if isinstance(part, IMPORT))


def _here(name: str) -> bool:
    try:
        return located(name).is_dir()
    except FileNotFoundError:
        return False
