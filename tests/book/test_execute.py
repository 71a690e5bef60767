"""What makes a chapter stale, what a failing cell says, and that a good copy outlives a bad run."""

import json
from importlib import metadata

import nbmake.nb_run
import pytest

from book.tools import execute
from book.tools.layout import Book
from mmtutor.machine import cores
from tests.book.tiny import tiny_book, write_chapter


@pytest.fixture
def book(tmp_path):
    return tiny_book(tmp_path, "print(6 * 7)")


def key(book):
    return execute.key(book, book.chapters()[0])


def test_the_key_follows_code_package_versions_and_preset(book, monkeypatch):
    keys = [key(book)]
    write_chapter(book, "import numpy, mmtutor.model")
    keys.append(key(book))
    (book.root / "mmtutor").mkdir()
    (book.root / "mmtutor/model.py").write_text("x = 1\n")
    keys.append(key(book))
    (book.root / "mmtutor/model.py").write_text("x = 2\n")
    keys.append(key(book))
    monkeypatch.setattr(metadata, "version", lambda name: f"0.1 of {name}")
    keys.append(key(book))
    monkeypatch.setenv("MMTUTOR_PRESET", "t4")
    keys.append(key(book))
    write_chapter(book, ":tags: [raises-exception]\n\nimport numpy, mmtutor.model")
    keys.append(key(book))
    assert len(set(keys)) == len(keys)


def test_touching_a_module_that_is_loaded_by_name_makes_the_chapter_stale(book):
    sources = {
        "data/__init__.py": 'TABLE = {"stamps": "mmtutor.data.stamps",\n'
        '    "faces": "mmtutor.data.faces"}\n'
        "def load(name):\n    return import_module(TABLE[name])\n",
        "data/stamps.py": "def load():\n    from mmtutor.pictures import decode\n",
        "data/faces.py": "",
        "pictures.py": "",
    }
    for name, text in sources.items():
        path = book.root / "mmtutor" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    write_chapter(book, 'from mmtutor.data import load\nload("stamps")')
    keys = [key(book)]
    for name in ("data/faces.py", "data/stamps.py", "pictures.py", "data/__init__.py"):
        (book.root / "mmtutor" / name).write_text(sources[name] + "# touched\n")
        keys.append(key(book))
    assert keys[0] == keys[1]
    assert len({*keys[1:4]}) == 3
    assert keys[3] == keys[4]  # no statement that is used has changed


@pytest.mark.parametrize(
    ("chapter", "reached", "not_reached"),
    [
        ("2-encoders/audio", ["encoders/audio.py", "data/real/sounds.py"], ["evaluation/vqa/"]),
        (
            "5-labs/retrieval",
            ["evaluation/retrieval/", "data/real/stamps.py"],
            ["data/hub/vqav2.py"],
        ),
        ("5-labs/visual-question-answering", ["evaluation/vqa/", "data/real/easy_vqa.py"], []),
        (
            "6-evaluation/metrics",
            ["data/real/fashion_mnist.py"],
            ["evaluation/vqa/", "data/real/stamps.py"],
        ),
        (
            "6-evaluation/standards",
            ["recipes/stored/scorecard-cpu.json"],
            ["recipes/stored/vqa-easy.json"],
        ),
    ],
)
def test_a_chapter_reaches_what_it_uses_and_not_all_of_the_package(chapter, reached, not_reached):
    book = Book()
    paths = execute.key_inputs(book, book.source / f"{chapter}.md")["package"]
    assert [part for part in reached if not any(f"mmtutor/{part}" in path for path in paths)] == []
    assert [part for part in not_reached if any(f"mmtutor/{part}" in path for path in paths)] == []


def test_the_key_does_not_follow_prose_looks_stored_timings_or_unreached_modules(book):
    setup = book.root / "mmtutor/notebook/setup.py"
    setup.parent.mkdir(parents=True)
    setup.write_text(f'TIMINGS = "{execute.TIMINGS.name}"\n')
    (book.root / execute.TIMINGS).write_text("{}")
    write_chapter(book, "import mmtutor.notebook.setup")
    before = key(book)
    looks = ":tags: [hide-input]\n\nimport mmtutor.notebook.setup"
    write_chapter(book, looks, prose="New words.")
    (book.root / execute.TIMINGS).write_text('{"labs/tiny": {}}')
    setup.with_name("other.py").write_text("print(6 * 7)")
    assert key(book) == before


def test_a_chapter_runs_once_and_a_failing_cell_harms_nothing(book, capfd):
    chapter = book.chapters()[0]
    assert execute.main(["--root", str(book.root)]) == 0
    shown = capfd.readouterr().out
    assert "labs/tiny  cell" in shown
    assert "1 to run" in shown

    copy = execute.executed_copy(book, chapter)
    kept = copy.read_bytes()
    page = execute.read_executed(book, chapter)
    assert page.cells[-1].outputs[0].text == "42\n"
    noted = json.loads((book.build / "timings.json").read_text())["labs/tiny"]
    assert noted["seconds"] > 0
    assert noted["versions"]["python"]

    assert execute.main(["--root", str(book.root)]) == 0
    assert "0 to run" in capfd.readouterr().out

    write_chapter(book, "import warnings\nwarnings.warn('old habits')")
    assert execute.main(["--root", str(book.root)]) != 0
    shown = capfd.readouterr().out
    assert "FAILED  book/labs/tiny.md wrote to stderr\ncell 4: " in shown
    assert "UserWarning: old habits" in shown
    assert copy.read_bytes() == kept

    write_chapter(book, "print(6 * 7)", "numbers = [1, 2]\nnumbers[7]")
    assert execute.main(["--root", str(book.root)]) != 0
    shown = capfd.readouterr().out
    assert "FAILED  book/labs/tiny.md, cell 5 of 5" in shown
    assert "numbers[7]" in shown
    assert "IndexError" in shown
    assert copy.read_bytes() == kept
    with pytest.raises(FileNotFoundError, match="labs/tiny has not been executed since"):
        execute.read_executed(book, chapter)


def test_two_chapters_share_the_cores_and_a_failing_one_does_not_stop_the_other(book, capfd):
    chapter = write_chapter(book, "import os\nprint(os.environ['OMP_NUM_THREADS'])")
    other = chapter.with_name("other.md")
    other.write_text(chapter.read_text().replace("print(", "raise SystemError("))
    assert execute.execute(book, jobs=2) != 0
    assert "FAILED  book/labs/other.md, cell 4 of 4" in capfd.readouterr().out
    page = execute.read_executed(book, chapter)
    assert page.cells[-1].outputs[0].text == f"{max(1, cores() // 2)}\n"
    assert not execute.executed_copy(book, other).exists()


def test_the_slowest_chapters_come_first_and_new_ones_before_them(book):
    chapter = book.chapters()[0]
    short, long = chapter.with_name("short.md"), chapter.with_name("long.md")
    (book.root / execute.TIMINGS).parent.mkdir(parents=True)
    kept = {"labs/short": {"seconds": 3}, "labs/long": {"seconds": 30}}
    (book.root / execute.TIMINGS).write_text(json.dumps(kept))
    assert execute.slowest_first(book, [short, long, chapter]) == [chapter, long, short]


def test_the_copy_of_a_removed_chapter_goes(book):
    lost = book.executed / "labs/lost.ipynb"
    lost.parent.mkdir(parents=True)
    lost.write_text("{}")
    execute.forget_removed(book)
    assert not lost.exists()


def test_an_error_without_words_is_reported_all_the_same(capsys, monkeypatch):
    monkeypatch.setattr(nbmake.nb_run, "NotebookClient", nbmake.nb_run.NotebookClient)
    from book.tools import runner

    monkeypatch.setattr(runner.Client, "at", ("labs/tiny", 2, 5, "wait()"))
    call = pytest.CallInfo.from_call(lambda: next(iter([])), "call")
    runner.pytest_exception_interact(None, call)
    assert "book/labs/tiny.md, cell 2: StopIteration" in capsys.readouterr().out
