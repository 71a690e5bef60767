import torch

from mmtutor.evaluation.statistics.intervals import Interval
from mmtutor.notebook.fusion_plots import arithmetic, score_grid

HALF = Interval(0.5, 0.4, 0.6)


def test_arithmetic_shows_every_number_and_sign():
    figure = arithmetic(("x", torch.tensor([1.0, 2.5])), "+", ("y", torch.eye(2)))
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert texts == ["1", "2.5", "+", "1", "0", "0", "1"]
    assert [axis.get_title() for axis in figure.axes] == ["x", "", "y"]


def test_the_grid_has_a_row_for_each_entrant_and_one_for_guessing():
    figure = score_grid({"sum": {"xor": HALF}, "max": {"xor": HALF}}, {"xor": 0.25})
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.texts] == ["50", "50", "25"]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["sum", "max", "guessing"]
