"""The link checker finds each kind of broken link, and only those."""

import pytest

from book.tools.links import broken_links

GOOD = """<html><head><link rel="stylesheet" href="_static/a.css"></head><body>
<h1 id="top">One</h1><a href="#top">a</a><a href="part/two.html#deep">b</a><a href="part/">c</a>
<a href="https://example.org/x?y=1#z">d</a><a href="mailto:someone@example.org">e</a>
<img src="data:image/png;base64,AAAA"></body></html>"""


@pytest.fixture
def html(tmp_path):
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static/a.css").touch()
    (tmp_path / "part").mkdir()
    (tmp_path / "part/two.html").write_text('<p id="deep"><a href="../one.html#top">back</a></p>')
    (tmp_path / "part/index.html").write_text("<p>index</p>")
    (tmp_path / "one.html").write_text(GOOD)
    return tmp_path


def test_sound_links_pass(html):
    assert broken_links(html) == []


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        ('<a href="gone.html">x</a>', "no such file in the book"),
        ('<a href="../outside.html">x</a>', "no such file in the book"),
        ('<a href="part/two.html#nope">x</a>', "no element has the id 'nope' there"),
        ('<a href="#nope">x</a>', "no element has the id 'nope' there"),
        ('<a href="https://">x</a>', "not a well-formed address"),
        ('<a href="htp://example.org">x</a>', "not a well-formed address"),
        ('<img src="gone.png">', "no such file in the book"),
        ('<script src="https://cdn.example.org/x.js"></script>', "loaded from the network"),
        ('<link rel="stylesheet" href="//cdn.example.org/x.css">', "loaded from the network"),
    ],
)
def test_each_kind_of_fault_is_named_with_its_page(html, tag, complaint):
    (html.parent / "outside.html").touch()
    (html / "one.html").write_text(GOOD + tag)
    [problem] = broken_links(html)
    assert problem.startswith("one.html: ")
    assert problem.endswith(complaint)
