"""The VQA lab's plots show the numbers they are given."""

import pytest

from mmtutor.evaluation import Interval
from mmtutor.notebook.vqa_plots import interval_bars, percent


def test_bars_stand_side_by_side_as_high_as_the_scores():
    scores = {"a": {"x": Interval(0.5, 0.4, 0.7), "y": Interval(1.0, 1.0, 1.0)}}
    scores["b"] = {"x": Interval(0.2, 0.1, 0.3), "y": Interval(0.6, 0.5, 0.7)}
    axis = interval_bars(scores, chance=0.5).axes[0]
    assert [bar.get_height() for bar in axis.patches] == [0.5, 1.0, 0.2, 0.6]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["x", "y"]
    assert axis.patches[0].get_x() + axis.patches[0].get_width() <= axis.patches[2].get_x() + 1e-9


@pytest.mark.parametrize("scores", [{}, {"a": {"x": None}, "b": {"y": None}}])
def test_models_with_other_parts_are_refused(scores):
    with pytest.raises(ValueError, match="same parts"):
        interval_bars(scores)


def test_percent():
    assert percent(Interval(0.931, 0.92, 0.942)) == "93.1 (92.0 to 94.2)"
