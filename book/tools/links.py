"""Check the links of a rendered book.

    python -m book.tools.links

A link inside the book must lead to a file, and its #anchor to an element of that file. A link out
of the book is only looked at, never followed: CI has no network. What a page loads to be read
(scripts, styles, pictures) must lie in the book itself, so that it reads offline.
"""

from __future__ import annotations

import argparse
import sys
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from book.tools.layout import Book

EXTERNAL = {"http", "https"}
OPAQUE = {"data", "javascript", "mailto"}
LOADED = {"script": "src", "img": "src", "link": "href", "source": "src", "iframe": "src"}
LOADED_RELATIONS = {"stylesheet", "preload", "icon"}


class Page(HTMLParser):
    """The anchors of one page and what it points to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        self.anchors.update(found[name] for name in ("id", "name") if name in found)
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        relations = set(found.get("rel", "").split())
        if LOADED.get(tag) in found and (tag != "link" or relations & LOADED_RELATIONS):
            self.loads.append(found[LOADED[tag]])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="links", description=__doc__)
    parser.add_argument("--root", type=Path, default=Book.root, help=argparse.SUPPRESS)
    html = Book(parser.parse_args(argv).root).html
    if not html.exists():
        print("links: no rendered book to check; `make book` renders it")
        return 0
    problems = broken_links(html)
    for problem in problems:
        print(f"links: {problem}", file=sys.stderr)
    pages = len(list(html.rglob("*.html")))
    print(f"links: {pages} pages, {len(problems)} broken links")
    return 1 if problems else 0


def broken_links(html: Path) -> list[str]:
    """One sentence for each link of the pages below `html` that leads nowhere."""
    read = cache(Page)
    problems = []
    for path in sorted(html.rglob("*.html")):
        if "_static" in path.relative_to(html).parts:
            continue  # the theme's own templates
        page = read(path)
        where = path.relative_to(html)
        for link in page.links:
            problem = fault(link, path, html, read)
            problems += [f"{where}: {link}: {problem}"] if problem else []
        for link in page.loads:
            remote = urlsplit(link).scheme in EXTERNAL or link.startswith("//")
            problem = "loaded from the network" if remote else fault(link, path, html, read)
            problems += [f"{where}: {link}: {problem}"] if problem else []
    return problems


def fault(link: str, path: Path, html: Path, read) -> str:
    """What is wrong with a link that stands on the page at `path`; empty if nothing."""
    try:
        parts = urlsplit(link)
    except ValueError as error:
        return f"not a link ({error})"
    if parts.scheme in OPAQUE:
        return ""
    if parts.scheme or parts.netloc:
        sound = parts.scheme in EXTERNAL and parts.netloc and " " not in link
        return "" if sound else "not a well-formed address"
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target = target / "index.html"
    if not target.is_relative_to(html.resolve()) or not target.exists():
        return "no such file in the book"
    anchor = unquote(parts.fragment)
    if anchor and target.suffix == ".html" and anchor not in read(target).anchors:
        return f"no element has the id {anchor!r} there"
    return ""


if __name__ == "__main__":
    sys.exit(main())
