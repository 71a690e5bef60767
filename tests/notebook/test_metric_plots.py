"""The plots show the numbers they are given."""

import torch

from mmtutor.evaluation.classification.calibration import reliability
from mmtutor.evaluation.classification.roc import precision_recall_curve, roc_curve
from mmtutor.notebook.metric_plots import over_sizes, reliability_diagram, roc_and_precision

SCORE, POSITIVE = torch.tensor([0.9, 0.4, 0.4, 0.1]), torch.tensor([True, True, False, False])


def test_both_curves_are_drawn_with_their_names():
    figure = roc_and_precision(
        {"one": roc_curve(SCORE, POSITIVE)}, {"one": precision_recall_curve(SCORE, POSITIVE)}
    )
    left, right = figure.axes
    assert left.lines[0].get_ydata().tolist() == [0, 0.5, 1, 1]
    assert right.lines[0].get_xdata().tolist() == [0.5, 1, 1]
    assert left.get_legend().get_texts()[0].get_text() == "one"


def test_empty_bins_get_no_dot():
    figure = reliability_diagram({"model": reliability(SCORE, POSITIVE, bins=10)})
    assert len(figure.axes[0].collections[0].get_offsets()) == 3


def test_a_line_for_each_curve_and_a_band_where_asked():
    curves = {"a": torch.rand(2, 5), "b": torch.rand(2, 5)}
    (axis,) = over_sizes([10, 100], curves, "error", bands=["a"]).axes
    assert len(axis.lines) == 3  # and the line at zero
    assert len(axis.collections) == 1
