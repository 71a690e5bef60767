"""From executed copies to pages: the measured time, and a bad build that leaves the good book."""

import base64
from importlib.metadata import version

import pytest
from nbformat.v4 import new_code_cell, new_output
from PIL import Image

from book.tools import headlines, links, render
from book.tools.execute import RECORD, Timing, executed_copy, key, read_executed
from book.tools.layout import swap_folder, write_atomically
from book.tools.pages import build_page, cells, glossary, html
from book.tools.pages.facts import Facts, facts
from book.tools.sync import notebook, to_json
from tests.book.tiny import tiny_book

VERSIONS = {"python": "3.99", "torch": "9.9"}
TIMING = Timing("labs/tiny", 41.2, "2026-01-31", "Some CPU, 2 cores", VERSIONS)
FACTS = Facts("tiny", TIMING, ["stamps", "easy-vqa"], {"scipy": "1.9"}, 3, 1, True, ["retrieval"])


def executed(root, *cells):
    """A tiny book of these cells whose chapter counts as executed."""
    book = tiny_book(root, *cells)
    chapter = book.chapters()[0]
    copy = notebook(chapter)
    noted = {name: value for name, value in vars(TIMING).items() if name != "chapter"}
    copy.metadata[RECORD] = {"chapter": "labs/tiny", "key": key(book, chapter)} | noted
    write_atomically(executed_copy(book, chapter), to_json(copy))
    return book


@pytest.fixture
def book(tmp_path):
    return executed(tmp_path, "1 + 1")


def test_the_card_gets_time_data_and_versions_and_other_admonitions_do_not():
    card = ":::{admonition} At a glance\n:class: chapter-card\n\n- **Hardware**: any.\n:::\n"
    note = ":::{note}\nHello.\n:::\n"
    text = cells.with_facts(note + card + note, FACTS)
    lines = (
        "- **Run time**: 41 seconds on Some CPU, 2 cores, measured by this build.\n"
        "- **Data**: `stamps`, `easy-vqa`; 164 MB, downloaded once.\n"
        "- **Versions**: Python 3.99, scipy 1.9.\n"
    )
    assert text == note + card.replace("any.\n", f"any.\n{lines}") + note
    assert cells.with_facts(note, FACTS) == note
    assert "**Data**: nothing to download." in cells.with_facts(card, FACTS._replace(sets=[]))


IMPORTS = "import torch\nfrom mmtutor.notebook import setup\n\nsetup('labs/tiny', threads=1)"


@pytest.mark.parametrize(
    ("source", "tags", "what"),
    [
        ("assert 1", ["claim"], "check"),
        (IMPORTS, [], "imports"),
        (f"{IMPORTS}\nscenes = 1", [], None),
        ("1 + 1", [], None),
        ("%time", [], None),
        ("import torch", ["remove-cell"], None),
    ],
)
def test_checks_and_imports_are_folded_behind_words_of_their_own(source, tags, what):
    cell = new_code_cell(source, metadata={"tags": tags, "mystnb": {"figure": 1}})
    cells.fold(cell)
    assert cell.metadata["tags"] == ([*tags, "hide-input"] if what else tags)
    assert cell.metadata["mystnb"].get("code_prompt_show") == (what and f"Show the {what}")
    assert cell.metadata["mystnb"]["figure"] == 1


def test_a_page_says_its_run_time_once():
    said = new_output("stream", text="CPU, seed 0\nRun time when the book was built: 3 s.\n")
    cell = new_code_cell(IMPORTS, outputs=[said])
    cells.leave_out_time(cell)
    assert cell.outputs[0].text == "CPU, seed 0\n"


@pytest.mark.parametrize("kind", ["image/png", "audio/flac"])
def test_pictures_and_sounds_of_a_page_become_files_and_small_ones_stay(tmp_path, kind):
    page, content = tmp_path / "labs/a.html", bytes(range(256)) * 4
    small = f"data:{kind};base64,{base64.b64encode(b'tiny').decode()}"
    big = f"data:{kind};base64,{base64.b64encode(content).decode()}"
    text = html.lighten(f'<i src="{small}"><script>"<i src=\\"{big}\\">"</script>', page, tmp_path)
    (file,) = (tmp_path / "_inline").iterdir()
    assert file.suffix == f".{kind.partition('/')[2]}"
    assert file.read_bytes() == content
    assert text == f'<i src="{small}"><script>"<i src=\\"../_inline/{file.name}\\">"</script>'


def test_the_build_page_lists_every_chapter_stored_result_and_version():
    other = FACTS._replace(label="other", sets=["stamps"], skipped=0, headline=False)
    page = build_page.page([FACTS, other._replace(stored=[])])
    tiny = "| {ref}`tiny` | 2026‑01‑31 | 41 | 2, 1 skipped | fails untrained | 1 | 164 |"
    assert tiny in page
    assert "| {ref}`other` | 2026‑01‑31 | 41 | 3 | not tried yet |  | 161 |" in page
    assert "| all | | 82 | 5 | | 1 | 164 |" in page  # a set that two chapters need counts once
    assert "- `retrieval`, in {ref}`tiny`: seeds 0, 1, 2;" in page
    assert "| torch | 9.9 |" in page


def test_the_facts_of_a_chapter_are_found_in_its_cells(tmp_path):
    source = """:tags: [claim, headline, needs-stamps]

import scipy.stats as stats
from mmtutor.recipes.common.stored import load_stored
load_stored("retrieval")"""
    book = executed(tmp_path, source, "name = 'vqa-easy'", ":tags: [claim]\n\nassert 1")
    (chapter,) = book.chapters()
    page = read_executed(book, chapter)
    found = facts(book, chapter, page, TIMING)
    versions = {"scipy": version("scipy")}
    assert found == Facts("tiny", TIMING, ["stamps"], versions, 2, 0, False, ["retrieval"])
    write_atomically(*headlines.note(book, chapter, page))
    assert facts(book, chapter, page, TIMING).headline
    page.metadata[RECORD]["left_out"] = {"cells": 2, "claims": 1}
    assert facts(book, chapter, page, TIMING).skipped == 1


def test_the_glossary_page_names_each_term_twice_and_links_to_its_page(book):
    page = glossary.page(glossary.read(book.source))
    assert "attention\n注意力\n  A weighted mean. {ref}`tiny`" in page


def test_a_good_book_is_swapped_in_whole_and_survives_a_bad_build(book, capsys):
    root = ["--root", str(book.root)]
    assert render.main(root) == 0
    page = (book.html / "labs/tiny.html").read_text()
    colab = "colab.research.google.com/github/mmtutor/mmtutor/blob/main/book/labs/tiny.ipynb"
    assert "41 seconds on Some CPU" in page
    assert colab in page
    assert 'href="https://github.com/mmtutor/mmtutor/edit/main/book/labs/tiny.md"' in page
    assert "importlib" not in page  # the first cell is hidden
    terms = (book.html / "appendix/glossary.html").read_text()
    assert 'id="term-attention"' in terms
    assert "注意力" in terms
    assert 'edit/main/book/glossary.csv"' in terms
    assert links.broken_links(book.html) == []
    assert (book.html / "mathjax/tex-chtml.js").is_file()
    assert page.count("tex-chtml.js") == 1  # twice would be an error in the browser
    assert "fontawesome.js" not in page
    assert "_static/print.css" in page
    assert "unpkg.com" not in page  # no script from another host
    assert page.count("new ResizeObserver(mark)") == 1
    assert "doc-biblioentry" not in (book.html / "appendix/references.html").read_text()
    assert 'data-default-mode="auto"' in page

    good = {path: path.read_bytes() for path in book.html.rglob("*") if path.is_file()}
    (book.source / "intro.md").write_text("# Intro\n\nSee {ref}`nowhere`.\n")
    assert render.main(root) == 1
    error = capsys.readouterr().err
    assert "undefined label: 'nowhere'" in error
    assert "the last good book is still at" in error
    assert {path: path.read_bytes() for path in book.html.rglob("*") if path.is_file()} == good


def test_nothing_is_built_when_nothing_changed(book, monkeypatch):
    site = render.assemble(book)
    book.html.mkdir(parents=True)
    (book.html / render.KEY_FILE).write_text(render.site_key(site))
    monkeypatch.setattr(render, "build", lambda *_: pytest.fail("it was built again"))
    assert render.main(["--root", str(book.root)]) == 0


def test_a_stale_chapter_is_not_rendered(book, capsys):
    chapter = book.chapters()[0]
    chapter.write_text(chapter.read_text().replace("1 + 1", "1 + 2"))
    assert render.main(["--root", str(book.root)]) == 1
    assert "labs/tiny has not been executed since it changed" in capsys.readouterr().err


def test_swapping_replaces_the_whole_folder(tmp_path):
    for name in ("new", "current"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.txt").touch()
    swap_folder(tmp_path / "new", tmp_path / "current")
    assert [path.name for path in tmp_path.rglob("*")] == ["current", "new.txt"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(("width", "mark"), [(700, ""), (800, "data-wide ")])
def test_a_picture_says_how_large_it_is_and_whether_a_phone_must_scroll_it(tmp_path, width, mark):
    (tmp_path / "_images").mkdir()
    Image.new("L", (width, 300)).save(tmp_path / "_images/a b.png")
    told = html.sized('<img alt="A" src="_images/a%20b.png">', tmp_path / "page.html")
    assert told == f'<img width="{width}" height="300" {mark}alt="A" src="_images/a%20b.png">'
    assert html.sized(told, tmp_path / "page.html") == told
