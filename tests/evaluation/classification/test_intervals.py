"""Metrics of bootstrap weights: against a loop of scikit-learn over resamples."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import f1_score, roc_auc_score

from mmtutor.evaluation.classification.roc import auroc
from mmtutor.evaluation.classification.scores import averages, confusion
from mmtutor.evaluation.statistics.bootstrap import bootstrap_statistic
from mmtutor.evaluation.statistics.differential import random_case


def auroc_interval(score, positive, **options):
    return bootstrap_statistic(lambda w: auroc(score, positive, w), len(score), **options)


def f1_interval(predicted, label, classes, average, **options):
    def f1(weights):
        return averages(confusion(predicted, label, classes, weights), average).f1

    return bootstrap_statistic(f1, len(label), **options)


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
    monkeypatch.setattr("mmtutor.evaluation.statistics.bootstrap.BLOCK", 7)
    case = random_case(1)
    small = auroc_interval(case.score, case.positive, resamples=20)
    monkeypatch.undo()
    assert small == auroc_interval(case.score, case.positive, resamples=20)
