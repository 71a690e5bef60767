"""From executed copies to pages: the measured time, and a bad build that leaves the good book."""

import base64

import pytest
from nbformat.v4 import new_code_cell

from book.tools import links, render
from book.tools.execute import RECORD, Timing, executed_copy, key
from book.tools.layout import swap_folder, write_atomically
from book.tools.pages import build_page, cells, glossary, html
from book.tools.sync import notebook, to_json
from tests.book.tiny import tiny_book

TIMING = Timing("labs/tiny", 41.2, "2026-01-31", "Some CPU, 2 cores", {"torch": "9.9"})


@pytest.fixture
def book(tmp_path):
    """A tiny book whose chapter counts as executed."""
    book = tiny_book(tmp_path, "1 + 1")
    chapter = book.chapters()[0]
    copy = notebook(chapter)
    noted = {name: value for name, value in vars(TIMING).items() if name != "chapter"}
    copy.metadata[RECORD] = {"chapter": "labs/tiny", "key": key(book, chapter)} | noted
    write_atomically(executed_copy(book, chapter), to_json(copy))
    return book


def test_the_card_gets_the_measured_time_and_other_admonitions_do_not():
    card = ":::{admonition} At a glance\n:class: chapter-card\n\n- **Hardware**: any.\n:::\n"
    note = ":::{note}\nHello.\n:::\n"
    text = cells.with_run_time(note + card + note, TIMING)
    line = "- **Run time**: 41 seconds on Some CPU, 2 cores, measured by this build."
    assert text == note + card.replace("any.\n", f"any.\n{line}\n") + note
    assert cells.with_run_time(note, TIMING) == note


def test_a_claim_is_folded_behind_words_of_its_own():
    claim = new_code_cell("assert 1", metadata={"tags": ["claim"], "mystnb": {"figure": 1}})
    other = new_code_cell("1 + 1")
    for cell in (claim, other):
        cells.fold_claim(cell)
    assert claim.metadata["tags"] == ["claim", "hide-input"]
    assert claim.metadata["mystnb"]["code_prompt_show"] == "Show the check"
    assert claim.metadata["mystnb"]["figure"] == 1
    assert other.metadata == {}


def test_images_of_a_page_become_files_and_small_ones_stay(tmp_path):
    (tmp_path / "labs").mkdir()
    page, content = tmp_path / "labs/a.html", bytes(range(256)) * 4
    small = f"data:image/png;base64,{base64.b64encode(b'tiny').decode()}"
    big = f"data:image/png;base64,{base64.b64encode(content).decode()}"
    page.write_text(f'<img src="{small}"><script>"<img src=\\"{big}\\">"</script>')
    html.lighten(page, tmp_path)
    (file,) = (tmp_path / "_images").iterdir()
    assert file.read_bytes() == content
    assert page.read_text() == (
        f'<img src="{small}"><script>"<img src=\\"../_images/{file.name}\\">"</script>'
    )


def test_the_build_page_lists_every_chapter_and_version():
    page = build_page.page([TIMING])
    assert "| `labs/tiny` | 41.2 | 2026-01-31 | Some CPU, 2 cores |" in page
    assert "| torch | 9.9 |" in page


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
    assert "importlib" not in page  # the first cell is hidden
    terms = (book.html / "appendix/glossary.html").read_text()
    assert 'id="term-attention"' in terms
    assert "注意力" in terms
    assert links.broken_links(book.html) == []
    assert (book.html / "mathjax/tex-chtml.js").is_file()
    assert page.count("tex-chtml.js") == 1  # twice would be an error in the browser
    assert "fontawesome.js" not in page
    assert "unpkg.com" not in page  # no script from another host
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
