"""A bootstrap interval of a mean from 10,000 resamples: against scipy's, vectorised as well."""

from __future__ import annotations

import torch

from benchmarks.harness import Comparison
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval


def comparisons(examples: int = 1_000, resamples: int = 10_000):
    """One row; both ways draw examples with replacement and take percentiles."""
    import numpy as np
    import scipy
    from scipy.stats import bootstrap

    right = torch.rand(examples, generator=torch.Generator().manual_seed(0)) < 0.8
    values = right.double()

    def with_scipy() -> Interval:
        found = bootstrap(
            (values.numpy(),), np.mean, n_resamples=resamples, method="percentile", rng=0
        )
        return Interval(values.mean().item(), *found.confidence_interval)

    what = f"95 % interval of a mean of {examples:,}, {resamples:,} resamples"
    ours = lambda: bootstrap_interval(values, resamples=resamples)  # noqa: E731
    yield Comparison(
        what, f"scipy {scipy.__version__} stats.bootstrap", ours, with_scipy, _close, 1.2
    )


def _close(ours: Interval, theirs: Interval) -> None:
    """The same up to what chance does to percentiles of 10,000 draws."""
    assert max(abs(a - b) for a, b in zip(ours, theirs, strict=True)) < 2e-3, (ours, theirs)
