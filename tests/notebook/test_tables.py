"""Tables keep their numbers and their shape."""

import pytest

from mmtutor.evaluation import Interval
from mmtutor.notebook.tables import in_words, percent, recall_table, table


def test_a_table_has_a_header_a_rule_and_its_rows():
    assert table([["a", 1]], ["name", "value"]).data == "| name | value |\n| --- | --- |\n| a | 1 |"
    whole = table([["0.5 (0.4 to 0.6)"]], ["score"]).data
    assert "0.5 (0.4\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}0.6)" in whole


def test_a_row_of_another_length_is_refused():
    with pytest.raises(ValueError, match="rows: 1 cells under a header of 2"):
        table([["a"]], ["name", "value"])


def test_recalls_are_percent_with_intervals_and_chance_comes_last():
    recall = {"estimate": 0.5, "low": 0.25, "high": 0.75}
    report = {"mean": {"recall_at_1": recall}, "chance": {"recall_at_1": 0.01}}
    lines = recall_table({"model": report}, ks=(1,)).data.splitlines()
    assert lines[2] == "| model | 50.0 (25.0\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}75.0) |"
    assert lines[3] == "| chance | 1.0 |"


def test_an_interval_in_percent_may_be_stored_or_fresh():
    fresh = Interval(0.931, 0.92, 0.942)
    assert percent(fresh) == percent(fresh._asdict()) == "93.1 % (92.0 to 94.2)"
    assert percent(fresh, sign=False) == "93.1 (92.0 to 94.2)"


def test_an_interval_in_words_has_three_digits_and_bounds_where_they_differ():
    assert in_words(Interval(0.58, 0.54, 0.6172)) == "0.58 (0.54 to 0.617)"
    assert in_words(Interval(12345.0, 12345.0, 12345.0)) == "1.23e+04"
    assert in_words(Interval(-0.001, -0.02, 0.034), digits=2) == "0 (-0.02 to 0.03)"
