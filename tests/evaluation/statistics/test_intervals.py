"""Bootstrap intervals: against a plain loop, and against what theory promises."""

from __future__ import annotations

import statistics

import pytest
import torch

from mmtutor.evaluation import bootstrap_interval
from mmtutor.evaluation.statistics.intervals import _resampled_means, _resampled_medians


def plain_resamples(values, cluster, resamples, seed, statistic):
    """What the vectorised code does, one resample at a time, from the same draws."""
    clusters = int(cluster.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(clusters, (resamples, clusters), generator=generator).tolist()
    members = [values[cluster == c].tolist() for c in range(clusters)]
    return [statistic([v for c in row for v in members[c]]) for row in drawn]


@pytest.mark.parametrize(
    ("function", "statistic"),
    [(_resampled_means, statistics.fmean), (_resampled_medians, statistics.median)],
)
@pytest.mark.parametrize("cluster", [torch.arange(9), torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3])])
def test_resamples_equal_a_plain_loop(function, statistic, cluster):
    values = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5], dtype=torch.float64)
    found = function(values, cluster, 50, torch.Generator().manual_seed(7))
    expected = plain_resamples(values, cluster, 50, 7, statistic)
    assert found.tolist() == pytest.approx(expected)


def test_mean_interval_is_as_wide_as_theory_says():
    values = torch.randn(400, generator=torch.Generator().manual_seed(0))
    interval = bootstrap_interval(values)
    half = 1.96 * values.std().item() / len(values) ** 0.5
    assert interval.estimate == pytest.approx(values.mean().item(), abs=1e-6)
    assert interval.high - interval.estimate == pytest.approx(half, rel=0.1)
    assert interval.estimate - interval.low == pytest.approx(half, rel=0.1)


def test_copies_add_no_certainty_when_drawn_as_groups():
    values = torch.randn(100, generator=torch.Generator().manual_seed(0))
    alone = bootstrap_interval(values)
    copied = values.repeat_interleave(4)
    groups = torch.arange(100).repeat_interleave(4) * 10 - 5  # labels need not be 0, 1, 2
    clustered = bootstrap_interval(copied, groups=groups)
    naive = bootstrap_interval(copied)
    assert tuple(clustered) == pytest.approx(tuple(alone))
    assert naive.high - naive.low < 0.6 * (clustered.high - clustered.low)


def test_seed_level_and_one_value():
    values = torch.arange(50.0)
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)
    wide, narrow = bootstrap_interval(values, level=0.99), bootstrap_interval(values, level=0.5)
    assert wide.low < narrow.low < narrow.high < wide.high
    assert tuple(bootstrap_interval(torch.tensor([0.5]))) == (0.5, 0.5, 0.5)
    assert bootstrap_interval(torch.tensor([True, False])).estimate == 0.5


def test_median():
    interval = bootstrap_interval(torch.tensor([1.0, 2.0, 3.0, 100.0]), "median")
    assert interval.estimate == 2.5
    assert interval.low == 1


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (torch.zeros(0), {}, "non-empty"),
        (torch.zeros(2, 2), {}, "non-empty"),
        (torch.tensor([0.0, torch.nan]), {}, "value 1 is nan"),
        (torch.zeros(3), {"groups": torch.zeros(2)}, "groups must be"),
        (torch.zeros(3), {"statistic": "mode"}, "'mode'"),
        (torch.zeros(3), {"level": 95}, "level=95"),
        (torch.zeros(3), {"resamples": 0}, "resamples=0"),
    ],
)
def test_bad_input_is_named(values, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, **options)
