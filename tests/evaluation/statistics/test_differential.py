"""The comparison itself: that its cases are as hard as they claim, and that it can find a fault."""

from __future__ import annotations

import torch

from mmtutor.evaluation.statistics.differential import _difference, largest_differences, random_case


def test_the_cases_hold_the_edges_they_promise():
    cases = [random_case(seed) for seed in range(300)]
    tied = [len(c.score.unique()) < len(c.score) for c in cases]
    assert sum(tied) > 150
    assert sum(len(c.label.unique()) == 1 for c in cases) > 60
    assert sum(len(c.label) == 1 for c in cases) > 30
    assert sum(len(c.label.unique()) < c.logits.shape[1] for c in cases) > 60
    assert all(c.positive.any() and not c.positive.all() for c in cases)
    assert all(c.relevant.any(1).all() for c in cases)
    assert all(max(c.label.max(), c.predicted.max()) < c.logits.shape[1] for c in cases)
    assert torch.equal(random_case(5).logits, random_case(5).logits)


def test_a_fault_in_one_case_is_found():
    wrong = random_case(17).score
    pairs = {
        "same": (lambda c: c.score, lambda c: c.score.numpy()),
        "fault": (lambda c: c.score, lambda c: c.score + 0.5 * (c.score.shape == wrong.shape)),
    }
    found = largest_differences(pairs, map(random_case, range(30)))
    assert found["same"] == 0
    assert abs(found["fault"] - 0.5) < 1e-12


def test_nan_agrees_with_nan_only():
    assert _difference([1.0, torch.nan], [1.0, torch.nan]) == 0
    assert _difference([1.0], [torch.nan]) == torch.inf
    assert _difference([1.0], [1.0, 1.0]) == torch.inf
    assert _difference(torch.inf, 1.0) == torch.inf
    assert _difference(torch.inf, torch.inf) == 0
    assert _difference([], []) == 0
