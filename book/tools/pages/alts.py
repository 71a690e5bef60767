"""What the pictures of a page show, in words, for those who cannot see them.

It is written once: in the caption of a figure or, where it has none, in the cell's
`mystnb: image: alt`. The images of a gallery have their titles.
"""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from html.parser import HTMLParser
from pathlib import Path

from nbformat import NotebookNode

ALT = re.compile(r'(<img [^>]*?alt=")([^"]*)')
UNTITLED = "image"  # what a gallery writes where its images have no titles
MARKUP = re.compile(r"\{[a-z:]+\}`([^`<]*?)(?:\s*<[^>]*>)?`|[*`$]")
NO_WORDS = re.compile(r"|image|\S+\.(png|jpe?g|gif|svg|webp)")


def describe(cells: list[NotebookNode]) -> None:
    """Give every image that the cells of a page put out its text, in place."""
    code = [cell for cell in cells if cell.cell_type == "code"]
    for cell in code:
        text = in_words(cell)
        if text:
            settings = cell.metadata.setdefault("mystnb", {})
            settings["image"] = settings.get("image", {}) | {"alt": text}
            for output in with_html(cell):
                name_untitled(output, text)
    outputs = [output for cell in code for output in with_html(cell)]
    tell_apart(outputs)


def in_words(cell: NotebookNode) -> str:
    """What the cell's pictures show, without markup; empty where nobody has written it."""
    settings = cell.metadata.get("mystnb", {})
    said = settings.get("image", {}).get("alt") or settings.get("figure", {}).get("caption", "")
    return " ".join(MARKUP.sub(lambda found: found[1] or "", said).split())


def with_html(cell: NotebookNode) -> list[NotebookNode]:
    return [output for output in cell.outputs if "text/html" in output.get("data", {})]


def name_untitled(output: NotebookNode, text: str) -> None:
    said = {UNTITLED: html.escape(text)}
    shown = output.data["text/html"]
    output.data["text/html"] = ALT.sub(lambda f: f[1] + said.get(f[2], f[2]), shown)


def tell_apart(outputs: list[NotebookNode]) -> None:
    """Number the images that have the same text."""
    count = Counter(f[2] for output in outputs for f in ALT.finditer(output.data["text/html"]))
    place: Counter[str] = Counter()

    def numbered(found: re.Match) -> str:
        text = found[2]
        place[text] += 1
        return found[0] + (f" ({place[text]} of {count[text]})" if count[text] > 1 else "")

    for output in outputs:
        output.data["text/html"] = ALT.sub(numbered, output.data["text/html"])


class Images(HTMLParser):
    """The images of a page's article: text -> the files that have it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.inside = False
        self.files: dict[str, set[str]] = defaultdict(set)
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside |= tag == "article"
        if tag == "img" and self.inside:
            found = dict(attrs)
            self.files[(found.get("alt") or "").strip()].add(found.get("src") or "")

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "article"


def problems(folder: Path) -> list[str]:
    """One sentence for each text of a rendered page that says nothing, or of several pictures."""
    said = {page: Images(page).files for page in sorted(folder.rglob("*.html"))}
    return [
        f"{page.relative_to(folder)}: alt {text!r} of {', '.join(sorted(files))}: {fault}"
        for page, texts in said.items()
        for text, files in texts.items()
        if (fault := wrong_with(text, files))
    ]


def wrong_with(text: str, files: set[str]) -> str:
    if NO_WORDS.fullmatch(text):
        return "does not say what is seen; write a caption, or `image: alt` in `mystnb`"
    return "the same words for different pictures" if len(files) > 1 else ""
