"""Render the book from the executed copies; nothing is executed here.

    python -m book.tools.render

Assembles `_build/site-src` from `book/`, builds it with Jupyter Book into a folder of its own with
warnings as errors, and puts that in the place of `_build/html` only if it succeeded.
"""

from __future__ import annotations

import argparse
import base64
import csv
import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from nbformat import NotebookNode

from book.tools.execute import Timing, read_executed, timings
from book.tools.layout import Book, digest, swap_folder
from book.tools.sync import to_json

CARD = re.compile(r"(:::+\{admonition\}[^\n]*\n:class: chapter-card\n.*?)(\n:::)", re.DOTALL)
LEFT_OUT = shutil.ignore_patterns("*.ipynb", "tools", ".*", "__pycache__")
KEY_FILE = ".source-key"
BUILD_PAGE = "appendix/build.md"
GLOSSARY_PAGE = "appendix/glossary.md"
# The theme's icons come from its fonts; this script would draw them again, from 0.5 MB of paths.
ICONS = re.compile(r'<script defer src="[^"]*fontawesome\.js[^"]*"></script>\n?')
INLINE = re.compile(r"data:image/(png|jpeg|webp|gif);base64,([A-Za-z0-9+/=]{1000,})")
MATHJAX = ("tex-chtml.js", "output/chtml/fonts")


class Term(NamedTuple):
    """A row of the glossary; `page` is the label of the chapter that explains it."""

    term: str
    chinese: str
    meaning: str
    page: str


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="render", description=__doc__)
    parser.add_argument("--root", type=Path, default=Book.root, help=argparse.SUPPRESS)
    book = Book(parser.parse_args(argv).root)
    try:
        site = assemble(book)
    except FileNotFoundError as error:
        print(f"render: {error}; run `make book`", file=sys.stderr)
        return 1
    key = site_key(site)
    if not is_current(book, key) and not build(book, site, key):
        kept = f"; the last good book is still at {book.html}" if book.html.exists() else ""
        print(f"render: failed, see the warnings above{kept}", file=sys.stderr)
        return 1
    print(f"\nThe book is ready. Open {(book.html / 'index.html').as_uri()}")
    return 0


def assemble(book: Book) -> Path:
    """Lay out what Jupyter Book reads: pages, executed notebooks, build page, MathJax."""
    site = book.build / "site-src"
    shutil.rmtree(site, ignore_errors=True)
    shutil.copytree(book.source, site, ignore=LEFT_OUT)
    runs = {run.chapter: run for run in timings(book)}
    for chapter in book.chapters():
        name = book.name(chapter)
        page = read_executed(book, chapter)
        for cell in page.cells:
            if cell.cell_type == "markdown":
                cell.source = with_run_time(cell.source, runs[name])
            fold_claim(cell)
        (site / f"{name}.md").unlink()
        (site / f"{name}.ipynb").write_text(to_json(page), encoding="utf-8")
    (site / BUILD_PAGE).parent.mkdir(exist_ok=True)
    (site / BUILD_PAGE).write_text(build_page(list(runs.values())), encoding="utf-8")
    (site / GLOSSARY_PAGE).write_text(glossary_page(glossary(book)), encoding="utf-8")
    copy_mathjax(site / "_extra" / "mathjax")
    return site


def fold_claim(cell: NotebookNode) -> None:
    """A cell that asserts what the text says is folded, below a line that says what it is."""
    tags = cell.metadata.get("tags", [])
    if "claim" in tags:
        cell.metadata["tags"] = [*tags, *({"hide-input"} - set(tags))]
        prompts = {"code_prompt_show": "Show the check", "code_prompt_hide": "Hide the check"}
        cell.metadata["mystnb"] = prompts | cell.metadata.get("mystnb", {})


def with_run_time(text: str, run: Timing) -> str:
    """Add the measured time as the last line of the chapter's card, if the card is in `text`."""
    line = f"- **Run time**: {in_words(run.seconds)} on {run.machine}, measured by this build."
    return CARD.sub(lambda card: f"{card[1].rstrip()}\n{line}{card[2]}", text, count=1)


def in_words(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.1f} minutes"


def build_page(runs: list[Timing]) -> str:
    """How long each chapter ran, when, on what, and with which versions."""
    rows = [f"| `{run.chapter}` | {run.seconds:.1f} | {run.date} | {run.machine} |" for run in runs]
    seconds = sum(run.seconds for run in runs)
    versions = sorted({pair for run in runs for pair in run.versions.items()})
    return "\n".join(
        [
            "# How this book was built",
            "",
            "Every chapter was executed from top to bottom before this page was written. "
            "These are the times, wall clock, with the machine and the versions they belong to.",
            "",
            "| Chapter | Seconds | Date | Machine |",
            "|---|--:|---|---|",
            *rows,
            f"| all | {seconds:.1f} | | |",
            "",
            "| Package | Version |",
            "|---|---|",
            *(f"| {name} | {version} |" for name, version in versions),
            "",
        ]
    )


def glossary(book: Book) -> list[Term]:
    """The rows of `book/glossary.csv`."""
    with (book.source / "glossary.csv").open(encoding="utf-8", newline="") as file:
        return [Term(**row) for row in csv.DictReader(file)]


def glossary_page(terms: list[Term]) -> str:
    """Every term in English and Chinese, what it means, and a link to the page that explains it."""
    entries = [
        f"{term.term}\n{term.chinese}\n  {term.meaning} {{ref}}`{term.page}`" for term in terms
    ]
    body = "\n\n".join(entries)
    return f"(glossary)=\n# Glossary\n\n:::{{glossary}}\n:sorted:\n\n{body}\n:::\n"


def copy_mathjax(target: Path) -> None:
    """Take MathJax from its wheel, so that formulas need no network."""
    wheel = importlib.util.find_spec("sphinx-mathjax-offline")
    source = Path(wheel.origin).parent / "static" / "mathjax"
    for name in MATHJAX:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy2
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy(source / name, target / name)


def lighten(page: Path, html: Path) -> None:
    """Put the images that stand in a page's text into files, and leave out what it loads twice."""
    root = "../" * (len(page.relative_to(html).parts) - 1)

    def file(inline: re.Match) -> str:
        content = base64.b64decode(inline[2])
        name = f"_images/inline-{digest([content])[:16]}.{inline[1]}"
        (html / name).parent.mkdir(exist_ok=True)
        (html / name).write_bytes(content)
        return root + name

    text = ICONS.sub("", page.read_text(encoding="utf-8"))
    page.write_text(INLINE.sub(file, text), encoding="utf-8")


def site_key(site: Path) -> str:
    files = [path for path in sorted(site.rglob("*")) if path.is_file()]
    parts = [(path.relative_to(site).as_posix().encode(), path.read_bytes()) for path in files]
    return digest([part for pair in parts for part in pair] + [sys.version.encode()])


def is_current(book: Book, key: str) -> bool:
    noted = book.html / KEY_FILE
    return noted.exists() and noted.read_text() == key


def build(book: Book, site: Path, key: str) -> bool:
    """Run Jupyter Book; swap the result in on success, keep the last good book on failure."""
    output = book.build / "render"
    shutil.rmtree(output, ignore_errors=True)
    jupyter_book = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    options = ["-W", "--keep-going", "-q", "--path-output", str(output)]
    command = [*jupyter_book, "build", *options, str(site)]
    print("render: Jupyter Book is building the pages", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    html = output / "_build" / "html"
    if done.returncode or not (html / "index.html").exists():
        print(done.stdout, file=sys.stderr)
        return False
    for page in html.rglob("*.html"):
        lighten(page, html)
    (html / KEY_FILE).write_text(key)
    swap_folder(html, book.html)
    shutil.rmtree(output, ignore_errors=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
