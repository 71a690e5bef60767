"""The glossary: `book/glossary.csv`, and the page made from it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

PAGE = "appendix/glossary.md"


class Term(NamedTuple):
    """A row of the glossary; `page` is the label of the chapter that explains it.

    `everyday` is "yes" for a word with a plain meaning too: only a {term} link shows it.
    """

    term: str
    chinese: str
    meaning: str
    page: str
    everyday: str = ""


def read(source: Path) -> list[Term]:
    """The rows of `glossary.csv` among the sources of a book."""
    with (source / "glossary.csv").open(encoding="utf-8", newline="") as file:
        return [Term(**row) for row in csv.DictReader(file, restval="")]


def page(terms: list[Term]) -> str:
    """Every term in English and Chinese, what it means, and a link to the page that explains it."""
    entries = [
        f"{term.term}\n{term.chinese}\n  {term.meaning} {{ref}}`{term.page}`" for term in terms
    ]
    body = "\n\n".join(entries)
    return f"(glossary)=\n# Glossary\n\n:::{{glossary}}\n:sorted:\n\n{body}\n:::\n"
