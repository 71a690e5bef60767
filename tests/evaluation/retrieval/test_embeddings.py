"""The shape of a shared space: against numpy and scipy, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from mmtutor.evaluation.retrieval.embeddings import alignment, modality_gap, uniformity
from mmtutor.evaluation.statistics.differential import largest_differences, random_case


def unit(x):
    return x.numpy() / np.linalg.norm(x.numpy(), axis=1, keepdims=True)


def two(x):
    """At least two rows."""
    return torch.cat([x, -x])


def test_equal_to_numpy_and_scipy_on_a_thousand_cases():
    pairs = {
        "alignment": (
            lambda c: alignment(c.x, c.y),
            lambda c: (np.linalg.norm(unit(c.x) - unit(c.y), axis=1) ** 2).mean(),
        ),
        "uniformity": (
            lambda c: uniformity(two(c.x)),
            lambda c: np.log(np.exp(-2 * pdist(unit(two(c.x))) ** 2).mean()),
        ),
        "gap": (
            lambda c: modality_gap(c.x, c.y),
            lambda c: np.linalg.norm(unit(c.x).mean(0) - unit(c.y).mean(0)),
        ),
    }
    found = largest_differences(pairs, map(random_case, range(1000)))
    assert max(found.values()) < 1e-12, found


def test_collapsed_and_spread_spaces():
    same = torch.ones(5, 3)
    assert uniformity(same) == pytest.approx(0)
    assert alignment(same, 2 * same) == pytest.approx(0)  # length does not matter
    assert modality_gap(same, -same) == pytest.approx(2)
    spread = torch.randn(500, 3, generator=torch.Generator().manual_seed(0))
    assert uniformity(spread) < -1.5
    assert modality_gap(spread, spread.flip(0)) == pytest.approx(0)


def test_zeros_have_no_direction():
    assert modality_gap(torch.zeros(1, 2), torch.ones(1, 2)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: modality_gap(torch.ones(2, 3), torch.ones(2, 4)), r"\(M, D\)"),
        (lambda: alignment(torch.ones(3), torch.ones(3)), r"\(N, D\)"),
        (
            lambda: alignment(torch.ones(2, 3), torch.ones(3, 3)),
            r"\(N, D\) with N = 2",
        ),
        (lambda: uniformity(torch.ones(1, 3)), "two rows"),
        (lambda: modality_gap(torch.ones(0, 3), torch.ones(1, 3)), r"of shape \(0, 3\)"),
    ],
)
def test_what_has_no_distance_is_an_error(call, says):
    with pytest.raises(ValueError, match=says):
        call()
