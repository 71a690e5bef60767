"""The glossary: each term once, explained on the page that it names, and not used before."""

import re

import pytest

from book.tools.layout import Book
from book.tools.pages import glossary

BOOK = Book()
TERMS = glossary.read(BOOK.source)
FENCED = re.compile(r"\A---.*?\n---\n|^(`{3,}|:{3,})\{code-cell.*?^\1$", re.DOTALL | re.MULTILINE)
NO_PROSE = re.compile(r"\$[^$]*\$|`[^`]*`|<[^>]*>")


def pages() -> dict[str, str]:
    """Label -> text of each chapter, in the order of the table of contents."""
    order = re.findall(r"file: (\d-\S+)", (BOOK.source / "_toc.yml").read_text())
    texts = [(BOOK.source / f"{name}.md").read_text(encoding="utf-8") for name in order]
    return {re.search(r"^\(([\w-]+)\)=", text, re.MULTILINE)[1]: text for text in texts}


PAGES = pages()


def test_at_least_150_terms_each_once_with_a_line_of_its_own():
    assert len(TERMS) >= 150
    for column in ("term", "chinese", "meaning"):
        values = [getattr(term, column).lower() for term in TERMS]
        assert sorted(set(values)) == sorted(values)
    for term in TERMS:
        assert re.search(r"[\u4e00-\u9fff]", term.chinese)
        assert term.meaning.endswith(".")
        assert len(term.meaning) <= 120


def linked(role: str, text: str) -> set[str]:
    """What the text links to by a role: {term}`momentum` or {term}`Max pooling <max pooling>`."""
    return set(re.findall(rf"{{{role}}}`(?:[^`<]*<)?([^`>]+)>?`", text))


def test_every_linked_term_is_in_the_glossary():
    for text in PAGES.values():
        assert linked("term", text) <= {term.term for term in TERMS}


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.term)
def test_a_term_stands_on_its_page_and_is_linked_where_it_comes_earlier(term):
    assert term.chinese in PAGES[term.page]
    used = re.compile(rf"\b{re.escape(term.term)}(s|es)?\b", re.IGNORECASE)
    for label, text in PAGES.items():
        if label == term.page or term.page in linked("ref", text):
            return
        if term.term in linked("term", text):
            return
        prose = NO_PROSE.sub(" ", FENCED.sub(" ", text))
        assert not used.search(prose), f"{label} uses {term.term!r} and links to no explanation"
