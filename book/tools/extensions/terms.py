"""Explains the glossary's terms where they stand: a Sphinx extension.

On each page the first occurrence of a term in running text becomes a link to its entry, as if it
had been written as {term}. `terms.js` shows at each such link what the term means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

from book.tools.pages.glossary import PAGE, Term, read

GLOSSARY = PAGE.removesuffix(".md")
# Where no running text is looked for; within a paragraph only `INSIDE` is.
CLOSED = (nodes.figure, nodes.table, nodes.citation, nodes.footnote)
CLOSED_CLASSES = {"cell", "chapter-card", "chapter-map", "promise"}
INSIDE = (nodes.emphasis, nodes.strong)


class explained(nodes.Inline, nodes.TextElement):  # noqa: N801
    """A term in the text: a link with its meaning."""


class Terms:
    """The terms of a glossary: finds them in a text, and makes links to their entries."""

    def __init__(self, terms: list[Term], uri: str, anchors: dict[str, str]) -> None:
        """`uri` is that of the glossary, `anchors` leads from a term to its place there."""
        longest_first = sorted(terms, key=lambda term: -len(term.term))
        self.terms = {f"t{number}": term for number, term in enumerate(longest_first)}
        self.links = {term.term: f"{uri}#{anchors[term.term]}" for term in terms}
        self.by_link = {self.links[term.term]: term for term in terms}
        choices = "|".join(f"(?P<{name}>{written(t.term)})" for name, t in self.terms.items())
        self.pattern = re.compile(rf"(?<![\w-])(?:{choices})(?:e?s)?(?![\w-])")

    def link(self, term: Term, *content: nodes.Node) -> explained:
        about = {"data-chinese": term.chinese, "data-meaning": term.meaning}
        return explained("", "", *content, href=self.links[term.term], about=about)

    def mark(self, text: str, seen: set[Term]) -> Iterator[nodes.Node]:
        """The parts of a text, with the first occurrence of each term that was not seen before."""
        end = 0
        for match in self.pattern.finditer(text):
            term = self.terms[match.lastgroup]
            if term in seen or term.everyday:
                continue
            seen.add(term)
            yield nodes.Text(text[end : match.start()])
            yield self.link(term, nodes.Text(match[0]))
            end = match.end()
        yield nodes.Text(text[end:])


def written(term: str) -> str:
    """A pattern for a term: with a capital where a sentence begins, and over the end of a line."""
    head = f"[{term[0].upper()}{term[0]}]" if term[0].islower() else re.escape(term[0])
    return head + re.escape(term[1:]).replace(r"\ ", r"\s+").replace("'", "['’]")


def explain(node: nodes.Element, terms: Terms, seen: set[Term], prose: bool = False) -> None:
    """Mark the terms in the text below `node`, of which `prose` says whether it is running text."""
    found: list[nodes.Node] = []
    for is_text, group in groupby(node.children, lambda child: isinstance(child, nodes.Text)):
        children = list(group)
        if is_text and prose:
            # A line's end parts the text of a paragraph.
            found += terms.mark("".join(children), seen)
        else:
            found += children if is_text else [within(c, terms, seen, prose) for c in children]
    node.children = []
    node.extend(found)


def within(child: nodes.Element, terms: Terms, seen: set[Term], prose: bool) -> nodes.Element:
    """A child with its terms marked, or a link that is an explained term itself."""
    if term := terms.by_link.get(child.get("refuri", "")):
        seen.add(term)
        return terms.link(term, nodes.Text(child.astext()))
    closed = isinstance(child, CLOSED) or CLOSED_CLASSES & set(child.get("classes", []))
    if isinstance(child, INSIDE) if prose else not closed:
        explain(child, terms, seen, prose or isinstance(child, nodes.paragraph))
    return child


def on_page(app: Sphinx, page: nodes.document, name: str) -> None:
    if name == GLOSSARY:
        return
    entries = app.env.get_domain("std").objects.items()
    anchors = {term: anchor for (kind, term), (_, anchor) in entries if kind == "term"}
    uri = app.builder.get_relative_uri(name, GLOSSARY)
    explain(page, Terms(read(Path(app.srcdir)), uri, anchors), set())


def begin(translator: nodes.NodeVisitor, node: explained) -> None:
    tag = translator.starttag(node, "a", "", CLASS="term", href=node["href"], **node["about"])
    translator.body.append(tag)


def end(translator: nodes.NodeVisitor, node: explained) -> None:
    translator.body.append("</a>")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_node(explained, html=(begin, end))
    app.connect("doctree-resolved", on_page)
    # A module waits for the page, and is read once.
    app.add_js_file(None, body=Path(__file__).with_suffix(".js").read_text(), type="module")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
