"""Make each chapter's `.ipynb` from its `.md`: the same bytes every time, and no outputs.

    python -m book.tools.sync            # write what changed
    python -m book.tools.sync --check    # write nothing, fail naming what drifted

Before it writes, it renews the first code cell of each `.md`, which installs mmtutor where that is
absent and fetches the sets that the tags of the chapter's cells ask for.
Knows the text form of a chapter; does not execute or render anything.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections import Counter
from pathlib import Path

import jupytext
import nbformat

from book.tools import needs
from book.tools.layout import Book, write_atomically

FIRST_CELL = (Path(__file__).parent / "first_cell.py").read_text(encoding="utf-8").strip()
SETS = "    sets = []"  # here begin the lines of it that only a page with such sets has
FIRST_TAG = "remove-cell"
FENCE = re.compile(r"^```\{code-cell\}[^\n]*\n.*?^```[ \t]*$", re.MULTILINE | re.DOTALL)
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="sync", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on drift")
    parser.add_argument("--root", type=Path, default=Book.root, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    book = Book(options.root)
    if not options.check:
        renew_first_cells(book)
    problems = first_cell_problems(book) + stray_notebooks(book)
    drifted = sync(book, write=not options.check)
    if options.check:
        problems += [f"{path}: differs from its .md; run `make sync`" for path in drifted]
    elif drifted:
        print("sync: wrote " + ", ".join(str(path) for path in drifted))
    for problem in problems:
        print(f"sync: {problem}", file=sys.stderr)
    return 1 if problems else 0


def sync(book: Book, write: bool = True) -> list[Path]:
    """The notebooks, relative to the root, that did not match their `.md`; written if `write`."""
    drifted = []
    for chapter in book.chapters():
        target = chapter.with_suffix(".ipynb")
        text = to_json(notebook(chapter))
        if not target.exists() or target.read_bytes() != text.encode():
            drifted.append(target.relative_to(book.root))
            if write:
                write_atomically(target, text)
    return drifted


def notebook(chapter: Path) -> nbformat.NotebookNode:
    """Read a text notebook: fixed metadata, cell ids made from the cells' own text, no outputs."""
    result = jupytext.reads(chapter.read_text(encoding="utf-8"), fmt="md:myst")
    result.metadata = nbformat.from_dict(METADATA)
    result.nbformat, result.nbformat_minor = 4, 5
    seen: Counter[str] = Counter()
    for cell in result.cells:
        identity = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:10]
        seen[identity] += 1
        repeated = f"-{seen[identity]}" if seen[identity] > 1 else ""
        cell["id"] = identity + repeated
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return result


def to_json(result: nbformat.NotebookNode) -> str:
    nbformat.validate(result)
    return nbformat.writes(result, indent=1, ensure_ascii=False).rstrip("\n") + "\n"


def first_cell(cells: list[nbformat.NotebookNode]) -> str:
    """The first code cell of a page with these cells: it fetches the sets that their tags name."""
    if sets := needs.needed(cells):
        return FIRST_CELL.replace(SETS, SETS.replace("[]", json.dumps(sets)))
    return FIRST_CELL.partition(SETS)[0].rstrip()


def first_cell_problems(book: Book) -> list[str]:
    """One sentence for each chapter whose first code cell is not the one it should have."""
    problems = []
    for chapter in book.chapters():
        cells = [cell for cell in notebook(chapter).cells if cell.cell_type == "code"]
        where = chapter.relative_to(book.root)
        if not cells or cells[0].source.strip() != first_cell(cells):
            problems.append(
                f"{where}: its first code cell is not that of book/tools/first_cell.py with the "
                "sets that its tags ask for; run `make sync`"
            )
        elif FIRST_TAG not in cells[0].metadata.get("tags", []):
            problems.append(f"{where}: its first code cell has no tag `{FIRST_TAG}`")
    return problems


def stray_notebooks(book: Book) -> list[str]:
    """One sentence for each `.ipynb` that no `.md` stands behind."""
    sources = {chapter.with_suffix(".ipynb") for chapter in book.chapters()}
    return [
        f"{path.relative_to(book.root)}: no text notebook of this name; write the .md instead"
        for path in sorted(book.source.rglob("*.ipynb"))
        if path not in sources and ".ipynb_checkpoints" not in path.parts
    ]


def renew_first_cells(book: Book) -> None:
    """Put the right first code cell into every chapter."""
    for chapter in book.chapters():
        source = first_cell(notebook(chapter).cells)
        cell = f"```{{code-cell}} ipython3\n:tags: [{FIRST_TAG}]\n\n{source}\n```"
        text = chapter.read_text(encoding="utf-8")
        renewed = FENCE.sub(lambda _, cell=cell: cell, text, count=1)
        if renewed != text:
            write_atomically(chapter, renewed)


if __name__ == "__main__":
    sys.exit(main())
