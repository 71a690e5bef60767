"""The bootstrap by weights: against the bootstrap of means, and against a loop over resamples."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from mmtutor.evaluation.classification.roc import auroc
from mmtutor.evaluation.statistics.differential import random_case
from mmtutor.evaluation.statistics.intervals import bootstrap_interval
from mmtutor.evaluation.statistics.resampling import auroc_interval, f1_interval, resampled_interval


def test_of_a_mean_it_is_the_bootstrap_of_means():
    values = torch.rand(300, generator=torch.Generator().manual_seed(0)).double()
    found = resampled_interval(lambda w: w @ values / w.sum(1), 300)
    assert found == pytest.approx(tuple(bootstrap_interval(values)), abs=1e-12)


def resamples(n, count, seed):
    return torch.randint(n, (count, n), generator=torch.Generator().manual_seed(seed))


def test_intervals_equal_a_loop_of_scikit_learn():
    case = max(map(random_case, range(20)), key=lambda c: len(c.label))
    drawn = resamples(len(case.score), 60, 5)
    areas = [roc_auc_score(case.positive[d], case.score[d]) for d in drawn]
    quantiles = torch.tensor([0.025, 0.975], dtype=torch.float64)
    found = auroc_interval(case.score, case.positive, resamples=60, seed=5)
    assert found.estimate == pytest.approx(auroc(case.score, case.positive), abs=1e-12)
    expected = torch.tensor(areas, dtype=torch.float64).quantile(quantiles)
    assert found[1:] == pytest.approx(expected.tolist(), abs=1e-12)

    drawn = resamples(len(case.label), 60, 5)
    scores = [
        f1_score(case.label[d], case.predicted[d], average="weighted", zero_division=0)
        for d in drawn
    ]
    expected = torch.tensor(scores, dtype=torch.float64).quantile(quantiles)
    classes = case.logits.shape[1]
    found = f1_interval(case.predicted, case.label, classes, "weighted", resamples=60, seed=5)
    assert found[1:] == pytest.approx(expected.tolist(), abs=1e-12)


def test_resamples_without_a_positive_are_left_out_and_pieces_are_the_whole(monkeypatch):
    score, positive = torch.tensor([0.9, 0.1, 0.3]), torch.tensor([True, False, False])
    found = auroc_interval(score, positive, resamples=50)
    assert tuple(found) == (1, 1, 1)
    monkeypatch.setattr("mmtutor.evaluation.statistics.intervals.MAX_DRAWS", 7)
    case = random_case(1)
    small = auroc_interval(case.score, case.positive, resamples=20)
    monkeypatch.undo()
    assert small == auroc_interval(case.score, case.positive, resamples=20)


def test_what_never_exists_is_an_error():
    with pytest.raises(ValueError, match="does not exist"):
        auroc_interval(torch.ones(3), torch.ones(3) > 0, resamples=5)
    with pytest.raises(ValueError, match="at least one"):
        resampled_interval(lambda w: w.sum(1), 0)
