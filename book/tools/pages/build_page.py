"""The page "How this book was built": the state of every chapter, all of it found out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from book.tools.pages.cells import megabytes
from book.tools.pages.facts import Facts
from mmtutor.recipes.common.stored import load_stored, provenance

PAGE = "appendix/build.md"
INTRODUCTION = """# How this book was built

Every chapter was executed from top to bottom before this page was written, and nothing on this page
is typed in.

- **Claims** are sentences that a cell asserts. Had one been false, there would be no page. Claims
  about a set of data that was absent are counted as skipped.
- **Headline** is the claim that a chapter is about. *Fails untrained* means that it was seen to
  fail with training switched off, as it should; `make test` tries that.
- **Stored** counts the results of long runs that the chapter shows. They are listed below.
- **Data** are the megabytes that `mmtutor fetch` downloads for the chapter.
"""
STORED = """
## Stored results

These runs took longer than a page can wait for. The pages show them as stored, and run a smaller
form of the same code.
"""
VERSIONS = """
## Versions

Of Python and of the packages that matter most, as noted with each run:
"""


def page(chapters: list[Facts]) -> str:
    """Tables of the chapters, of the stored results, and of the versions."""
    header = ["Chapter", "Executed", "Seconds", "Claims", "Headline", "Stored", "Data, MB"]
    machines = dict.fromkeys(chapter.run.machine for chapter in chapters)
    versions = sorted({pair for chapter in chapters for pair in chapter.run.versions.items()})
    return "\n".join(
        [
            INTRODUCTION,
            f"The times are wall clock, on {' and '.join(machines)}.",
            "",
            *table(header, map(row, chapters), "llrrlrr"),
            total(chapters),
            STORED,
            *(entry(name, chapters) for name in stored(chapters)),
            VERSIONS,
            *table(["Package", "Version"], versions, "ll"),
            "",
        ]
    )


def table(header: Sequence[str], rows: Iterable[Sequence[object]], align: str) -> list[str]:
    """The lines of a Markdown table; each letter of `align` is `l` or `r`."""
    rule = ["--:" if side == "r" else "---" for side in align]
    return [f"| {' | '.join(map(str, cells))} |" for cells in (header, rule, *rows)]


def row(chapter: Facts) -> list[object]:
    skipped = f", {chapter.skipped} skipped" if chapter.skipped else ""
    headline = {True: "fails untrained", False: "not tried yet", None: ""}[chapter.headline]
    data = megabytes(chapter.sets) or ""
    claims = f"{chapter.claims - chapter.skipped}{skipped}"
    stored = len(chapter.stored) or ""
    return [
        link(chapter),
        chapter.run.date.replace("-", "\N{NON-BREAKING HYPHEN}"),
        f"{chapter.run.seconds:.0f}",
        claims,
        headline,
        stored,
        data,
    ]


def total(chapters: list[Facts]) -> str:
    """The last row: all chapters together."""
    seconds = sum(chapter.run.seconds for chapter in chapters)
    claims = sum(chapter.claims - chapter.skipped for chapter in chapters)
    sets = sorted({name for chapter in chapters for name in chapter.sets})
    return f"| all | | {seconds:.0f} | {claims} | | {len(stored(chapters))} | {megabytes(sets)} |"


def stored(chapters: list[Facts]) -> list[str]:
    """The names of all stored results that the chapters show."""
    return sorted({name for chapter in chapters for name in chapter.stored})


def entry(name: str, chapters: list[Facts]) -> str:
    """A stored result: where it is shown, what made it, and whether that code has changed."""
    pages = ", ".join(link(chapter) for chapter in chapters if name in chapter.stored)
    runs = load_stored(name)
    made = (
        provenance(runs).partition(": ")[2].replace(runs[0]["command"], f"`{runs[0]['command']}`")
    )
    return f"- `{name}`, in {pages}: {made}"


def link(chapter: Facts) -> str:
    return f"{{ref}}`{chapter.label}`"
