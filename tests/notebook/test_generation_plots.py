from mmtutor.evaluation.statistics.intervals import Interval
from mmtutor.notebook.generation_plots import intervals, longest_common, verdicts


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_verdicts_rank_each_row_with_ties():
    figure = verdicts({"one": [0.5, 0.25, 0.5], "two": [1, 2, 3]}, ["A", "B", "C"])
    assert texts(figure)[:3] == ["0.50  (1st)", "0.25  (3rd)", "0.50  (1st)"]
    assert texts(figure)[3:] == ["1.00  (3rd)", "2.00  (2nd)", "3.00  (1st)"]


def test_intervals_have_a_row_each():
    figure = intervals({"a": Interval(0.5, 0.4, 0.6), "b": Interval(0, -0.1, 0.1)}, "tau", "none")
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["a", "b"]
    assert list(figure.axes[0].lines[0].get_xdata()) == [0.4, 0.6]


def test_longest_common_marks_one_subsequence():
    figure = longest_common("a red dog", "a big red cat")
    found = figure.axes[0].texts
    assert found[-1].get_text() == "2"
    marked = [text.get_position() for text in found if text.get_weight() == "bold"]
    assert sorted(marked) == [(0, 0), (2, 1)]
