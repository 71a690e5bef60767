"""The head of a chapter, and what the landing page shows of it.

A chapter begins with its label, its title and a promise: one sentence. Its title picture is what
the cell tagged `title-picture` put out. All of it stands once, in the chapter. The landing page
includes `_heads/<folder>.md`, the cards of a part, and shows `_heads/cover.webp`, the pictures of
all cells tagged `cover-picture`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import yaml
from nbformat import NotebookNode

from book.tools.execute import RECORD
from book.tools.pages import alts, pictures

FOLDER = "_heads"  # below the site's sources
TITLE, COVER = "title-picture", "cover-picture"
HEAD = re.compile(r"\((?P<label>[a-z0-9-]+)\)=\n# (?P<title>[^\n]+)\n+(?P<promise>.*)", re.DOTALL)


class Head(NamedTuple):
    """What a chapter begins with; `alt` is empty where it has no title picture."""

    name: str
    label: str
    title: str
    promise: str
    alt: str

    def picture(self, kind: str) -> str:
        """Where its picture lies, from the site's root; `kind` is `page` or `card`."""
        return f"{FOLDER}/{self.name.replace('/', '-')}-{kind}.webp"


def lay_out(pages: dict[str, NotebookNode], site: Path) -> None:
    """Show each chapter's head on its page, and make what the landing page needs of them."""
    (site / FOLDER).mkdir()
    heads = {name: dress(name, page, site) for name, page in pages.items()}
    toc = yaml.safe_load((site / "_toc.yml").read_text(encoding="utf-8"))
    for part in toc.get("parts", [toc]):
        names = [chapter["file"] for chapter in part["chapters"]]
        text = cards([heads[name] for name in names if name in heads])
        (site / FOLDER / f"{Path(names[0]).parent}.md").write_text(text, encoding="utf-8")
    shown = [pictures.drawn(cell) for page in pages.values() for cell in tagged(page, COVER)]
    if any(shown):
        pictures.save(pictures.mosaic(list(filter(None, shown))), site / FOLDER / "cover.webp")


def dress(name: str, page: NotebookNode, site: Path) -> Head:
    """Show the promise and the picture under the title; the files go into `site`."""
    found = HEAD.fullmatch(page.cells[0].source)
    words = {key: " ".join(text.split()) for key, text in found.groupdict().items()}
    cell = next(tagged(page, TITLE), None)
    picture = pictures.drawn(cell) if cell else None
    absent = page.metadata.get(RECORD, {}).get("left_out", {}).get("cells")  # sets of data
    if cell and not picture and not absent:
        raise ValueError(f"{name}: the cell tagged {TITLE} put out no picture")
    head = Head(name, **words, alt=alts.in_words(cell) if picture else "")
    if picture:
        picture = pictures.trimmed(picture)
        pictures.save(picture, site / head.picture("page"))
        pictures.save(pictures.on_card(picture), site / head.picture("card"))
    page.cells[0].source = opening(head)
    return head


def tagged(page: NotebookNode, tag: str) -> filter:
    """The cells with this tag."""
    return filter(lambda cell: tag in cell.metadata.get("tags", []), page.cells)


def opening(head: Head) -> str:
    """The first cell of the page, as MyST."""
    lines = [f"({head.label})=", f"# {head.title}", "", ":::{div} promise", head.promise, ":::"]
    alt = f"Title picture. {head.alt}"
    picture = ["", f"```{{image}} /{head.picture('page')}", f":alt: {alt}", f":class: {TITLE}"]
    return "\n".join([*lines, *([*picture, "```"] if head.alt else [])])


def cards(heads: list[Head]) -> str:
    """A grid of cards, as MyST."""
    options = [":gutter: 3", ":class-container: chapter-map"]
    return "\n".join(["::::{grid} 1 2 2 3", *options, "", *map(card, heads), "::::", ""])


def card(head: Head) -> str:
    """A card that is a link, with the picture, the title and the promise."""
    link = [f":link: {head.label}", ":link-type: ref", f":link-alt: {head.title}"]
    image = [f"```{{image}} /{head.picture('card')}", f":alt: {head.alt}", ":loading: lazy", "```"]
    body = [*([*image, ""] if head.alt else []), f"**{head.title}**", "", head.promise]
    return "\n".join([":::{grid-item-card}", *link, ":shadow: none", "", *body, ":::", ""])
