"""What the unit tests made of the lowest and the newest versions: noted, shown, and not stale."""

import json
from importlib import metadata

import pytest

from book.tools import versions
from book.tools.layout import Book
from book.tools.pages.versions import NOTES, page, read

PROJECT = """[project]
dependencies = ["numpy>=1"]
optional-dependencies.test = ["pytest>=8.3", "numpy>=1"]
optional-dependencies.live = ["not-installed-here>=4"]
"""
TESTS = {
    "test_good.py": "def test_good():\n    pass\n",
    "test_bad.py": "def test_bad():\n    assert 1 == 2\n",
    "test_unreadable.py": "1 +\n",
    "test_left_out.py": "import pytest\n\n\n@pytest.mark.skip\ndef test_left_out():\n    pass\n",
}


@pytest.fixture
def book(tmp_path):
    """A project whose tests pass, fail, are skipped and cannot be read: one of each."""
    for name, text in {"pyproject.toml": PROJECT, **TESTS}.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "book").mkdir()
    return Book(tmp_path)


def test_a_run_is_noted_beside_the_other_and_fails_with_its_tests(book, capfd):
    (book.source / NOTES).write_text(json.dumps({"newest": {"kept": True}}))
    assert versions.main(["lowest", "--jobs", "0", "--root", str(book.root)]) != 0
    assert "1 failed, 1 passed, 1 skipped, 1 error" in capfd.readouterr().out
    notes = read(book)
    assert notes["newest"] == {"kept": True}
    assert notes["lowest"]["tests"] == {"passed": 1, "failed": 2, "skipped": 1}
    assert notes["lowest"]["packages"] == {n: metadata.version(n) for n in ("numpy", "pytest")}


def test_the_page_has_a_column_for_each_run():
    run = {"date": "2026-01-31", "python": "3.11.7", "tests": {"passed": 4000, "failed": 1}}
    lowest = run | {"packages": {"torch": "2.10.0", "numpy": "1.26.0"}}
    newest = run | {"packages": {"torch": "9.9.0", "pillow": "99.0"}}
    text = page({"newest": newest, "lowest": lowest})
    for row in (
        ("", "Lowest", "Newest"),
        ("Tests passed", "4,000", "4,000"),
        ("torch", "2.10.0", "9.9.0"),
        ("numpy", "1.26.0", ""),
        ("pillow", "", "99.0"),
    ):
        assert f"| {' | '.join(row)} |" in text.splitlines()
    assert "| torch | 9.9.0 |" in page({"newest": newest})


def test_the_whole_suite_passed_with_each_end_that_was_tried():
    notes = read(Book())
    assert "lowest" in notes
    for note in notes.values():
        assert note["tests"]["failed"] == 0
        assert note["tests"]["passed"] > 4000


def test_no_bound_has_been_raised_above_the_version_that_was_tried():
    tried = read(Book())["lowest"]["packages"]
    allowed = {name: each for name, each in versions.declared(Book()).items() if name in tried}
    assert len(allowed) > 30
    assert [name for name, each in allowed.items() if tried[name] not in each] == []
