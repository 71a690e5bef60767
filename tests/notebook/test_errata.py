"""The ledger passes no mistake that is none, counts what it was given, and runs code by itself."""

import re
import sys
from pathlib import Path

import pytest
import torch

from mmtutor.notebook import errata
from mmtutor.notebook.errata import Ledger, _Entry, arrows, run

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "book" / "appendix" / "errata.md"


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_a_failure_is_printed_and_entered(ledger, capsys):
    with ledger.fails("000:313", TypeError):
        len(1)
    assert capsys.readouterr().out == "TypeError: object of type 'int' has no len()\n"
    assert ledger.entries["000:313"] == _Entry("000:313", "code that cannot run", "TypeError")
    assert ledger.entries["000:313"].article == "000"


def test_code_that_runs_is_no_failure(ledger):
    with (
        pytest.raises(AssertionError, match="000:1 was meant to raise TypeError, but it ran"),
        ledger.fails("000:1", TypeError),
    ):
        len("a")
    assert ledger.count() == 0


@pytest.mark.parametrize("error", [Exception, ValueError, NameError])
def test_another_error_or_a_base_class_will_not_do(ledger, error):
    with (
        pytest.raises(AssertionError, match="not UnboundLocalError: cannot access"),
        ledger.fails("000:311", error),
    ):
        run("def f():\n    a = a\nf()")
    assert ledger.count() == 0


def test_a_wrong_number_stands_beside_the_right_one(ledger, capsys):
    ledger.number("003:288", says=1.68, so=1.64)
    assert capsys.readouterr().out == "the article: 1.68    computed: 1.64\n"
    ledger.number("003:263", says=[0.5, 1], so=torch.tensor([0.25, 0.75]))
    assert capsys.readouterr().out == "the article: [0.5, 1]    computed: [0.25, 0.75]\n"
    ledger.number("003:175", says=64, so=8401408)
    assert capsys.readouterr().out == "the article: 64    computed: 8,401,408\n"


@pytest.mark.parametrize(("says", "so"), [(1.8, 1.8), (0.26, 0.2562), ([1, 2], (1.0, 2.004))])
def test_a_right_or_rounded_number_is_no_mistake(ledger, says, so):
    with pytest.raises(AssertionError, match="003:286: the article is right"):
        ledger.number("003:286", says, so)
    assert not ledger.entries


def test_lists_of_different_length_differ_and_so_does_nan(ledger):
    ledger.number("000:1", [1, 2], [1, 2, 3])
    ledger.number("000:2", 1.0, float("nan"))
    assert ledger.count() == 2


def test_an_experiment_must_show_what_it_says(ledger, capsys):
    ledger.shows("003:154", "concept", "each head sees every token", torch.tensor(True))
    assert capsys.readouterr().out == "each head sees every token\n"
    with pytest.raises(AssertionError, match="003:150: the experiment does not show that it grows"):
        ledger.shows("003:150", "concept", "it grows", False)
    assert list(ledger.entries) == ["003:154"]


@pytest.mark.parametrize(
    ("place", "kind", "message"),
    [
        ("3:222", "claim", "a place reads like"),
        ("003:2-3", "claim", "a place reads like"),
        ("003:222", "typo", "003:222: kind 'typo' is none of arithmetic, formula.*withdrawn"),
    ],
)
def test_entries_have_a_place_and_a_known_kind(ledger, place, kind, message):
    with pytest.raises(ValueError, match=message):
        ledger.shows(place, kind, "so", True)


def test_a_cell_that_runs_again_counts_once(ledger):
    for _ in range(2):
        ledger.shows("000:1", "concept", "so", True)
    assert ledger.count() == 1


def test_the_summary_counts_by_kind_and_article(ledger, capsys):
    ledger.number("003:288", says=1.68, so=1.64)
    ledger.number("003:222", says=0.46, so=0.87)
    ledger.shows("000:76", "concept", "a | b", True)
    ledger.cited({"000:393": "key", "000:411": "key"})
    assert "2 more" in capsys.readouterr().out
    lines = ledger.summary().data.splitlines()
    assert lines[0] == "|  | 000 | 003 | all |"
    assert "| arithmetic | 0 | 2 | 2 |" in lines
    assert "| concept | 1 | 0 | 1 |" in lines
    assert lines[-5:-3] == [
        "| **wrong, executed** | 1 | 2 | 3 |",
        "| wrong, looked up | 2 | 0 | 2 |",
    ]
    assert ledger.count() == 3
    places = [line.split(" | ")[0] for line in ledger.listing().data.splitlines()[2:]]
    assert places == ["| 000:76", "| 000:393", "| 000:411", "| 003:222", "| 003:288"]
    assert r"a \| b" in ledger.listing().data


def test_what_is_no_mistake_is_counted_apart(ledger, capsys):
    ledger.shows("000:1", "concept", "so", True)
    with ledger.fails("000:2", TypeError, kind=errata.PLACEHOLDER):
        len(...)
    ledger.cited({"000:3": "key"}, kind=errata.STALE)
    ledger.withdrawn("001:4", "the article is right", True)
    with pytest.raises(AssertionError, match="does not show that we were wrong"):
        ledger.withdrawn("001:5", "we were wrong", False)
    assert [ledger.count(v) for v in ("wrong", *errata.OTHERS)] == [1, 0, 1, 1]
    lines = ledger.summary().data.splitlines()
    assert lines[-3:] == [
        "| stale | 1 | 0 | 1 |",
        "| placeholder | 1 | 0 | 1 |",
        "| withdrawn | 0 | 1 | 1 |",
    ]
    assert "| **wrong, executed** | 1 | 0 | 1 |" in lines
    verdicts = [line.split(" | ")[1] for line in ledger.listing().data.splitlines()[2:]]
    assert verdicts == ["wrong", "placeholder", "stale", "withdrawn"]


def test_run_knows_only_what_it_is_given():
    assert run("  b = a + 1\n", a=1)["b"] == 2
    with pytest.raises(NameError, match="'torch' is not defined"):
        run("torch.zeros(1)")
    with pytest.raises(SyntaxError):
        run("x = # nothing")


def test_without_tensorflow_the_entry_says_so_and_stays(ledger, capsys, monkeypatch):
    monkeypatch.setattr(errata, "find_spec", lambda name: None)
    with pytest.raises(KeyError, match="001:357"):
        ledger.in_tensorflow("001:357", "1 / 0")
    ledger.shows("001:357", "concept", "so", True)
    ledger.in_tensorflow("001:357", "1 / 0", ZeroDivisionError)
    assert "TensorFlow is not installed here" in capsys.readouterr().out
    assert ledger.entries["001:357"].evidence == "so"


def test_with_tensorflow_the_lines_are_run(ledger, capsys, monkeypatch):
    monkeypatch.setattr(errata, "find_spec", lambda name: sys)
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    ledger.shows("001:357", "concept", "so", True)
    ledger.in_tensorflow("001:357", "1 / 0", ZeroDivisionError)
    ledger.in_tensorflow("001:357", "result = a + 1", a=1)
    assert "TensorFlow: ZeroDivisionError: division by zero" in capsys.readouterr().out
    assert "seen in TensorFlow" in ledger.entries["001:357"].evidence
    assert ledger.count() == 1
    with pytest.raises(AssertionError, match="001:357 was meant to raise TypeError, but it ran"):
        ledger.in_tensorflow("001:357", "a = 1", TypeError)


def test_arrows_of_a_diagram_go_from_text_to_text():
    edges = arrows("graph TB\n  A[Text] --> B[Vision]\n  B --> C[Task] \n A --> D")
    assert edges == [("Text", "Vision"), ("Vision", "Task"), ("Text", "D")]
    with pytest.raises(ValueError, match="no line of this diagram"):
        arrows("graph TB")


def test_each_place_of_the_page_is_entered_once_and_looked_up_keys_are_cited():
    text = PAGE.read_text(encoding="utf-8")
    calls = re.findall(r"errata\.(?:fails|number|shows|withdrawn)\(\s*\"(\d{3}:\d+[a-z]?)\"", text)
    looked_up = re.findall(r"\"(\d{3}:\d+[a-z]?)\": \"(\w+)\"", text)
    places = calls + [place for place, _ in looked_up]
    assert len(places) == len(set(places))
    cited = {key for keys in re.findall(r"\{cite:\w\}`([^`]+)`", text) for key in keys.split(",")}
    assert {key for _, key in looked_up} <= cited
