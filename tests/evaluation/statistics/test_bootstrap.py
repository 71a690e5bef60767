"""Bootstrap intervals: against a plain loop, and against what theory promises."""

from __future__ import annotations

import statistics

import pytest
import torch

from mmtutor.evaluation.statistics.bootstrap import (
    _weighted_median,
    bootstrap_draws,
    bootstrap_interval,
    bootstrap_statistic,
    bootstrap_weights,
    by_group,
    weighted_mean,
)


def plain_resamples(values, cluster, resamples, seed, statistic):
    """What the vectorised code does, one resample at a time, from the same draws."""
    clusters = int(cluster.max()) + 1
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(clusters, (resamples, clusters), generator=generator).tolist()
    members = [values[cluster == c].tolist() for c in range(clusters)]
    return [statistic([v for c in row for v in members[c]]) for row in drawn]


@pytest.mark.parametrize(
    ("function", "statistic"),
    [(weighted_mean, statistics.fmean), (_weighted_median, statistics.median)],
)
@pytest.mark.parametrize("cluster", [torch.arange(9), torch.tensor([0, 0, 0, 1, 1, 2, 3, 3, 3])])
def test_resamples_equal_a_plain_loop(function, statistic, cluster):
    values = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5], dtype=torch.float64)
    found = bootstrap_draws(function(values), len(values), 50, 7, cluster)
    expected = plain_resamples(values, cluster, 50, 7, statistic)
    assert found.tolist() == pytest.approx([statistic(values.tolist()), *expected])


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
        (torch.zeros(0), {}, r"values must be \(N,\)"),
        (torch.zeros(2, 2), {}, r"values must be \(N,\)"),
        (torch.tensor([0.0, torch.nan]), {}, r"values must be finite, got nan at \[1\]"),
        (torch.zeros(3), {"groups": torch.zeros(2)}, "groups must be"),
        (torch.zeros(3), {"statistic": "mode"}, "'mode'"),
        (torch.zeros(3), {"level": 95}, r"level must be in \(0, 1\), got 95"),
        (torch.zeros(3), {"resamples": 0}, "resamples must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_input_is_named(values, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap_interval(values, **options)


def test_resamples_have_the_size_of_the_sample_and_depend_on_the_seed_alone():
    def weights(*arguments):
        return torch.cat(list(bootstrap_weights(*arguments)))

    drawn = weights(7, 50, 3)
    assert drawn.shape == (50, 7)
    assert (drawn.sum(dim=1) == 7).all()
    assert torch.equal(drawn, weights(7, 50, 3))
    assert not torch.equal(drawn, weights(7, 50, 4))
    # a row is left out of (1 - 1/n)^n of all resamples
    assert (weights(100, 500) == 0).double().mean().item() == pytest.approx(0.99**100, abs=0.01)
    grouped = weights(5, 50, 0, torch.tensor([4, 4, -1, -1, -1]))
    assert (grouped[:, 0] == grouped[:, 1]).all()
    assert (grouped[:, 2:4] == grouped[:, 3:]).all()
    assert (grouped[:, 0] + grouped[:, 2] == 2).all()


def test_small_blocks_are_the_whole(monkeypatch):
    values = torch.rand(30, generator=torch.Generator().manual_seed(0))
    whole = bootstrap_interval(values, resamples=100)
    monkeypatch.setattr("mmtutor.evaluation.statistics.bootstrap.BLOCK", 7 * 30)
    assert bootstrap_interval(values, resamples=100) == whole


def test_of_a_mean_the_bootstrap_of_a_statistic_is_that_of_means():
    values = torch.rand(300, generator=torch.Generator().manual_seed(0)).double()
    found = bootstrap_statistic(lambda w: w @ values / w.sum(1), 300)
    assert found == pytest.approx(tuple(bootstrap_interval(values)), abs=1e-12)


def test_what_never_exists_is_an_error():
    with pytest.raises(ValueError, match="does not exist"):
        bootstrap_statistic(lambda w: w.sum(1) * torch.nan, 3, resamples=5)
    with pytest.raises(ValueError, match="examples must be a whole number of at least 1"):
        bootstrap_statistic(lambda w: w.sum(1), 0)


def test_groups_of_questions_by_hand():
    score = torch.tensor([1.0, 0.0, 0.5, 1.0])
    found = by_group(score, ["shape", "colour", "colour", "shape"])
    assert list(found) == ["colour", "shape"]
    assert found["colour"].estimate == 0.25
    assert tuple(found["shape"]) == (1, 1, 1)
    tied = by_group(score, ["all"] * 4, groups=torch.tensor([7, 7, 7, 7]))
    assert tuple(tied["all"]) == (0.625,) * 3
    with pytest.raises(ValueError, match="got 4 and 3"):
        by_group(score, ["a", "b", "c"])


def test_an_interval_checks_what_its_statistic_checks():
    values = torch.rand(4)
    with pytest.raises(ValueError, match=r"groups must be \(4,\)"):
        bootstrap_statistic(weighted_mean(values), 4, groups=torch.arange(4)[:, None])
    with pytest.raises(TypeError, match="groups must be a tensor of whole numbers"):
        bootstrap_interval(values, groups=torch.tensor([0, 0.5, 1, torch.nan]))
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\)"):
        bootstrap_statistic(weighted_mean(values), 4, level=95)
    with pytest.raises(TypeError, match=r"statistic must be \(R, ...\)"):
        bootstrap_statistic(lambda weights: weights.sum().item(), 4)
    with pytest.raises(ValueError, match=r"groups must be \(N,\) with N = 4"):
        by_group(values, list("aabb"), groups=torch.arange(3))


def test_a_statistic_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"statistic must be \(11,\), got float64 of shape"):
        bootstrap_statistic(lambda weights: weights, 5, resamples=10)
