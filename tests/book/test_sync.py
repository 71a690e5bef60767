"""Text notebook -> `.ipynb`: the same bytes every time, and drift is named."""

import json

import pytest

from book.tools import sync
from tests.book.tiny import tiny_book, write_chapter


@pytest.fixture
def book(tmp_path):
    return tiny_book(tmp_path, "1 + 1", "1 + 1")


def run(book, *options):
    return sync.main([*options, "--root", str(book.root)])


def test_the_same_bytes_twice_without_outputs(book):
    target = book.source / "labs/tiny.ipynb"
    assert run(book) == 0
    first = target.read_bytes()
    target.unlink()
    assert run(book) == 0
    assert target.read_bytes() == first
    code = [cell for cell in json.loads(first)["cells"] if cell["cell_type"] == "code"]
    assert [cell["source"] for cell in code[1:]] == [["1 + 1"], ["1 + 1"]]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_equal_cells_get_different_ids_and_an_inserted_cell_changes_no_other(book):
    chapter = book.source / "labs/tiny.md"
    before = [cell.id for cell in sync.notebook(chapter).cells]
    write_chapter(book, "1 + 1", "1 + 1", "2 + 2")
    after = [cell.id for cell in sync.notebook(chapter).cells]
    assert len(set(before)) == len(before)
    assert after[:-1] == before


def test_check_writes_nothing_and_names_what_drifted(book, capsys):
    run(book)
    target = book.source / "labs/tiny.ipynb"
    written = target.read_bytes()
    assert run(book, "--check") == 0
    write_chapter(book, "1 + 2")
    assert run(book, "--check") == 1
    assert "labs/tiny.ipynb: differs from its .md" in capsys.readouterr().err
    assert target.read_bytes() == written


def test_a_different_first_cell_is_named_and_renewed(book, capsys):
    chapter = book.source / "labs/tiny.md"
    install = sync.first_cell([])
    chapter.write_text(chapter.read_text().replace(install, "# FIRST CELL"))
    assert run(book, "--check") == 1
    assert "labs/tiny.md: its first code cell is not that" in capsys.readouterr().err
    assert run(book) == 0
    code = [cell for cell in sync.notebook(chapter).cells if cell.cell_type == "code"]
    assert code[0].source == install
    assert code[0].metadata["tags"] == ["remove-cell"]
    assert code[1].source == "1 + 1"


def test_the_first_cell_fetches_what_the_tags_of_the_page_name_and_nothing_else(book):
    chapter = write_chapter(book, ":tags: [needs-stamps]\n\n1", ":tags: [needs-emoji]\n\n1", "1")
    assert run(book) == 0
    fetching = next(cell for cell in sync.notebook(chapter).cells if cell.cell_type == "code")
    assert 'sets = ["emoji", "stamps"]\n' in fetching.source
    write_chapter(book, "1")
    assert run(book) == 0
    assert "fetch" not in chapter.read_text()


def test_a_notebook_without_a_source_is_named(book, capsys):
    (book.source / "labs/lost.ipynb").write_text("{}")
    assert run(book) == 1
    assert "labs/lost.ipynb: no text notebook" in capsys.readouterr().err


def test_a_plain_page_is_not_converted(book):
    run(book)
    assert not (book.source / "intro.ipynb").exists()
