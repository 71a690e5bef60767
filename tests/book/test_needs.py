"""Cells that need a set: left out where it is absent, counted, and never silently."""

import ast
import builtins

import nbformat
import pytest

from book.tools import execute, needs
from book.tools.layout import Book
from book.tools.sync import notebook
from mmtutor.data.fetch import SETS
from mmtutor.data.fetch.registry import Source
from tests.book.tiny import tiny_book, write_chapter

FIGURE = """:tags: [needs-tiny]

print(6 * 7)"""
CLAIM = """:tags: [claim, needs-tiny]

assert False, "this needs the set\""""
OTHER = "print('always')"


@pytest.fixture
def place(monkeypatch, tmp_path):
    """`place()` puts the set "tiny" into the cache."""
    monkeypatch.setitem(SETS, "tiny", Source("a text", licence="MIT", megabytes=1, packages=[]))
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path / "cache"))

    def place():
        (tmp_path / "cache/tiny/1").mkdir(parents=True)
        (tmp_path / "cache/tiny/set.json").write_text('{"folder": "1", "form": 1, "files": {}}')

    return place


def outputs(book):
    """The text of the outputs of the chapter's cells after the first."""
    page = execute.read_executed(book, book.chapters()[0])
    cells = [cell for cell in page.cells if cell.cell_type == "code"][1:]
    texts = [[o.get("text") or o.data["text/plain"] for o in cell.outputs] for cell in cells]
    return [[text.strip() for text in each] for each in texts]


@pytest.mark.usefixtures("place")
def test_a_cell_without_its_set_shows_a_sentence_and_is_counted(tmp_path, capfd):
    book = tiny_book(tmp_path / "book", FIGURE, CLAIM, OTHER)
    assert execute.main(["--root", str(book.root)]) == 0
    said = "Not run here: this cell needs `tiny` (`mmtutor fetch tiny`)."
    assert outputs(book) == [[said], [said], ["always"]]
    shown = capfd.readouterr().out
    assert "skipped in labs/tiny: 2 cells, 1 claims" in shown
    assert "mmtutor fetch --all" in shown
    assert execute.main(["--root", str(book.root), "--complete"]) == 1
    assert "0 to run" in capfd.readouterr().out


def test_with_its_set_it_runs_and_what_it_showed_is_kept(place, tmp_path, capfd):
    book = tiny_book(tmp_path / "book", FIGURE, OTHER)
    assert execute.main(["--root", str(book.root)]) == 0
    place()
    assert execute.main(["--root", str(book.root), "--complete"]) == 0
    assert "1 to run" in capfd.readouterr().out  # the set's coming made the chapter stale
    assert outputs(book) == [["42"], ["always"]]
    (tmp_path / "cache/tiny/set.json").unlink()
    for _ in range(2):
        assert execute.main(["--root", str(book.root)]) == 0
        earlier, sentence = outputs(book)[0]
        assert earlier == "42"
        assert sentence.endswith("What it shows is from an earlier run.")
        write_chapter(book, FIGURE, OTHER, "print('another cell')")
    write_chapter(book, FIGURE.replace("6", "8"))
    assert execute.main(["--root", str(book.root)]) == 0
    assert len(outputs(book)[0]) == 1  # another cell: nothing is shown in its place


def test_a_tag_for_no_set_is_an_error(tmp_path):
    cell = nbformat.v4.new_code_cell("1", metadata={"tags": ["needs-nothing"]})
    with pytest.raises(ValueError, match="unknown set 'nothing': expected one of stamps"):
        needs.absent([cell])


def names(source: str) -> tuple[set[str], set[str]]:
    """The names that a cell binds, and those that it reads without having bound them."""
    tree = ast.parse(source)
    bound, read = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
    return bound, read - set(dir(builtins))


@pytest.mark.parametrize("chapter", Book().chapters(), ids=Book().name)
def test_what_tagged_cells_make_only_tagged_cells_use(chapter):
    made: dict[str, set[str]] = {}  # name -> the needs of the cell that made it last
    for number, cell in enumerate(notebook(chapter).cells):
        if cell.cell_type != "code":
            continue
        tags = {tag for tag in cell.metadata.get("tags", []) if tag.startswith(needs.TAG)}
        source = "\n".join(line for line in cell.source.splitlines() if line[:1] not in "%!")
        bound, read = names(source)
        for name in (read - bound) | (read & made.keys() & bound if tags else set()):
            missing = made.get(name, set()) - tags
            assert not missing, f"cell {number} uses {name!r}, which needs {sorted(missing)}"
        made |= dict.fromkeys(bound, tags)
