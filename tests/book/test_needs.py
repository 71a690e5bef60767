"""Cells that need a set: left out where it is absent, counted, and never silently."""

import ast

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

import math

%time
assert False, "this needs the set\""""
OTHER = "print('always', math.floor(1.5))"


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
    assert outputs(book) == [[said], [said], ["always 1"]]
    shown = capfd.readouterr().out
    assert "skipped in labs/tiny: 2 cells, 1 claims" in shown
    assert "mmtutor fetch --all" in shown
    assert execute.main(["--root", str(book.root), "--complete"]) == 1
    assert "0 to run" in capfd.readouterr().out


def test_with_its_set_it_runs_and_what_it_showed_is_kept(place, tmp_path, capfd):
    book = tiny_book(tmp_path / "book", FIGURE, "import math\n" + OTHER)
    assert execute.main(["--root", str(book.root)]) == 0
    place()
    assert execute.main(["--root", str(book.root), "--complete"]) == 0
    assert "1 to run" in capfd.readouterr().out  # the set's coming made the chapter stale
    assert outputs(book) == [["42"], ["always 1"]]
    (tmp_path / "cache/tiny/set.json").unlink()
    for _ in range(2):
        assert execute.main(["--root", str(book.root)]) == 0
        earlier, sentence = outputs(book)[0]
        assert earlier == "42"
        assert sentence.endswith("What it shows is from an earlier run.")
        write_chapter(book, FIGURE, "import math\n" + OTHER, "print('another cell')")
    write_chapter(book, FIGURE.replace("6", "8"))
    assert execute.main(["--root", str(book.root)]) == 0
    assert len(outputs(book)[0]) == 1  # another cell: nothing is shown in its place


def test_a_tag_for_no_set_is_an_error(tmp_path):
    cell = nbformat.v4.new_code_cell("1", metadata={"tags": ["needs-nothing"]})
    with pytest.raises(ValueError, match=r"name must be 'stamps', .*, got 'nothing'"):
        needs.absent([cell])


class Names(ast.NodeVisitor):
    """Of the code of a cell: the names that it makes, those that it imports, and those that it
    reads before it has made them. Names within functions and comprehensions are their own."""

    def __init__(self, source: str) -> None:
        self.made, self.imported, self.read, self.own = set(), set(), set(), []
        lines = [line for line in source.splitlines() if line[:1] not in "%!"]
        self.visit(ast.parse("\n".join(lines)))

    def visit_Name(self, node):
        if not any(node.id in names for names in self.own):
            if isinstance(node.ctx, ast.Load):
                self.read |= {node.id} - self.made - self.imported
            else:
                self.made.add(node.id)

    def visit_alias(self, node):
        self.imported.add((node.asname or node.name).partition(".")[0])

    def visit_AugAssign(self, node):
        self.inside(set(), ast.Name(getattr(node.target, "id", "_"), ast.Load()), node.value)
        self.visit(node.target)

    def visit_Assign(self, node):
        self.inside(set(), node.value, *node.targets)

    def visit_For(self, node):
        self.inside(set(), node.iter, node.target, *node.body, *node.orelse)

    def visit_comprehension_like(self, node):
        stored = {name for part in node.generators for name in stores(part.target)}
        self.inside(stored, *ast.iter_child_nodes(node))

    visit_ListComp = visit_SetComp = visit_DictComp = visit_comprehension_like  # noqa: N815
    visit_GeneratorExp = visit_comprehension_like  # noqa: N815

    def visit_Lambda(self, node):
        self.inside({arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}, node.body)

    def visit_FunctionDef(self, node):
        self.made.add(node.name)
        arguments = {arg.arg for arg in ast.walk(node) if isinstance(arg, ast.arg)}
        self.inside(arguments | stores(node), *ast.iter_child_nodes(node))

    def visit_ClassDef(self, node):
        self.made.add(node.name)
        self.inside(stores(node), *ast.iter_child_nodes(node))

    def inside(self, own, *nodes):
        self.own.append(own)
        for node in nodes:
            self.visit(node)
        self.own.pop()


def stores(node) -> set[str]:
    names = (part for part in ast.walk(node) if isinstance(part, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def test_names_of_a_cell():
    names = Names(
        "import a.b\nx = [f(y) for y in x]\nfor i in z:\n    i\ndef g(v): return v + w + x"
    )
    assert names.imported == {"a"}
    assert names.made == {"x", "i", "g"}
    assert names.read == {"f", "x", "z", "w"}
    assert Names("n += 1\n(lambda q: q + r)(n)").read == {"n", "r"}


@pytest.mark.parametrize("chapter", Book().chapters(), ids=Book().name)
def test_what_tagged_cells_make_only_tagged_cells_use(chapter):
    """A name that a cell reads was made last by a cell that needs no more than it."""
    last: dict[str, set[str]] = {}
    for number, cell in enumerate(notebook(chapter).cells):
        if cell.cell_type == "code":
            tags = {tag for tag in cell.metadata.get("tags", []) if tag.startswith(needs.TAG)}
            names = Names(cell.source)
            for name in names.read & last.keys():
                missing = ", ".join(last[name] - tags)
                assert not missing, f"cell {number} uses {name!r}, so it needs the tag {missing}"
            last |= dict.fromkeys(names.made, tags) | {name: set() for name in names.imported}
