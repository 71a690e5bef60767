"""A book of one chapter, small enough to be converted, executed and rendered inside a test."""

from __future__ import annotations

import shutil
from pathlib import Path

from book.tools.layout import Book
from book.tools.sync import first_cell

HEAD = """---
kernelspec:
  display_name: Python 3
  language: python
  name: python3
---

(tiny)=
# A tiny chapter

Read a chapter that is as short as a chapter can be.

```{{code-cell}} ipython3
:tags: [remove-cell]

{first_cell}
```

:::{{admonition}} At a glance
:class: chapter-card

- **Hardware**: any.
:::

Prose, $x^2$, and {{cite:p}}`radford2021learning`.
"""
CONFIG = ("_config.yml", "references.bib", "_static")
GLOSSARY = "term,chinese,meaning,page\nattention,注意力,A weighted mean.,tiny\n"
REFERENCES = "# References\n\n```{bibliography}\n```\n"
TOC = "format: jb-book\nroot: intro\nchapters:\n" + "".join(
    f"  - file: {page}\n"
    for page in (
        "labs/tiny",
        *(f"appendix/{name}" for name in ("glossary", "build", "versions", "references")),
    )
)


def tiny_book(root: Path, *cells: str) -> Book:
    """A book below `root` with one page and the chapter `labs/tiny`, its cells after the first."""
    book = Book(root)
    (book.source / "labs").mkdir(parents=True)
    for name in CONFIG:
        source = Book().source / name
        (book.source / name).parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, book.source / name)
    (book.source / "_toc.yml").write_text(TOC)
    (book.source / "glossary.csv").write_text(GLOSSARY)
    (book.source / "appendix").mkdir()
    (book.source / "appendix/references.md").write_text(REFERENCES)
    (book.source / "intro.md").write_text("# Intro\n\nSee {ref}`tiny`.\n")
    write_chapter(book, *cells)
    return book


def write_chapter(book: Book, *cells: str, prose: str = "") -> Path:
    fenced = [f"```{{code-cell}} ipython3\n{cell}\n```\n" for cell in cells]
    chapter = book.source / "labs" / "tiny.md"
    text = "\n".join([HEAD.format(first_cell=first_cell([])), prose, *fenced])
    chapter.write_text(text)
    return chapter
