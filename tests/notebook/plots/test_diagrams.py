"""Drawings show the boxes and arrows they were given, and refuse what cannot be drawn."""

import pytest

from mmtutor.notebook.plots import flowchart, panels, schematic

COLUMNS = (("picture", "text"), ("join",))


def test_every_box_is_drawn_and_every_wrong_arrow_is_crossed_out():
    figure = flowchart(COLUMNS, [("picture", "join")], wrong=[("text", "join")])
    texts = [text.get_text().replace("\n", " ") for ax in figure.axes for text in ax.texts]
    assert {"picture", "text", "join"} <= set(texts)
    (cross,) = figure.axes[0].lines
    assert cross.get_marker() == "x"
    assert len(figure.axes[0].patches) == 3


def test_a_box_has_one_name_and_an_arrow_two_boxes():
    with pytest.raises(ValueError, match="two boxes are called 'text'"):
        flowchart((("text",), ("text",)), ())
    with pytest.raises(ValueError, match="not drawn: 'sound'"):
        flowchart(COLUMNS, [("sound", "join")])


def test_arrows_go_from_the_right_of_a_box_to_the_left_of_another():
    figure = flowchart((("a",), ("b",)), [("a", "b")])
    a, b = (patch.get_window_extent() for patch in figure.axes[0].patches)
    (arrow,) = (text for text in figure.axes[0].texts if text.get_text() == "")
    to_pixels = figure.axes[0].transData.transform
    assert to_pixels(arrow.xyann)[0] == pytest.approx(a.x1, abs=2)
    assert to_pixels(arrow.xy)[0] == pytest.approx(b.x0, abs=2)


def test_charts_can_share_a_figure():
    figure, axes = panels(2, columns=1)
    drawn = [flowchart(COLUMNS, (), title=t, axis=a) for t, a in zip("xy", axes, strict=True)]
    assert drawn == [figure, figure]
    assert [axis.get_title("left") for axis in axes] == ["x", "y"]


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
