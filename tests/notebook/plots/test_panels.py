"""Figures come from one place, and every kind of drawing is used."""

import re
from pathlib import Path

import pytest

from mmtutor.notebook import plots
from mmtutor.notebook.plots import panels

ROOT = Path(__file__).parents[3]
PAGES = {page.name: page.read_text(encoding="utf-8") for page in (ROOT / "book").rglob("*.md")}
DRAWINGS = [name for name, value in vars(plots).items() if callable(value)]


def test_panels_are_as_many_as_asked_for():
    figure, axes = panels(5, columns=3, size=(2, 1))
    assert figure.axes == axes
    assert len(axes) == 5
    assert tuple(figure.get_size_inches()) == (6, 2)
    with pytest.raises(ValueError, match="count must be a whole number of at least 1, got 0"):
        panels(0)


def test_what_is_not_shown_holds_no_memory():
    from matplotlib import pyplot

    before = pyplot.get_fignums()
    panels(1)
    assert pyplot.get_fignums() == before


@pytest.mark.parametrize("name", DRAWINGS)
def test_every_drawing_is_on_a_page(name):
    assert any(re.search(rf"\b{name}\(", text) for text in PAGES.values())


def test_pages_make_their_figures_with_panels():
    assert [name for name, text in PAGES.items() if "pyplot" in text] == []
