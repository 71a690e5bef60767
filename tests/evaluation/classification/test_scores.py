"""Precision, recall and F1: against scikit-learn, and at their edges."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import precision_recall_fscore_support

from mmtutor.evaluation.classification.scores import (
    averages,
    balanced_accuracy,
    confusion,
    per_class,
)
from mmtutor.evaluation.statistics.differential import largest_differences, random_case

AVERAGES = ("macro", "micro", "weighted")


def table_of(case):
    return confusion(case.predicted, case.label, case.logits.shape[1])


def of_classes(case):
    """By scikit-learn: precision, recall, F1 and support of every class, absent ones too."""
    return precision_recall_fscore_support(
        case.label.numpy(),
        case.predicted.numpy(),
        labels=np.arange(case.logits.shape[1]),
        zero_division=0,
    )


def test_classes_equal_scikit_learns_on_a_thousand_cases():
    pairs = {
        "per class": (
            lambda c: torch.stack(per_class(table_of(c))),
            lambda c: np.stack(of_classes(c)),
        )
    }
    found = largest_differences(pairs, map(random_case, range(1000)))
    assert max(found.values()) < 1e-12, found


@pytest.mark.parametrize("average", ["macro", "weighted"])
def test_averages_equal_scikit_learns_on_a_thousand_cases(average):
    pairs = {
        average: (
            lambda c: torch.stack(averages(table_of(c), average)),
            lambda c: precision_recall_fscore_support(
                c.label.numpy(), c.predicted.numpy(), average=average, zero_division=0
            )[:3],
        )
    }
    found = largest_differences(pairs, map(random_case, range(1000)))
    assert max(found.values()) < 1e-12, found


def test_micro_averages_are_the_accuracy():
    for seed in range(1000):
        case = random_case(seed)
        right = (case.predicted == case.label).double().mean()
        for value in averages(table_of(case), "micro"):
            assert abs(value - right) < 1e-12


def test_many_tables_at_once_are_each_of_them():
    tables = torch.randint(9, (4, 3, 5, 5), generator=torch.Generator().manual_seed(0))
    tables[0, 0, 2], tables[0, 0, :, 2] = 0, 0  # a class that is neither there nor predicted
    for average in AVERAGES:
        assert averages(tables, average).f1[0, 0] == averages(tables[0, 0], average).f1
    assert torch.equal(balanced_accuracy(tables)[0], balanced_accuracy(tables[0]))


def test_macro_f1_is_not_the_f1_of_the_means():
    table = torch.tensor([[9, 1], [30, 1]])
    precision, recall, f1 = averages(table)
    assert (f1 - 2 * precision * recall / (precision + recall)).abs() > 0.05


def test_edges():
    one = confusion(torch.tensor([1]), torch.tensor([1]), 4)
    assert [value.item() for value in averages(one)] == [1, 1, 1]  # three classes do not count
    never = per_class(confusion(torch.tensor([0, 0]), torch.tensor([0, 1]), 2))
    assert never.precision[1] == never.recall[1] == never.f1[1] == 0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: confusion(torch.tensor([], dtype=int), torch.tensor([], dtype=int)),
            r"predicted must be \(N,\)",
        ),
        (lambda: confusion(torch.tensor([0]), torch.tensor([0, 1])), "label must be"),
        (lambda: confusion(torch.tensor([2]), torch.tensor([0]), 2), r"\[0, 2\)"),
        (
            lambda: confusion(torch.tensor([-1]), torch.tensor([0])),
            "whole numbers from 0 on, got -1",
        ),
        (lambda: averages(torch.ones(2, 2), "mean"), "mean"),
    ],
)
def test_what_cannot_be_counted_is_an_error(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_small_integers_do_not_overflow():
    label = torch.arange(20).to(torch.uint8)  # 19 * 20 is above 255
    assert torch.equal(confusion(label, label), torch.eye(20, dtype=torch.int64))
