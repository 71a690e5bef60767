"""Calibration against torchmetrics, scikit-learn and scipy, and against what theory promises."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from sklearn.calibration import calibration_curve
from torch.nn.functional import cross_entropy
from torchmetrics.functional.classification import multiclass_calibration_error

from mmtutor.evaluation.classification.calibration import (
    HIGHEST,
    LOWEST,
    calibration_floor,
    expected_calibration_error,
    reliability,
    squared_calibration_error,
    temperature,
    top_label,
)
from mmtutor.evaluation.statistics.differential import _difference, largest_differences, random_case

BINS = (1, 2, 5, 10, 15)


def bins_of(case) -> int:
    return BINS[len(case.label) % len(BINS)]


def tied_confidence(case):
    """Confidences on a grid of 1/64, some 0 and 1: never on an inner edge of 5, 10 or 15 bins."""
    return (case.probability.max(1).values * 64).round() / 64, case.predicted == case.label


def by_torchmetrics(case, norm):
    classes = case.probability.shape[1]
    return multiclass_calibration_error(case.probability, case.label, classes, bins_of(case), norm)


def ours_curve(case, scheme):
    found = reliability(*tied_confidence(case), bins_of(case), scheme)
    kept = found.count > 0
    return torch.stack([found.accuracy[kept], found.confidence[kept]])


def sklearn_curve(case, strategy):
    confidence, correct = tied_confidence(case)
    given = {"n_bins": bins_of(case), "strategy": strategy}
    return np.stack(calibration_curve(correct.numpy(), confidence.numpy(), **given))


def test_equal_to_the_authorities_on_a_thousand_cases():
    pairs = {
        "ECE": (
            lambda c: expected_calibration_error(*top_label(c.logits, c.label), bins_of(c)),
            lambda c: by_torchmetrics(c, "l1"),
        ),
        "squared": (
            lambda c: squared_calibration_error(
                *top_label(c.logits, c.label), bins_of(c), "width", debias=False
            ),
            lambda c: by_torchmetrics(c, "l2") ** 2,
        ),
        "diagram, width": (lambda c: ours_curve(c, "width"), lambda c: sklearn_curve(c, "uniform")),
    }
    found = largest_differences(pairs, map(random_case, range(1000)))
    single = {name: found.pop(name) for name in ("ECE", "squared")}  # torchmetrics: float32
    assert max(single.values()) < 1e-6, single
    assert max(found.values()) < 1e-12, found


def test_equal_mass_bins_are_scikit_learns_on_a_thousand_cases():
    """Sizes at which scikit-learn's quantiles, computed with rounding, hit no value exactly."""
    compared = 0
    for seed in range(1600):
        case = random_case(seed)
        n, bins = len(case.label), bins_of(case)
        if any((n - 1) * k % bins == 0 for k in range(1, bins)):
            continue
        compared += 1
        assert _difference(ours_curve(case, "mass"), sklearn_curve(case, "quantile")) < 1e-12
    assert compared > 1000


def test_bins_are_closed_above():
    on_edges = torch.tensor([0.0, 0.2, 0.4, 1.0], dtype=torch.float64)
    assert reliability(on_edges, on_edges > 0.3, bins=5).count.tolist() == [2, 1, 0, 0, 1]


def test_equal_mass_bins_hold_equally_many():
    confidence = torch.rand(150, generator=torch.Generator().manual_seed(0))
    count = reliability(confidence, confidence > 0.5, bins=10, scheme="mass").count
    assert count.sum() == 150
    assert count.min() >= 14
    same = reliability(torch.full((9,), 0.5), torch.ones(9, dtype=torch.bool), 3, "mass")
    assert same.count.tolist() == [9, 0, 0]
    assert same.accuracy.isnan().tolist() == [False, True, True]


def calibrated(n: int, seed: int):
    generator = torch.Generator().manual_seed(seed)
    confidence = 0.5 + torch.rand(n, generator=generator, dtype=torch.float64) / 2
    return confidence, torch.rand(n, generator=generator, dtype=torch.float64) < confidence


def test_the_bias_of_a_perfect_model_is_what_the_floor_says():
    errors, squares, plain = [], [], []
    for seed in range(300):
        drawn = calibrated(200, seed)
        errors.append(expected_calibration_error(*drawn))
        squares.append(squared_calibration_error(*drawn))
        plain.append(squared_calibration_error(*drawn, debias=False))
    floor = calibration_floor(calibrated(200, 0)[0])
    errors, squares = torch.tensor(errors), torch.tensor(squares)
    assert errors.mean() > 0.05  # though nothing is wrong with the model
    assert floor.estimate == pytest.approx(errors.mean().item(), abs=0.004)
    inside = ((errors > floor.low) & (errors < floor.high)).double().mean()
    assert inside == pytest.approx(0.95, abs=0.04)
    assert squares.mean().abs() < 3 * squares.std() / 300**0.5
    assert min(plain) > 0


def test_the_floor_of_small_pieces_is_that_of_one(monkeypatch):
    confidence, _ = calibrated(50, 1)
    whole = calibration_floor(confidence, resamples=100)
    monkeypatch.setattr("mmtutor.evaluation.classification.calibration.BLOCK", 50 * 7)
    assert calibration_floor(confidence, resamples=100) == pytest.approx(whole)


def test_temperature_equals_a_minimiser():
    """With both bounds, at which scipy stops a little early."""
    inside = 0
    for seed in range(300):
        case = random_case(seed)
        best = minimize_scalar(
            lambda t, case=case: cross_entropy(case.logits / np.exp(t), case.label).item(),
            bounds=(np.log(LOWEST), np.log(HIGHEST)),
            method="bounded",
        )
        found = temperature(case.logits, case.label)
        loss = cross_entropy(case.logits / found, case.label).item()
        assert loss <= best.fun + 1e-12
        assert loss == pytest.approx(best.fun, abs=1e-6)
        inside += LOWEST < found < HIGHEST
    assert inside > 60


def test_temperature_undoes_what_made_a_model_too_sure():
    generator = torch.Generator().manual_seed(0)
    logits = 2 * torch.randn(5000, 4, generator=generator)
    label = logits.softmax(1).multinomial(1, generator=generator)[:, 0]
    fitted = temperature(3 * logits, label)
    assert fitted == pytest.approx(3, rel=0.1)
    before = expected_calibration_error(*top_label(3 * logits, label))
    after = expected_calibration_error(*top_label(3 * logits, label, fitted))
    assert after < 0.2 * before
    right = (top_label(3 * logits, label)[1], top_label(3 * logits, label, fitted)[1])
    assert torch.equal(*right)  # no answer changed


def test_temperature_at_its_bounds():
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    assert temperature(logits, torch.tensor([0, 1])) == LOWEST  # all right: never sure enough
    assert temperature(logits, torch.tensor([1, 0])) == HIGHEST  # all wrong: better not be sure
    assert temperature(torch.zeros(3, 2), torch.tensor([0, 1, 1])) == HIGHEST  # nothing to scale


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: reliability(torch.zeros(0), torch.zeros(0) > 0), r"confidence must be \(N,\)"),
        (lambda: reliability(torch.zeros(2), torch.zeros(3) > 0), r"correct .* N = 2.* \(3,\)"),
        (lambda: reliability(torch.tensor([0.5, 1.5]), torch.ones(2) > 0), r"\[0, 1\], got 1.5"),
        (lambda: reliability(torch.tensor([torch.nan]), torch.ones(1) > 0), r"\[0, 1\], got nan"),
        (lambda: reliability(torch.ones(1), torch.ones(1) > 0, bins=0), "bins must be"),
        (lambda: reliability(torch.ones(1), torch.ones(1) > 0, scheme="even"), "'even'"),
        (lambda: squared_calibration_error(torch.ones(1), torch.ones(1) > 0), "two examples"),
        (lambda: temperature(torch.zeros(2, 3), torch.tensor([0, 3])), r"\[0, 3\)"),
        (lambda: temperature(torch.zeros(0, 3), torch.zeros(0).long()), r"logits must be \(N, C\)"),
        (
            lambda: top_label(torch.full((1, 2), torch.nan), torch.tensor([0])),
            "logits must be finite, got nan",
        ),
    ],
)
def test_what_cannot_be_scored_is_an_error(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_a_class_that_is_ruled_out_does_not_disturb_the_temperature():
    logits, label = torch.randn(200, 3), torch.randint(3, (200,))
    closed = torch.cat([logits, torch.full((200, 1), -torch.inf)], dim=1)
    assert temperature(closed, label) == pytest.approx(temperature(logits, label))


def test_zeros_and_ones_say_what_is_correct():
    confidence, correct = torch.tensor([0.9, 0.6, 0.7]), torch.tensor([1, 0, 1])
    expected = expected_calibration_error(confidence, correct.bool())
    assert expected_calibration_error(confidence, correct) == expected
    with pytest.raises(ValueError, match="correct must be True or False"):
        expected_calibration_error(confidence, 2 * correct)


def test_a_class_may_be_ruled_out_but_not_all():
    sure, right = top_label(torch.tensor([[0.0, -torch.inf]]), torch.tensor([0]))
    assert (sure.item(), right.item()) == (1, True)
    with pytest.raises(ValueError, match="logits must be finite, got -inf"):
        top_label(torch.full((1, 2), -torch.inf), torch.tensor([0]))
