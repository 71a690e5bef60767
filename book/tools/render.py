"""Render the book from the executed copies; nothing is executed here.

    python -m book.tools.render

Assembles `_build/site-src` from `book/`, builds it with Jupyter Book into a folder of its own with
warnings as errors, and puts that in the place of `_build/html` only if it succeeded.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from book.tools.execute import read_executed, timings
from book.tools.layout import Book, digest, swap_folder, write_atomically
from book.tools.pages import alts, build_page, cells, glossary, heads, html, versions
from book.tools.pages.facts import facts
from book.tools.sync import to_json

LEFT_OUT = shutil.ignore_patterns("*.ipynb", "tools", ".*", "__pycache__")
KEY_FILE = ".source-key"


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
    pages = {chapter: read_executed(book, chapter) for chapter in book.chapters()}
    heads.lay_out({book.name(chapter): page for chapter, page in pages.items()}, site)
    found = []
    for chapter, page in pages.items():
        name = book.name(chapter)
        found.append(facts(book, chapter, page, runs[name]))
        cells.prepare(page.cells, found[-1])
        (site / f"{name}.md").unlink()
        (site / f"{name}.ipynb").write_text(to_json(page), encoding="utf-8")
    generated = {
        build_page.PAGE: build_page.page(found),
        glossary.PAGE: glossary.page(glossary.read(book.source)),
        versions.PAGE: versions.page(versions.read(book)),
    }
    for path, text in generated.items():
        write_atomically(site / path, text)
    html.copy_mathjax(site / "_extra" / "mathjax")
    return site


def site_key(site: Path) -> str:
    """A hash of what was laid out, and of the code that makes and finishes the pages."""
    files = [path for path in sorted(site.rglob("*")) if path.is_file()]
    parts = [(path.relative_to(site).as_posix().encode(), path.read_bytes()) for path in files]
    code = [path.read_bytes() for path in sorted(Path(__file__).parent.glob("*/*.[jp][sy]"))]
    return digest([part for pair in parts for part in pair] + [*code, sys.version.encode()])


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
    made = output / "_build" / "html"
    if done.returncode or not (made / "index.html").exists():
        print(done.stdout, file=sys.stderr)
        return False
    for page in made.rglob("*.html"):
        html.finish(page, made)
    if problems := alts.problems(made):
        print("\n".join(problems), file=sys.stderr)
        return False
    (made / KEY_FILE).write_text(key)
    swap_folder(made, book.html)
    shutil.rmtree(output, ignore_errors=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
