"""The house's own rules: small files, no circles, each metric once."""

from collections import defaultdict
from pathlib import Path

import grimp
import networkx
import pytest

from book.tools import size
from book.tools.layout import Book

# Names in `mmtutor.evaluation` that mean two things: ranks of items, and of models by their cards.
TWICE = {"ranks"}


def test_files_functions_and_the_package_keep_their_sizes(capsys):
    assert size.main() == 0, capsys.readouterr().err


def test_no_modules_import_each_other_even_for_types():
    graph = grimp.build_graph("mmtutor", cache_dir=None)
    imports = [(a, b) for a in graph.modules for b in graph.find_modules_directly_imported_by(a)]
    groups = networkx.strongly_connected_components(networkx.DiGraph(imports))
    assert [group for group in groups if len(group) > 1] == []


def test_each_metric_has_one_definition():
    places = defaultdict(list)
    for module in size.modules(Book.root, ["mmtutor/evaluation"]):
        for node in module.public:
            places[node.name].append(module.path.as_posix())
    twice = {name: paths for name, paths in places.items() if len(paths) > 1}
    assert not twice.keys() - TWICE, twice


SOURCE = '''"""Two lines
of words."""
# And a comment.
import os


def shown(x):
    """What it does."""
    text = """two
    lines"""
    return x, text


class Thing:
    x: int = 0

    def method(self): ...

    def _hidden(self): ...


def _hidden(): ...
'''


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(size, "DOCUMENTED", {})
    (tmp_path / "mmtutor/part").mkdir(parents=True)
    (tmp_path / "mmtutor/__init__.py").touch()
    (tmp_path / "mmtutor/part/__init__.py").touch()
    (tmp_path / "mmtutor/part/thing.py").write_text(SOURCE)
    return tmp_path


def test_what_is_counted(root):
    whole, part = size.sizes(root)
    # import, def, text (2), return, class, x, two methods, _hidden
    assert (part.modules, part.lines, part.checks, part.names) == (2, 10, 0, 2)
    assert part.documented == pytest.approx(100 / 3)  # shown, but not Thing and Thing.method
    assert (whole.part, whole.modules, whole.lines) == ("mmtutor", 3, 10)
    assert "mmtutor/part" in size.table([whole, part])


def test_checks_are_counted_apart():
    source = """
from mmtutor import checks
from mmtutor.checks import (
    as_mask,
    finite,
)

def f(x, mask):
    finite(x=x)
    mask = as_mask(mask=mask)
    checks.shaped(
        x=(x, "N"),
    )
    _check(x)
    return finite, x

def _check(x):
    # no code
    assert x
"""
    found = size.Module(Path("mmtutor/part/thing.py"), source)
    assert (found.code_lines, found.check_lines) == (15, 11)
    whole = size.Module(Path("mmtutor/checks.py"), source)
    assert whole.check_lines == whole.code_lines


@pytest.mark.parametrize(
    ("bound", "sentence"),
    [
        ("modules in a folder", "mmtutor/part: 1 modules in a folder, at most 0"),
        ("lines of a module", "mmtutor/part/thing.py: 22 lines of a module, at most 0"),
        ("lines of a function", "mmtutor/part/thing.py:7 shown: 5 lines of a function, at most 0"),
        ("lines of code", "mmtutor: 10 lines of code, at most 0"),
        ("public names", "mmtutor: 2 public names, at most 0"),
    ],
)
def test_each_bound_is_held(root, monkeypatch, bound, sentence):
    assert list(size.problems(root, chapters=17)) == []
    monkeypatch.setattr(size, "BOUNDS", size.BOUNDS | {bound: 0})
    assert sentence in list(size.problems(root, chapters=17))


def test_a_chapter_more_may_bring_lines_and_names_and_words_may_not_fall(root, monkeypatch):
    monkeypatch.setattr(size, "BOUNDS", size.BOUNDS | {"lines of code": 0, "public names": 0})
    monkeypatch.setattr(size, "DOCUMENTED", {"mmtutor/part": 34})
    assert list(size.problems(root, chapters=18)) == [
        "mmtutor/part: 33.3 % documented, at least 34 %: not Thing, Thing.method"
    ]


def test_a_folder_within_a_folder_does_not_part_its_modules(root, monkeypatch):
    (root / "mmtutor/part/thing").mkdir()  # its path stands between those of the two modules
    (root / "mmtutor/part/thing/other.py").touch()
    (root / "mmtutor/part/a.py").touch()
    (root / "mmtutor/part/z.py").touch()
    monkeypatch.setattr(size, "BOUNDS", size.BOUNDS | {"modules in a folder": 2})
    sentence = "mmtutor/part: 3 modules in a folder, at most 2"
    assert list(size.problems(root, chapters=17)) == [sentence]
