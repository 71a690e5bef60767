"""The page "Versions that work", and the notes in `book/versions.json` that it is made from."""

from __future__ import annotations

import json
from typing import Any

from book.tools.layout import Book

PAGE = "appendix/versions.md"
NOTES = "versions.json"
BOUNDS = ("lowest", "newest")
HEAD = """(versions)=
# Versions that work

`pyproject.toml` names the lowest version of each package that this book uses and, but for Jupyter
Book, no highest. The unit tests are run with both ends: `make test-lowest` installs the lowest
versions that are allowed, `make test-newest` the newest that there are. This is what came of the
last runs. The chapters themselves were executed with the versions that {doc}`build` names.
"""

# Of each of `BOUNDS` that has been tried: its date, python, tests (outcome -> count) and packages.
Notes = dict[str, dict[str, Any]]


def read(book: Book) -> Notes:
    path = book.source / NOTES
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def page(notes: Notes) -> str:
    """When the unit tests ran with the lowest and with the newest versions, and what came of it."""
    tried = {bound: notes[bound] for bound in BOUNDS if bound in notes}
    runs = {bound: _run(note) for bound, note in tried.items()}
    packages = {bound: note["packages"] for bound, note in tried.items()}
    return "\n".join([HEAD, *_table("", runs), "", *_table("Package", packages), ""])


def _run(note: dict[str, Any]) -> dict[str, str]:
    tests = {f"Tests {outcome}": f"{count:,}" for outcome, count in note["tests"].items()}
    return {"Date": note["date"], "Python": note["python"]} | tests


def _table(corner: str, columns: dict[str, dict[str, str]]) -> list[str]:
    """One row for each name that a column has, in the order in which they come."""
    names = dict.fromkeys(name for column in columns.values() for name in column)
    rows = [[name, *(column.get(name, "") for column in columns.values())] for name in names]
    head = [corner, *(bound.capitalize() for bound in columns)]
    return [f"| {' | '.join(row)} |" for row in (head, ["---", *("--:" for _ in columns)], *rows)]
