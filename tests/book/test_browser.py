"""The browser test finds each fault that is planted in a small page, and none in a good one."""

import random
import string

import pytest

from book.tools import browser

pytestmark = pytest.mark.skipif(
    browser.chromium() is None, reason="no Chromium here; book/tools/chromium.sh installs it"
)
HEAD = """<!doctype html><html lang="en"><head><title>A page</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark }
  body { background: Canvas; color: CanvasText; overflow-wrap: anywhere }
  a { color: LinkText }
</style></head><body><main><h1>A page</h1>BODY</main></body></html>"""
CONTROL = """<div data-mark="a" oninput="if (LIVE) this.querySelector('[data-part]').innerHTML =
  this.querySelector('input[type=range]').value + this.querySelector('input:checked').value">
<label data-choice>Angle <input type="range" min="0" max="2" value="1"></label>
<fieldset data-choice><legend>Word</legend><label><input type="radio" name="a" value="a" checked>a
</label><label><input type="radio" name="a" value="b">b</label></fieldset>
<div data-part>1a</div></div>"""
SOLUTION = "<details><summary>Solution</summary><p>It is 42.</p></details>"
CODE = '<pre style="overflow-x: auto" {}>' + "wide " * 200 + "</pre>"
PICTURE = '<div style="width: 1500px; height: 2em">A drawing</div>'
DRAWING = (
    """<img alt="A drawing" style="{}" src="data:image/svg+xml,<svg width='99' height='99' """
    """xmlns='http://www.w3.org/2000/svg'><path d='M0 50H99' stroke='black'/></svg>">"""
)
RESULTS = '<div id="search-results"></div>'
SEARCH = (
    RESULTS + "<script>if (location.search.endsWith('attention')) document.getElementById"
    "('search-results').innerHTML = '<ul class=search><li><a href=good.html>attention</a></ul>'"
    "</script>"
)
GOOD = (
    CONTROL.replace("LIVE", "true")
    + SOLUTION
    + CODE.format('tabindex="0"')
    + DRAWING.format("background: white")
    + '<a href="good.html">A link</a> <button>A button</button>'
)
# Name of a fault -> HTML that has it, and words of the sentence that must say so.
PLANTED = {
    "error": ("<script>console.error('it broke')</script>", "console error: it broke"),
    "exception": ("<script>nothing.here</script>", "console error: nothing is not defined"),
    "missing": ('<img src="no.png" alt="none">', "request failed (404)"),
    "foreign": ('<script src="https://example.org/a.js"></script>', "another host: https://exa"),
    "pale": ('<p style="color: #aaa; background: #fff">Pale.</p>', "1280 px, light: color-contr"),
    "dark": (
        "<style>@media (prefers-color-scheme: dark) { i { color: #333 } }</style><i>Dim.</i>",
        "360 px, dark: color-contrast",
    ),
    "ink": (DRAWING.format(""), "1280 px, dark: dark on dark: A drawing"),
    "nameless": ("<button></button>", "button-name"),
    "wide": (
        '<p style="width: 380px">Wide.</p>',
        '360 px, light: the page scrolls sideways, by 28 px: p "Wi',
    ),
    "box": (
        '<div tabindex="0" style="overflow: auto">' + PICTURE + "</div>",
        "scrolls sideways: div",
    ),
    "scroller": (CODE.format(""), "scrolls, but keys cannot reach it: pre"),
    "dead": (CONTROL.replace("LIVE", "false"), 'changes nothing: label "Angle'),
    "idle": ("", 'changes nothing: fieldset "Word'),
    "folded": (SOLUTION.replace("<sum", '<summary onclick="return false"'), "does not unfold"),
    "mouse": ('<span style="cursor: pointer">Press me</span>', 'Tab does not reach span "Press'),
    "skipped": ('<a href="good.html" tabindex="-1">Skipped</a>', 'Tab does not reach a "Skipped"'),
    "slow": ("<script>for (let i = 0; i < 5e9; i++);</script>", " s of work, at most 2"),
    "heavy": ("<p hidden>HEAVY</p>", "HTML, scripts and styles 1"),
}


@pytest.fixture(scope="module")
def reports(tmp_path_factory):
    """What is said of a good page, of one with every planted fault, and of a page for search."""
    html = tmp_path_factory.mktemp("html")
    bad = "".join(body for body, _ in PLANTED.values())
    heavy = "".join(random.Random(0).choices(string.ascii_letters, k=1_500_000))
    bodies = {"good": GOOD, "bad": bad.replace("HEAVY", heavy), "search": SEARCH}
    for name, body in bodies.items():
        (html / f"{name}.html").write_text(HEAD.replace("BODY", body))
    return {report.page: report for report in browser.look(html, browser.pages(html))}


def test_a_good_page_has_no_fault(reports):
    assert reports["good.html"].faults == []
    assert 0 < reports["good.html"].kilobytes < 1
    assert 0 < reports["good.html"].seconds < 2


def test_search_finds_one_word_and_not_the_other(reports):
    assert reports["search.html"].faults == ["search finds nothing for '注意力'"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(reports, name):
    faults = reports["bad.html"].faults
    assert any(PLANTED[name][1] in fault for fault in faults), faults


def test_no_page_to_look_at(tmp_path, capsys):
    assert browser.main(["--root", str(tmp_path)]) == 1
    assert "`make book` renders the book" in capsys.readouterr().err
