"""ROC, its area and average precision: against scikit-learn, with many ties, and at the edges."""

from __future__ import annotations

import pytest
import torch
from sklearn import metrics

from mmtutor.evaluation.classification.roc import auroc, average_precision
from mmtutor.evaluation.statistics.differential import largest_differences, random_case


def test_equal_to_scikit_learn_on_a_thousand_cases():
    pairs = {
        "area": (
            lambda c: auroc(c.score, c.positive),
            lambda c: metrics.roc_auc_score(c.positive.numpy(), c.score.numpy()),
        ),
        "average precision": (
            lambda c: average_precision(c.score, c.positive),
            lambda c: metrics.average_precision_score(c.positive.numpy(), c.score.numpy()),
        ),
    }
    found = largest_differences(pairs, map(random_case, range(1000)))
    assert max(found.values()) < 1e-12, found


def test_the_area_is_that_under_the_curve_and_the_share_of_pairs():
    for seed in range(200):
        score, positive = random_case(seed).score, random_case(seed).positive
        false, true, _ = map(torch.from_numpy, metrics.roc_curve(positive, score))
        under = torch.trapezoid(true, false)
        margin = score[positive][:, None] - score[~positive]
        pairs = (margin.sign() + 1).mean() / 2
        assert auroc(score, positive) == pytest.approx(under.item(), abs=1e-12)
        assert auroc(score, positive) == pytest.approx(pairs.item(), abs=1e-12)


def test_order_scale_and_precision_do_not_matter():
    case = random_case(4)
    shuffle = torch.randperm(len(case.score))
    area = auroc(case.score, case.positive)
    assert auroc(case.score[shuffle], case.positive[shuffle]) == area
    assert auroc(10 * case.score + 3, case.positive) == area
    assert auroc(-case.score, case.positive) == pytest.approx(1 - area)
    assert auroc(case.score, ~case.positive) == pytest.approx(1 - area)
    assert auroc(case.score.half(), case.positive) == area  # whole numbers


def test_constant_infinite_and_signed_zero_scores():
    positive = torch.tensor([True, False, True, False])
    assert auroc(torch.zeros(4), positive) == 0.5
    assert average_precision(torch.zeros(4), positive) == 0.5
    assert auroc(torch.tensor([0.0, -0.0, 0.0, -0.0]), positive) == 0.5
    assert auroc(torch.tensor([torch.inf, 0, torch.inf, -torch.inf]), positive) == 1
    assert average_precision(torch.tensor([0.3]), torch.tensor([True])) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: auroc(torch.ones(2), torch.tensor([True, True])), "positive must hold a negative"),
        (
            lambda: auroc(torch.ones(2), torch.tensor([False, False])),
            "positive must hold a positive",
        ),
        (lambda: auroc(torch.ones(0), torch.ones(0) > 0), r"score must be \(N,\)"),
        (
            lambda: average_precision(torch.ones(2), torch.zeros(2) > 0),
            "positive must hold a positive",
        ),
        (lambda: auroc(torch.ones(2), torch.tensor([2, 0])), "positive must be True or False"),
        (lambda: auroc(torch.ones(3), torch.tensor([True, False])), r"positive .* N = 3.* \(2,\)"),
        (
            lambda: auroc(torch.tensor([0, torch.nan]), torch.tensor([True, False])),
            r"got nan at \[1\]",
        ),
    ],
)
def test_what_does_not_exist_is_an_error(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_zeros_and_ones_are_read_as_booleans():
    score, target = torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])
    for positive in (target, target.bool(), target.to(torch.uint8), target.numpy()):
        assert auroc(score, positive) == 0.75
        assert average_precision(score, positive) == pytest.approx(5 / 6)
