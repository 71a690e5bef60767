"""Drawings show the boxes and arrows they were given, and refuse what cannot be drawn."""

import pytest

from mmtutor.notebook.plots import schematic

PARTS = {
    "x": (0, 2, "data"),
    "cell": (0, 1, "layer"),
    "h": (0, 0, "data", "state"),
    "+": (1, 0, "op"),
}
STEPS = [("x", "cell"), ("cell", "h", "new"), ("x", "h", "skip", -0.5)]


def test_a_schematic_draws_each_part_where_the_page_puts_it():
    (axis,) = schematic(PARTS, STEPS, frames={"one step": ["cell", "h"]}).axes
    at = {text.get_text(): text.get_position() for text in axis.texts if text.get_text()}
    assert set(at) == {"x", "cell", "state", "+", "new", "skip", "one step"}
    assert at["x"] == (0, -2)
    assert at["state"] == (0, 0)
    assert at["new"] == (0, -0.5)
    assert at["skip"][0] < 0  # the bow goes round on the left
    assert len(axis.patches) == len(PARTS) + 1
    assert [t.get_text() for t in axis.get_legend().get_texts()] == ["what flows", "learned"]


def test_a_schematic_refuses_what_is_not_drawn_and_what_is_of_no_kind():
    with pytest.raises(ValueError, match="not drawn: 'y'"):
        schematic(PARTS, [("x", "y")])
    with pytest.raises(ValueError, match="not drawn: 'y'"):
        schematic(PARTS, (), frames={"a": ["y"]})
    with pytest.raises(ValueError, match="kind"):
        schematic({"x": (0, 0, "dta")}, ())
