"""Every chapter keeps the form that CONTRIBUTING.md describes."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from book.tools import sync
from book.tools.layout import Book, front_matter
from book.tools.pages import alts
from book.tools.pages.cells import only_imports
from book.tools.pages.heads import FOLDER, TITLE

BOOK = Book()
CHAPTERS = BOOK.chapters()
SECTIONS = ("Summary", "Pitfalls", "Exercises", "Further reading")
CARD_LINES = ("**You will be able to", "**Prerequisites", "**Hardware")
EXERCISES = 6
LEVELS = ("Warm-up", "Build", "Open question")
BOXES = 2  # that interrupt a chapter with an error of the articles
CELL_LINES = 20
CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
BIB_KEY = re.compile(r"^@\w+\{([^,\s]+),", re.MULTILINE)
START = r"^:::+\s*\{{{}-start\}}(.*)$"


@pytest.fixture(params=CHAPTERS, ids=BOOK.name)
def chapter(request) -> Path:
    return request.param


@pytest.fixture
def cells(chapter):
    return sync.notebook(chapter).cells


@pytest.fixture
def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


@pytest.fixture
def text(chapter) -> str:
    return chapter.read_text(encoding="utf-8")


def test_there_are_chapters_and_the_toc_lists_them():
    toc = (BOOK.source / "_toc.yml").read_text()
    listed = set(re.findall(r"^\s*- file: (\S+)$", toc, re.MULTILINE))
    assert CHAPTERS
    assert {BOOK.name(chapter) for chapter in CHAPTERS} <= listed


def test_the_notebooks_are_in_step_with_their_text():
    assert sync.first_cell_problems(BOOK) == []
    assert sync.stray_notebooks(BOOK) == []
    assert sync.sync(BOOK, write=False) == []


def test_the_committed_notebook_has_no_outputs(chapter):
    notebook = json.loads(chapter.with_suffix(".ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)


def test_front_matter_names_the_text_format(chapter):
    head = front_matter(chapter)
    assert head["jupytext"]["text_representation"]["format_name"] == "myst"
    assert head["kernelspec"]["name"] == "python3"


def test_it_begins_with_a_label_and_one_title(cells):
    first = cells[0]
    assert first.cell_type == "markdown"
    assert re.match(r"\([a-z0-9-]+\)=\n# \S", first.source)


def test_a_promise_stands_under_the_title(cells):
    """One sentence that fits on a card, without a number that we measured."""
    promise = " ".join(cells[0].source.split("\n\n", 1)[1].split())
    assert re.fullmatch(r"[A-Z][^.!?\d]{40,140}\.", promise)


def test_its_title_picture_is_one_cell_that_says_what_is_seen(chapter, code):
    shown = [alts.in_words(cell) for cell in code if TITLE in cell.metadata.get("tags", [])]
    assert len(shown) == 1 or (not shown and chapter.parent.name == "appendix")
    assert all(len(words) > 20 for words in shown)


def test_the_landing_page_has_the_cards_of_its_part(chapter):
    page = (BOOK.source / "intro.md").read_text(encoding="utf-8")
    assert f"```{{include}} {FOLDER}/{chapter.parent.name}.md\n```" in page


def test_the_second_code_cell_sets_up_this_chapter(chapter, code):
    assert "from mmtutor.notebook import" in code[1].source
    assert f'setup("{BOOK.name(chapter)}"' in code[1].source


def test_only_the_cell_that_sets_up_is_folded_as_imports(code):
    assert [cell for cell in code[1:] if only_imports(cell.source)] == [code[1]]


def test_the_card_says_goal_needs_and_hardware_but_no_time(text):
    cards = re.findall(
        r"^:::+\{admonition\} At a glance\n:class: chapter-card\n(.*?)^:::", text, re.M | re.S
    )
    assert len(cards) == 1
    assert all(line in cards[0] for line in CARD_LINES)
    assert "Run time" not in cards[0]


def test_it_has_the_closing_sections_in_order(text):
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading in SECTIONS] == list(SECTIONS)
    assert headings[-1] == SECTIONS[-1]


def test_every_exercise_has_a_folded_solution(text):
    labels = re.findall(r"^:::+\s*\{exercise-start\}.*\n:label: (\S+)$", text, re.MULTILINE)
    solutions = re.findall(
        r"^:::+\s*\{solution-start\} (\S+)\n:class: dropdown$", text, re.MULTILINE
    )
    assert len(labels) >= EXERCISES
    assert len(set(labels)) == len(labels)
    assert sorted(solutions) == sorted(labels)
    for kind in ("exercise", "solution"):
        ends = text.count(f"{{{kind}-end}}")
        assert ends == len(labels) == len(re.findall(START.format(kind), text, re.MULTILINE))


def test_exercises_are_on_three_levels_and_name_the_skill(text):
    begun = re.findall(r"^\*\*(.+?)\.\*\* \*Trains: [^*]+\*", text, re.MULTILINE)
    assert set(begun) == set(LEVELS)
    assert len(begun) == len(re.findall(START.format("exercise"), text, re.MULTILINE))


def test_the_summary_is_of_five_to_eight_points_or_sentences(text):
    summary = re.search(r"^## Summary\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)[1]
    points = re.findall(r"^- ", summary, re.MULTILINE)
    sentences = re.findall(r"[.?!](?=\s|$)", summary)
    assert 5 <= len(points or sentences) <= 8


def test_few_boxes_interrupt_a_chapter(text):
    assert len(re.findall(r"^:class: erratum$", text, re.MULTILINE)) <= BOXES


def test_no_control_character_slipped_in(text):
    r"""A `\t` of an unescaped `\times`, say."""
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", text)


def test_code_cells_are_short(code):
    long = [cell.source for cell in code[1:] if len(cell.source.splitlines()) > CELL_LINES]
    assert not long, f"more than {CELL_LINES} lines: {long}"


def test_what_a_cell_shows_stands_last_for_a_page_shows_nothing_else(code):
    shown = re.compile(r"(show|table)\(")
    for cell in code:
        *before, _ = ast.parse(cell.source).body
        lost = [ast.unparse(line) for line in before if isinstance(line, ast.Expr)]
        assert not list(filter(shown.match, lost)), cell.source


def test_what_is_imported_from_the_package_is_there(code):
    """Executing the chapter would tell too, minutes later."""
    for node in (node for cell in code for node in ast.walk(ast.parse(cell.source))):
        if not isinstance(node, ast.ImportFrom) or node.module.split(".")[0] != "mmtutor":
            continue
        module = import_module(node.module)
        for name in (alias.name for alias in node.names):
            assert hasattr(module, name) or find_spec(f"{node.module}.{name}"), (node.module, name)


def test_no_cell_uses_a_name_that_nothing_defines():
    """Executing the chapters would tell too, half an hour later."""
    notebooks = [str(chapter.with_suffix(".ipynb")) for chapter in CHAPTERS]
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F821", *notebooks]
    done = subprocess.run(ruff, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_claim_cells_assert(code):
    for cell in code:
        if "claim" in cell.metadata.get("tags", []):
            assert any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(cell.source)))


def test_figures_have_a_name_and_a_caption(code):
    settings = [cell.metadata.get("mystnb", {}) for cell in code]
    figures = [setting["figure"] for setting in settings if "figure" in setting]
    names = [figure.get("name") for figure in figures]
    assert all(names)
    assert len(set(names)) == len(names)
    assert all(figure.get("caption") for figure in figures)


def test_each_entry_of_the_bibliography_is_cited_somewhere():
    keys = set(BIB_KEY.findall((BOOK.source / "references.bib").read_text(encoding="utf-8")))
    pages = (page.read_text(encoding="utf-8") for page in BOOK.source.rglob("*.md"))
    groups = (group for page in pages for group in CITATION.findall(page))
    assert keys <= {key.strip() for group in groups for key in group.split(",")}


def test_cited_keys_are_in_the_bibliography(text):
    keys = set(BIB_KEY.findall((BOOK.source / "references.bib").read_text(encoding="utf-8")))
    cited = {key.strip() for group in CITATION.findall(text) for key in group.split(",")}
    assert cited, "it cites nothing"
    assert cited <= keys


def test_bibliography_keys_are_unique():
    keys = BIB_KEY.findall((BOOK.source / "references.bib").read_text(encoding="utf-8"))
    assert sorted(set(keys)) == sorted(keys)
