"""Terms of the glossary are explained where they first stand in running text, and only there."""

import re
import subprocess
import sys

import pytest
from playwright.sync_api import expect, sync_playwright

from book.tools import browser

TERMS = """term,chinese,meaning,page,everyday
attention,注意力,"A mean, ""weighted"".",page
self-attention,自注意力,Attention to itself.,page
ROC curve,曲线,What passes a threshold.,page
Parseval's theorem,定理,Energy is energy.,page
loss,损失,What training makes small.,page
key,键,What a query is compared with.,page,yes
average precision,平均精度,A mean.,page
mean average precision,均值,A mean of means.,page
"""
GLOSSARY = "Glossary\n===\n\nHere attention and a loss.\n\n.. glossary::\n\n" + "".join(
    f"   {row.split(',')[0]}\n      A meaning.\n\n" for row in TERMS.splitlines()[1:]
)
PAGE = """
Attention
=========

.. figure:: none.png

   A caption with a loss.

======  ====
A loss  here
======  ====

Read ``loss``, `a loss <https://example.org>`_, lossy and loss-free, then *Self-attention*, roc
curve and a key. Losses rise; **attention** and

- attention again, a loss, self-attention, the ROC
  curve, :term:`that key <key>`, Parseval's theorem, mean average precision twice:
  mean average precision.
"""
FOUND = ["Self-attention", "Losses", "attention", "ROC curve", "that key"]
FOUND += ["Parseval’s theorem", "mean average precision"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    source = tmp_path_factory.mktemp("site")
    (source / "appendix").mkdir()
    (source / "appendix/glossary.rst").write_text(f":orphan:\n\n{GLOSSARY}")
    (source / "page.rst").write_text(f":orphan:\n\n{PAGE}")
    (source / "glossary.csv").write_text(TERMS)
    (source / "none.png").touch()
    (source / "conf.py").write_text(
        "root_doc = 'page'; extensions = ['book.tools.extensions.terms']"
    )
    html = source / "html"
    subprocess.run([sys.executable, "-m", "sphinx", "-qW", source, html], check=True)
    return html


def marked(text):
    return [
        re.sub(r"\s+", " ", term)
        for term in re.findall(r'<a class="term"[^>]*>(.*?)</a>', text, re.DOTALL)
    ]


def test_the_first_occurrence_in_running_text_is_explained(site):
    page = (site / "page.html").read_text()
    assert marked(page) == FOUND
    link = re.search(r"<a ([^>]*)>attention</a>", page)[1]
    assert 'href="appendix/glossary.html#term-attention"' in link
    assert 'data-chinese="注意力"' in link
    assert 'data-meaning="A mean, &quot;weighted&quot;."' in link


def test_the_glossary_itself_is_left_alone_and_the_index_holds_no_meaning(site):
    assert marked((site / "appendix/glossary.html").read_text()) == []
    assert "threshold" not in (site / "searchindex.js").read_text()


@pytest.fixture(scope="module")
def chromium():
    if browser.chromium() is None:
        pytest.skip("no Chromium here")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=browser.chromium())


@pytest.fixture
def page(chromium, site):
    """The page in a browser, as narrow as a phone, that can be pointed at and tapped."""
    context = chromium.new_context(viewport={"width": 360, "height": 800}, has_touch=True)
    page = context.new_page()
    page.goto((site / "page.html").as_uri())
    yield page
    context.close()


def test_pointing_shows_the_meaning_and_escape_hides_it(page):
    tip = page.get_by_role("tooltip")
    expect(tip).to_be_hidden()
    page.locator("a.term").nth(2).hover()
    expect(tip).to_have_text('注意力 A mean, "weighted".')
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    page.locator("a.term").nth(1).hover()
    expect(tip).to_have_text("损失 What training makes small.")
    page.locator("h1").first.hover()
    expect(tip).to_be_hidden()


def test_the_keyboard_reaches_each_term_and_its_meaning_describes_it(page):
    page.locator("a.term").nth(1).focus()
    page.keyboard.press("Tab")
    expect(page.locator("a.term").nth(2)).to_be_focused()
    expect(page.locator("a.term").nth(2)).to_have_accessible_description(
        re.compile("注意力 A mean")
    )
    assert page.locator("[aria-describedby]").count() == 1
    box = page.get_by_role("tooltip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360


def test_the_first_tap_shows_the_meaning_and_the_second_follows_the_link(page):
    term, tip = page.locator("a.term").nth(3), page.get_by_role("tooltip")
    term.tap()
    expect(tip).to_have_text("曲线 What passes a threshold.")
    page.locator("h1").first.tap()
    expect(tip).to_be_hidden()
    assert page.url.endswith("/page.html")
    term.tap()
    term.tap()
    page.wait_for_url("**/appendix/glossary.html#term-ROC-curve")


def test_the_meaning_stays_on_a_page_that_grows_narrower(page):
    page.set_viewport_size({"width": 1280, "height": 800})
    page.add_style_tag(content="#term-tip { position: absolute } a.term { margin-left: 700px }")
    page.locator("a.term").nth(2).focus()
    expect(page.get_by_role("tooltip")).to_be_visible()
    page.add_style_tag(content="a.term { margin-left: 0 }")
    page.set_viewport_size({"width": 360, "height": 800})
    page.wait_for_function("document.documentElement.scrollWidth <= 360", timeout=10_000)
