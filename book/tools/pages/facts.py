"""What a chapter's card and the page "How this book was built" say of one chapter: all found out,
nothing typed in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from book.tools import headlines, needs
from book.tools.execute import RECORD, Timing
from book.tools.layout import Book
from book.tools.reached import imported
from mmtutor.recipes.common.stored import FOLDER

LABEL = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)


class Facts(NamedTuple):
    """One chapter.

    Attributes:
        label: of the page, for links.
        sets: that its cells need, of those that `mmtutor fetch` knows.
        imports: the distributions that its cells import, each with its version.
        claims, skipped: how many claims it makes, and how many of them were not run.
        headline: whether its headline was seen to fail without training; None if it has none.
        stored: the stored results that it shows.
    """

    label: str
    run: Timing
    sets: list[str]
    imports: dict[str, str]
    claims: int
    skipped: int
    headline: bool | None
    stored: list[str]


def facts(book: Book, chapter: Path, page: NotebookNode, run: Timing) -> Facts:
    """Of `chapter`, with `page` as it was executed in `run`."""
    code = [cell for cell in page.cells if cell.cell_type == "code"]
    has_headline = headlines.headline(page) is not None
    return Facts(
        label=LABEL.search(page.cells[0].source)[1],
        run=run,
        sets=needs.needed(code),
        imports=imported(cell.source for cell in code[1:]),  # the first one is every page's
        claims=sum(headlines.tagged(cell, "claim") for cell in code),
        skipped=page.metadata[RECORD].get("left_out", {}).get("claims", 0),
        headline=headlines.has_failed(book, chapter, page) if has_headline else None,
        stored=stored(cell.source for cell in code),
    )


def stored(code: Iterable[str], folder: Path = FOLDER) -> list[str]:
    """The names of stored results that stand in cells which load some, in order."""
    known = {path.stem for path in folder.glob("*.json")}
    nodes = [node for text in code if "load_stored(" in text for node in ast.walk(ast.parse(text))]
    names = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [name for name in dict.fromkeys(names) if name in known]
