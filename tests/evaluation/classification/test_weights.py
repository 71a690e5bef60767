"""Weighted metrics: scikit-learn's `sample_weight`, one set of weights after the other and many."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics

from mmtutor.evaluation.classification.calibration import (
    expected_calibration_error,
    reliability,
    squared_calibration_error,
    top_label,
)
from mmtutor.evaluation.classification.roc import auroc, average_precision
from mmtutor.evaluation.classification.scores import (
    averages,
    balanced_accuracy,
    confusion,
    per_class,
)
from mmtutor.evaluation.statistics.differential import largest_differences, random_case

AVERAGES = ("macro", "micro", "weighted")


def weights_of(case, n):
    """(n,) of all sizes; a third of the cases have whole ones, as a resample has."""
    generator = torch.Generator().manual_seed(len(case.label))
    weights = torch.rand(n, generator=generator, dtype=torch.float64) * 3 + 0.01
    return weights.ceil() if len(case.label) % 3 == 0 else weights


def table_of(case):
    weights = weights_of(case, len(case.label))
    return confusion(case.predicted, case.label, case.logits.shape[1], weights)


def by_scikit_learn(function, **options):
    def score(case):
        weights = weights_of(case, len(case.label)).numpy()
        return function(case.label, case.predicted, sample_weight=weights, **options)

    return score


def of_scores(function, **options):
    def score(case):
        weights = weights_of(case, len(case.score)).numpy()
        given = case.positive.numpy(), case.score.numpy()
        return function(*given, sample_weight=weights, **options)

    return score


def test_counts_equal_scikit_learns_on_two_hundred_cases():
    def classes(case):
        return metrics.precision_recall_fscore_support(
            case.label,
            case.predicted,
            labels=np.arange(case.logits.shape[1]),
            sample_weight=weights_of(case, len(case.label)).numpy(),
            zero_division=0,
        )

    pairs = {
        "per class": (
            lambda c: torch.stack(per_class(table_of(c))),
            lambda c: np.stack(classes(c)),
        ),
        "accuracy": (
            lambda c: averages(table_of(c), "micro").f1,
            by_scikit_learn(metrics.accuracy_score),
        ),
    }
    for average in AVERAGES:
        pairs[average] = (
            lambda c, average=average: torch.stack(averages(table_of(c), average)),
            lambda c, average=average: by_scikit_learn(
                metrics.precision_recall_fscore_support, average=average, zero_division=0
            )(c)[:3],
        )
    found = largest_differences(pairs, map(random_case, range(200)))
    assert max(found.values()) < 1e-12, found


def test_balanced_accuracy_is_the_mean_recall_of_weighted_classes():
    for seed in range(200):
        case = random_case(seed)
        weights = weights_of(case, len(case.label)).numpy()
        theirs = metrics.recall_score(
            case.label,
            case.predicted,
            labels=case.label.unique(),
            average="macro",
            sample_weight=weights,
        )
        assert balanced_accuracy(table_of(case)).item() == pytest.approx(theirs, abs=1e-12)


def test_areas_equal_scikit_learns_on_two_hundred_cases():
    pairs = {
        "area": (
            lambda c: auroc(c.score, c.positive, weights_of(c, len(c.score))),
            of_scores(metrics.roc_auc_score),
        ),
        "average precision": (
            lambda c: average_precision(c.score, c.positive, weights_of(c, len(c.score))),
            of_scores(metrics.average_precision_score),
        ),
    }
    found = largest_differences(pairs, map(random_case, range(200)))
    assert max(found.values()) < 1e-10, found


def test_whole_weights_are_copies_and_many_sets_are_each_of_them():
    for seed in range(200):
        case = random_case(seed)
        n = len(case.label)
        generator = torch.Generator().manual_seed(seed)
        weights = torch.randint(1, 4, (3, n), generator=generator).double()
        sure, right = top_label(case.logits, case.label)
        found = [
            expected_calibration_error(sure, right, 10, weights=weights),
            squared_calibration_error(sure, right, 5, "width", debias=False, weights=weights),
            reliability(sure, right, 10, weights=weights).count.amax(dim=1),
            averages(confusion(case.predicted, case.label, 6, weights)).f1,
        ]
        for row, w in enumerate(weights):
            copies = torch.arange(n).repeat_interleave(w.long())
            pair = sure[copies], right[copies]
            table = confusion(case.predicted[copies], case.label[copies], 6)
            expected = [
                expected_calibration_error(*pair, 10),
                squared_calibration_error(*pair, 5, "width", debias=False),
                reliability(*pair, 10).count.max().item(),
                averages(table).f1.item(),
            ]
            assert [x[row].item() for x in found] == pytest.approx(expected, abs=1e-12)
            assert expected_calibration_error(sure, right, 10, weights=w) == pytest.approx(
                expected[0], abs=1e-12
            )


def test_many_sets_of_weights_give_one_area_each():
    case = random_case(4)
    weights = torch.rand(5, len(case.score), generator=torch.Generator().manual_seed(0)).double()
    for metric in (auroc, average_precision):
        one_by_one = [metric(case.score, case.positive, w) for w in weights]
        assert metric(case.score, case.positive, weights).tolist() == pytest.approx(one_by_one)
    weights[0, case.positive] = 0
    assert auroc(case.score, case.positive, weights).isnan().tolist() == [True] + [False] * 4


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        (torch.ones(3), r"weights must be \(2,\) or \(R, 2\), got .*\(3,\)"),
        (torch.ones(1, 1, 2), r"shape \(1, 1, 2\)"),
        (torch.tensor([1.0, -1.0]), r"weights must be in \[0, inf\), got -1"),
        (torch.tensor([1.0, torch.nan]), r"weights must be in \[0, inf\), got nan"),
    ],
)
def test_what_is_no_weight_is_an_error(weights, says):
    score, positive = torch.tensor([0.1, 0.2]), torch.tensor([True, False])
    for call in (
        lambda: auroc(score, positive, weights),
        lambda: average_precision(score, positive, weights),
        lambda: confusion(positive.long(), positive.long(), 2, weights),
        lambda: expected_calibration_error(score, positive, weights=weights),
    ):
        with pytest.raises(ValueError, match=says):
            call()


def test_a_column_of_weights_is_not_broadcast():
    score, positive = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([True, False, True])
    for bad in (torch.ones(3, 1), torch.zeros(3), [1.0, 2.0, 3.0]):
        with pytest.raises((ValueError, TypeError), match="weights must"):
            auroc(score, positive, bad)
