"""Curves draw the numbers that they were given."""

import pytest
import torch

from mmtutor.evaluation.statistics.bootstrap import Interval
from mmtutor.notebook import curves, learning_curve
from mmtutor.notebook.plots import small_multiples
from mmtutor.training import History


def test_curves_are_named_references_dashed_and_axes_scaled():
    x = torch.tensor([0.0, 1.0, 2.0])
    axis = curves(x, {"a": x, "b": (2 * x).tolist()}, "x", "y", "y", dashed=["b"], marker="o").axes[
        0
    ]
    assert [line.get_label() for line in axis.lines] == ["a", "b"]
    assert [line.get_linestyle() for line in axis.lines] == ["-", "--"]
    assert list(axis.lines[1].get_ydata()) == [0, 2, 4]
    assert list(axis.lines[0].get_xdata()) == [0, 1, 2]
    assert axis.lines[0].get_marker() == "o"
    assert (axis.get_xscale(), axis.get_yscale()) == ("linear", "log")
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("x", "y")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a", "b"]


def test_intervals_are_drawn_as_bands():
    half = Interval(0.5, 0.4, 0.6)
    axis = curves([0, 1], {"sum": [half, half], 2: [half, half]}, "x", "y", legend=False).axes[0]
    assert len(axis.lines) == len(axis.collections) == 2
    assert axis.lines[0].get_ydata().tolist() == pytest.approx([0.5, 0.5])
    assert axis.collections[0].get_datalim(axis.transData).intervaly == pytest.approx([0.4, 0.6])
    assert axis.get_legend() is None


def test_a_single_number_is_a_level_line():
    (axis,) = curves([5, 10, 20], {"chance": 0.1}, "x", "y", dashed=["chance"]).axes
    assert list(axis.lines[0].get_ydata()) == pytest.approx([0.1] * 3)


@pytest.mark.parametrize(("marker", "style"), [("", "-"), ("o", "None")])
def test_repetitions_are_pale_and_their_mean_is_strong(marker, style):
    runs = {"a": [[0.0, 2.0], [2.0, 4.0], [1.0, 5.0]]}  # three places, two runs
    (axis,) = curves([1, 2, 3], runs, "epoch", "cosine", marker=marker).axes
    first, second, mean = axis.lines
    assert list(first.get_ydata()) == [0, 2, 1]
    assert list(second.get_ydata()) == [2, 4, 5]
    assert list(mean.get_ydata()) == [1, 3, 3]
    assert first.get_alpha() < 1
    assert mean.get_alpha() is None
    assert {line.get_color() for line in axis.lines} == {"C0"}
    assert first.get_linestyle() == style
    assert (mean.get_linestyle(), mean.get_marker()) == ("-", "")
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["a"]


def test_more_lines_than_colours_are_dashed():
    (axis,) = curves([0, 1], {n: [n, n] for n in range(9)}, "x", "y").axes
    assert [line.get_linestyle() for line in axis.lines] == ["-"] * 8 + ["--"]


@pytest.mark.parametrize(("x", "whole"), [(range(1, 22), True), ((0.0, 0.5, 1.0), False)])
def test_an_axis_of_whole_numbers_has_whole_ticks(x, whole):
    figure = curves(list(x), {"loss": torch.ones(len(x))}, "layer", "loss")
    figure.canvas.draw()
    assert all(tick == round(tick) for tick in figure.axes[0].get_xticks()) == whole


def test_the_running_mean_of_a_constant_is_that_constant():
    figure = learning_curve(History(loss=[2.0] * 5))
    raw, smooth = figure.axes[0].lines
    assert list(raw.get_ydata()) == [2.0] * 5
    assert list(smooth.get_ydata()) == pytest.approx([2.0] * 5)


def test_the_running_mean_weighs_the_past():
    (axis,) = learning_curve(History(loss=[4.0, 0.0]), smooth=0.5).axes
    assert list(axis.lines[1].get_ydata()) == pytest.approx([4, 4 / 3])  # (4/4 + 0/2) / (3/4)


def test_several_runs_share_an_axis_and_have_names():
    runs = {"one": History(loss=[4.0, 2.0, 0.0]), "short": History(loss=[1.0])}
    (axis,) = learning_curve(runs).axes
    assert [len(line.get_xdata()) for line in axis.lines] == [3, 3, 1, 1]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["one", "short"]
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("optimiser step", "training loss")


def test_every_small_multiple_has_a_curve_and_a_scale_of_its_own():
    figure = small_multiples({"A": [3.0, 2.0], "B": [30.0, 20.0]}, "seconds", "loss", step=0.5)
    assert [axis.get_title("left") for axis in figure.axes] == ["A", "B"]
    assert figure.axes[0].get_ylim()[1] < 5 < figure.axes[1].get_ylim()[1]
    assert figure.axes[0].get_ylim()[0] == 0
    assert list(figure.axes[1].lines[0].get_xdata()) == [0, 0.5]
    assert list(figure.axes[1].lines[0].get_ydata()) == [30, 20]
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("seconds", "loss")
