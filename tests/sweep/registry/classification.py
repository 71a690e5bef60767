"""Entries of `mmtutor.evaluation.classification`: scikit-learn says what holds, or a plain loop."""

import dataclasses

import numpy as np
import pytest
import torch
from sklearn import metrics

from mmtutor.evaluation.classification import calibration, roc, scores
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    count,
    floats,
    generator,
    labels,
    masks,
    number,
    option,
    optional,
    put,
)
from tests.sweep.kinds import weights as weights_of


def size_of(letter):
    """A count that is the size of a letter."""
    return dataclasses.replace(count(), good=lambda random, sizes: sizes[letter])


def weights():
    return optional(weights_of("N"))


def half_positive(random, sizes):
    return torch.randperm(sizes["N"], generator=generator(random)) % 2 == 0


def logits():
    """Minus infinity rules a class out; that is no fault while another is left."""
    kind = floats("N C").without("infinite")
    return kind.but(
        infinite=lambda random, x: put(random, x, torch.inf),
        no_class=lambda random, x: torch.cat([x[:-1], x[-1:] - torch.inf]),
    )


def tables():
    """Many tables at once are good, too."""
    kind = floats("C C", 0.5, 9).without("one axis more")
    return kind.but(negative=lambda random, x: put(random, x, -1))


# scores that are nearly alike change places when they are rounded, or the bin
ROUNDED = "half"


def confidences():
    return floats("N", 0, 1).without(ROUNDED).but(above=lambda random, x: put(random, x, 1.5))


def close(value, expected):
    return np.asarray(value) == pytest.approx(np.asarray(expected), abs=1e-5)


def summed(value, a):
    each = np.ones(len(a.place)) if a.weights is None else a.weights.numpy()
    return close(value, np.bincount(a.place.numpy(), each * a.values.numpy(), a.places))


def counted(value, a):
    expected = metrics.confusion_matrix(
        a.label, a.predicted, labels=range(a.classes), sample_weight=a.weights
    )
    return close(value, expected)


def cells(table):
    """The label and the prediction of each cell, and what it counts."""
    classes = len(table)
    label = np.arange(classes).repeat(classes)
    return label, np.tile(np.arange(classes), classes), table.flatten().numpy()


def authority(table, average):
    label, predicted, weight = cells(table)
    return metrics.precision_recall_fscore_support(
        label, predicted, average=average, sample_weight=weight, zero_division=0
    )


def binned(a, bins, scheme="width", weight=None):
    """Of each bin what it counts, its confidence and its accuracy, one example at a time."""
    sure, right = a.confidence.double().numpy(), a.correct.numpy()
    if scheme == "mass":
        inner = np.quantile(sure, np.arange(1, bins) / bins, method="lower")
        edges = np.concatenate([[0], inner, [1]])
    else:
        edges = np.arange(bins + 1) / bins
    weight = np.ones(len(sure)) if weight is None else weight.double().numpy()
    rows = [[0.0, 0.0, 0.0] for _ in range(bins)]
    for s, r, w in zip(sure, right, weight, strict=True):
        bin_ = next(b for b in range(bins) if s <= edges[b + 1] or b == bins - 1)
        rows[bin_][0] += w
        rows[bin_][1] += w * s
        rows[bin_][2] += w * r
    return [(n, s / n if n else np.nan, r / n if n else np.nan) for n, s, r in rows]


def reliable(value, a):
    rows = np.array(binned(a, a.bins, a.scheme, a.weights))
    found = torch.stack([value.count, value.confidence, value.accuracy], 1).numpy()
    np.testing.assert_allclose(found, rows, atol=1e-5)


def calibration_error(value, a):
    rows = binned(a, a.bins, weight=a.weights)
    total = sum(n for n, _, _ in rows)
    return value == pytest.approx(sum(n * abs(s - r) for n, s, r in rows if n) / total, abs=1e-5)


def squared_error(value, a):
    def bias(n, r):
        return r * (1 - r) / (n - 1) if a.debias else 0

    rows = [row for row in binned(a, a.bins, a.scheme) if row[0] > int(a.debias)]
    expected = sum(n * ((s - r) ** 2 - bias(n, r)) for n, s, r in rows) / sum(r[0] for r in rows)
    return value == pytest.approx(expected, abs=1e-5)


def coldest(value, a):
    """No temperature nearby has a lower loss."""

    def loss(t):
        return torch.nn.functional.cross_entropy(a.logits.double() / t, a.label).item()

    near = [t for t in (value * 0.99, value * 1.01) if 0.01 <= t <= 100]
    return all(loss(value) <= loss(t) + 1e-9 for t in near)


def topped(value, a):
    probability = (a.logits.double() / a.temperature).softmax(1)
    assert close(value[0], probability.amax(1))
    return value[1].tolist() == (a.logits.argmax(1) == a.label).tolist()


BINARY = {
    # infinite scores have an order, too
    "score": floats("N").without("infinite", ROUNDED),
    "positive": masks("N", make=half_positive).but(all_alike=lambda random, x: torch.zeros_like(x)),
    "weights": weights(),
}

ENTRIES = [
    entry(
        scores.weighted_sums,
        place=labels("N", below="P"),
        places=size_of("P"),
        weights=weights(),
        # None counts the weights themselves
        values=floats("N").without("no tensor").but(words=lambda random, x: "abc"),
        holds=summed,
    ),
    entry(
        scores.as_weights,
        weights=optional(
            weights_of("N").but(
                longer=lambda random, x: torch.cat([x, x]), one=lambda random, x: x[:1]
            )
        ),
        examples=size_of("N"),
        holds=lambda value, a: close(
            value, torch.ones(a.examples) if a.weights is None else a.weights
        ),
    ),
    entry(
        scores.check_logits,
        logits=logits(),
        label=labels("N", below="C"),
        holds=lambda value, a: value is None,
    ),
    entry(
        scores.confusion,
        predicted=labels("N", below="C"),
        label=labels("N", below="C"),
        # None leaves it to the labels
        classes=size_of("C").without("no number").but(words=lambda random, x: "two"),
        weights=weights(),
        holds=counted,
    ),
    entry(
        scores.per_class,
        table=tables(),
        holds=lambda value, a: close(torch.stack([*value]), np.stack(authority(a.table, None))),
    ),
    entry(
        scores.averages,
        table=tables(),
        average=option("macro", "micro", "weighted"),
        holds=lambda value, a: close([*value], authority(a.table, a.average)[:3]),
    ),
    entry(
        scores.balanced_accuracy,
        table=tables(),
        holds=lambda value, a: (
            value.item()
            == pytest.approx(
                metrics.balanced_accuracy_score(
                    *cells(a.table)[:2], sample_weight=cells(a.table)[2]
                )
            )
        ),
    ),
    entry(
        roc.auroc,
        **BINARY,
        holds=lambda value, a: (
            value
            == pytest.approx(
                metrics.roc_auc_score(a.positive, a.score, sample_weight=a.weights), abs=1e-5
            )
        ),
    ),
    entry(
        roc.average_precision,
        **BINARY,
        holds=lambda value, a: (
            value
            == pytest.approx(
                metrics.average_precision_score(a.positive, a.score, sample_weight=a.weights),
                abs=1e-5,
            )
        ),
    ),
    entry(
        calibration.top_label,
        logits=logits().without(ROUNDED),
        label=labels("N", below="C"),
        temperature=number("(0, inf)"),
        holds=topped,
    ),
    entry(
        calibration.reliability,
        confidence=confidences(),
        correct=masks("N"),
        bins=count(1, 5),
        scheme=option("width", "mass"),
        weights=weights(),
        holds=reliable,
    ),
    entry(
        calibration.expected_calibration_error,
        confidence=confidences(),
        correct=masks("N"),
        bins=count(1, 5),
        weights=weights(),
        holds=calibration_error,
    ),
    entry(
        calibration.squared_calibration_error,
        confidence=confidences(),
        correct=masks("N"),
        bins=count(1, 3),
        scheme=option("width", "mass"),
        debias=dataclasses.replace(
            count(), good=lambda random, sizes: random.random() < 0.5, bad={}, same={}
        ),
        holds=squared_error,
        with_sizes={"N": 12},
    ),
    entry(
        calibration.calibration_floor,
        confidence=confidences(),
        bins=count(1, 5),
        resamples=count(1, 50),
        holds=lambda value, a: 0 <= value.low <= value.high <= 1,
    ),
    entry(
        calibration.temperature,
        logits=logits(),
        label=labels("N", below="C"),
        holds=coldest,
    ),
]

EXEMPT = {
    "mmtutor.evaluation.classification.scores.number": "hands its argument on, as a float if it can"
}
