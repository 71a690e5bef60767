"""The figure of scorecards: a panel for each measure, a dot for each model, and no total."""

import math

import pytest
import torch

from mmtutor.evaluation import Interval
from mmtutor.evaluation.scorecard.measures import Measure, Scorecard, constant_measure
from mmtutor.notebook.scorecards import (
    card_table,
    evaluated,
    rank_table,
    scorecard_figure,
    standard_table,
    write_report,
)


def card(name, right, size):
    share = Measure(Interval(right, right - 0.05, right + 0.05), "high", "share")
    cells = {
        "accuracy": {"accuracy": share},
        "efficiency": {"size": constant_measure(size, "low", "numbers")},
    }
    return Scorecard(name, cells)


CARDS = [card("a", 0.9, 1e6), card("b", 0.5, 10.0), card("c", 0.52, 100.0)]


def test_a_panel_for_each_measure_and_a_dot_for_each_model():
    figure = scorecard_figure(CARDS, columns=3)
    shown = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title(loc="left") for axis in shown] == [
        "accuracy\naccuracy",
        "efficiency\nsize [numbers]",
    ]
    assert [tick.get_text() for tick in shown[0].get_yticklabels()] == ["a", "b", "c"]
    dots = [line for line in shown[0].lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in dots] == [0.9, 0.5, 0.52]
    bars = [line for line in shown[0].lines if line.get_marker() != "o"]
    assert list(bars[0].get_xdata()) == pytest.approx([0.85, 0.95])
    assert "better" in shown[0].get_xlabel()
    assert shown[0].get_xlabel() != shown[1].get_xlabel()
    assert shown[1].get_xscale() == "log"
    figure.canvas.draw()
    assert [tick.get_text() for tick in shown[1].get_xticklabels()] == ["10.0", "1.0M"]
    low, high = shown[1].get_xlim()
    assert 1 < low < 10 < 1e6 < high < 1e7


def test_what_is_not_a_number_leaves_its_place_empty():
    never = Measure(Interval(*[math.nan] * 3), "high", "share")
    half = Measure(Interval(0.5, 0.4, 0.6), "high", "share")
    cards = [
        Scorecard(name, {"robustness": {"kept": m}}) for name, m in (("a", never), ("b", half))
    ]
    figure = scorecard_figure(cards)
    figure.canvas.draw()
    (axis,) = figure.axes
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["a", "b"]
    finite = {line.get_ydata()[0] for line in axis.lines if math.isfinite(line.get_xdata()[0])}
    assert finite == {1}


def test_ranks_and_who_is_last():
    lines = rank_table(CARDS).data.splitlines()
    assert lines[0] == "| standard | measure | a | b | c |"
    assert lines[2] == "| accuracy | accuracy | 1 | 2 | 2 |"  # b and c cannot be told apart
    assert lines[3] == "| efficiency | size | 3 ▼ | 1 | 2 |"


def test_one_standard_in_numbers():
    lines = standard_table(CARDS, "accuracy").data.splitlines()
    assert lines[0] == "| model | accuracy ↑ |"
    assert lines[2] == "| a | 0.9 (0.85\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.95) |"
    costs = standard_table(CARDS, "efficiency").data.splitlines()
    assert costs[0] == "| model | size [numbers] ↓ |"
    assert costs[2:4] == ["| a | 1M |", "| b | 10 |"]
    timed = Measure(Interval(0.0001783, 0.000147, 0.00594), "low", "s")
    card = Scorecard("timed", {"efficiency": {"latency": timed}})
    shown = standard_table([card], "efficiency").data.replace("\N{NO-BREAK SPACE}", " ")
    assert "| 178µ (147µ to 5.94m) |" in shown


def flagged():
    """A card with a measure below its noise floor, something left out, and an error."""
    low = Measure(Interval(0.2, 0.1, 0.3), "high", "share", None, 0.25)
    image = torch.full((3, 4, 6), 200, dtype=torch.uint8)
    error = {"row": 3, "question": "a < b?", "said": "no", "right": "yes", "sure": 0.9}
    left = {"stability, favoured letter": "a column 'options' to choose from"}
    return Scorecard("d & e", {"accuracy": {"accuracy": low}}, left, [error | {"image": image}])


def test_a_card_in_numbers_marks_what_is_beyond_its_noise_floor():
    lines = card_table(flagged()).data.replace("\N{NO-BREAK SPACE}", " ").splitlines()
    assert lines[2] == "| accuracy | accuracy ↑ | 0.2 (0.1 to 0.3) | 0.25 | ✗ |"
    assert (
        card_table(CARDS[0]).data.splitlines()[3] == "| efficiency | size [numbers] ↓ | 1M |  |  |"
    )


def test_cards_of_different_measures_share_a_figure_with_their_noise_floors():
    figure = scorecard_figure([flagged(), *CARDS])
    accuracy, size = (axis for axis in figure.axes if axis.axison)
    marks = {line.get_marker(): line.get_xdata()[0] for line in accuracy.lines}
    assert marks["|"] == 0.25
    assert marks["x"] == 0.2
    assert {line.get_ydata()[0] for line in size.lines} == {1, 2, 3}  # the first has no size


def test_a_report_is_a_page_a_picture_and_json(tmp_path):
    write_report([flagged(), *CARDS], tmp_path / "new")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == [
        "cards.html",
        "cards.json",
        "cards.png",
    ]
    page = (tmp_path / "new" / "cards.html").read_text("utf-8")
    assert "d &amp; e" in page
    assert "a &lt; b? — it said no (90% sure); right: yes" in page
    assert page.count("data:image/png;base64,") == 2  # the figure and one thumbnail
    assert "needs" in page
    assert "favoured letter" in page


def test_stored_answers_are_evaluated_in_text(tmp_path):
    (tmp_path / "data.csv").write_text("question,answer\n" + "what?,yes\nwhich?,no\n" * 20)
    (tmp_path / "said.csv").write_text("answer\n" + "yes\nno\n" * 20)
    text = evaluated(tmp_path / "said.csv", tmp_path / "data.csv", "mine", tmp_path / "out")
    assert "accuracy ↑" in text
    assert "left out: accuracy, calibration error: it needs a confidence" in text
    assert (tmp_path / "out" / "cards.json").is_file()
    (tmp_path / "other.csv").write_text("said\nyes\n")
    with pytest.raises(ValueError, match="the file of answers must have a column 'answer'"):
        evaluated(tmp_path / "other.csv", tmp_path / "data.csv", "mine", None)
