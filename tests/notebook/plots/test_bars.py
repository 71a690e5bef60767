"""Bars and dots stand where the scores are, with their intervals or repetitions."""

import pytest

from mmtutor.evaluation import Interval
from mmtutor.notebook.plots import bars, dots


def test_bars_stand_side_by_side_as_high_as_the_scores():
    scores = {"a": {"x": Interval(0.5, 0.4, 0.7), "y": Interval(1.0, 1.0, 1.0)}}
    scores["b"] = {"x": Interval(0.2, 0.1, 0.3), "y": Interval(0.6, 0.5, 0.7)}
    axis = bars(scores).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [0.5, 1.0, 0.2, 0.6]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y"]
    assert axis.patches[0].get_x() + axis.patches[0].get_width() <= axis.patches[2].get_x() + 1e-9
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]
    ends = axis.collections[0].get_segments()[0]  # the first bar's interval
    assert [y for _, y in ends] == pytest.approx([0.4, 0.7])


def test_plain_numbers_have_no_intervals():
    axis = bars({"a": {"u": 0, "v": 1}, "b": {"u": 0, "v": 2}}, "p", ylim=(0, None)).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [0, 1, 0, 2]
    assert not axis.collections
    assert axis.get_ylabel() == "p"
    assert axis.get_ylim()[1] > 2


@pytest.mark.parametrize(
    "models", ["abcd", "abcdefg", ["a rather long name", "one even longer, told where"]]
)
def test_a_legend_leaves_room_for_the_bars(models):
    figure = bars({model: {"x": 0.5, "y": 1.0} for model in models})
    figure.canvas.draw()
    axis = figure.axes[0].get_window_extent()
    legend = figure.axes[0].get_legend().get_window_extent()
    assert not axis.overlaps(legend)
    assert axis.width > figure.bbox.width / 2


def test_one_model_needs_no_legend():
    assert bars({"a": {"x": 0.5}}).axes[0].get_legend() is None


@pytest.mark.parametrize("scores", [{}, {"a": {"x": None}, "b": {"y": None}}])
def test_models_with_other_parts_are_refused(scores):
    with pytest.raises(ValueError, match="same parts"):
        bars(scores)


def test_dots_have_a_panel_for_each_part_and_a_row_for_each_model():
    scores = {"alone": {"colour": [0.5, 0.7]}, "joint": {"colour": [0.2, 0.4], "place": [1.0]}}
    first, second = dots(scores, marks={"colour": 0.1, "place": 0.2}).axes
    assert [first.get_title(), second.get_title()] == ["colour", "place"]
    assert [label.get_text() for label in first.get_yticklabels()] == ["alone", "joint"]
    assert first.yaxis_inverted()
    each = [line for line in first.lines if line.get_marker() == "o"]
    assert [list(line.get_xdata()) for line in each] == [[0.5, 0.7], [0.2, 0.4]]
    assert [list(line.get_ydata()) for line in each] == [[0, 0], [1, 1]]
    means = [line for line in first.lines if line.get_marker() == "|"]
    assert [line.get_xdata()[0] for line in means] == pytest.approx([0.6, 0.3])
    assert [list(axis.lines[-1].get_xdata()) for axis in (first, second)] == [[0.1] * 2, [0.2] * 2]
    assert {y for line in second.lines[:-1] for y in line.get_ydata()} == {1}  # alone has none


def test_an_interval_is_a_dot_on_its_bar():
    scores = {"a": {"": Interval(0.5, 0.4, 0.6)}, "b": {"": Interval(0, -0.1, 0.1)}}
    (axis,) = dots(scores, "tau", {"": 0}).axes
    bar, dot, other_bar, _, mark = axis.lines
    assert list(bar.get_xdata()) == [0.4, 0.6]
    assert list(dot.get_xdata()) == [0.5]
    assert list(other_bar.get_ydata()) == [1, 1]
    assert list(mark.get_xdata()) == [0, 0]
    assert axis.get_xlabel() == "tau"
