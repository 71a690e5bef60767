"""`fails` and `check` say what happened in one line, and do not pass what is wrong."""

import numpy as np
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
        ([1.0, 2.0], torch.tensor([1.0, 2.0])),
        ([[1, 2], [3, 4]], torch.tensor([[1, 2], [3, 4]])),
        (np.array([1.0, 2.0]), torch.tensor([1.0, 2.0])),
        (torch.tensor([1, 2]), [1, 2]),
        (torch.tensor([1, 2]), np.array([1, 2])),
        ((1, 2), np.array([1, 2])),
        (torch.ones(2, dtype=torch.float16), torch.ones(2)),
        (torch.tensor(3), 3),
        (torch.tensor([0.5]), 0.5),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (3, np.int64(3)),
        (torch.tensor([True, False]), [True, False]),
        (torch.tensor([True, False]), torch.tensor([1, 0])),
        (np.array(["a", "b"]), ["a", "b"]),
        (np.array(["a"]), np.array(["a"])),
        (torch.Size([2, 3]), (2, 3)),
        ({1, 2}, {2, 1}),
        (None, None),
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
        (torch.tensor([3, 4]), 3),
        (np.array([1, 2]), "a"),
        (torch.tensor([1, 2]), "a"),
        ([1, 2], "12"),
        ("12", [1, 2]),
        ("ab", ["a", "b"]),
        (3, [3]),
        ([3], 3),
        (torch.tensor([1, 2]), [1, 3]),
        ([[1, 2], [3]], torch.tensor([[1, 2], [3, 4]])),
        (np.zeros((2, 1)), torch.zeros(2)),
        (torch.tensor([2**53]), torch.tensor([2**53 + 1])),
        (2**53 + 1, 2**53),
        (1.00001, 1),
        (torch.tensor([float("nan")]), torch.zeros(1)),
        (float("nan"), 0.5),
        (1j, 1.0),
        (None, [1]),
        ([None], torch.ones(1)),
        (torch.ones(1), None),
        ({"a": 1}, [1]),
        (object(), "a"),
    ],
)
def test_wrong_answers_raise_with_the_hint(answer, expected):
    with pytest.raises(AssertionError, match=r"(?s)Not yet: got .* Hint: look at the mask"):
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


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf"), "0.1"])
def test_a_tolerance_that_cannot_be_is_refused(tolerance):
    with pytest.raises((TypeError, ValueError), match="tolerance must be"):
        check(1.0, 1.0, tolerance=tolerance)
