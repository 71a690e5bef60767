"""`fails` and `check` say what happened in one line, and do not pass what is wrong."""

import pytest
import torch

from mmtutor.notebook import check, fails


def test_fails_prints_the_type_and_the_first_line(capsys):
    def call():
        raise ValueError("a mask is missing\nsecond line")

    fails(call)
    assert capsys.readouterr().out == "ValueError: a mask is missing\n"


def test_fails_prints_the_type_of_an_error_without_words(capsys):
    fails(lambda: next(iter([])))
    assert capsys.readouterr().out == "StopIteration\n"


def test_fails_raises_when_nothing_failed():
    with pytest.raises(AssertionError, match="meant to fail, but returned 3"):
        fails(lambda: 3)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (1, 1),
        ("ab", "ab"),
        (0.1 + 0.2, 0.3),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.00001])),
        ([1, (2.0, "x")], [1, (2.0, "x")]),
        ({"a": torch.ones(2)}, {"a": torch.ones(2)}),
    ],
)
def test_right_answers(answer, expected, capsys):
    check(answer, expected)
    assert capsys.readouterr().out == "Correct.\n"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (2, 1),
        (0.31, 0.3),
        (torch.ones(2), torch.ones(1, 2)),
        (torch.ones(2), torch.zeros(2)),
        (1.0, torch.ones(())),
        ([1], [1, 2]),
        ({"a": 1}, {"b": 1}),
        (None, 0.5),
        ("1", 1.0),
        (torch.ones(3), 1.0),
    ],
)
def test_wrong_answers_raise_with_the_hint(answer, expected):
    with pytest.raises(AssertionError, match=r"Not yet: got .* Hint: look at the mask"):
        check(answer, expected, "look at the mask")


def test_a_failed_import_does_not_show_where_python_lies(capsys):
    def call():
        from math import no_such_name  # noqa: F401

    fails(call)
    assert capsys.readouterr().out.strip().startswith("ImportError: cannot import name")

    def located():
        raise ImportError("cannot import name 'x' from 'y' (/home/reader/lib/y/__init__.py)")

    fails(located)
    assert capsys.readouterr().out.strip() == "ImportError: cannot import name 'x' from 'y'"
