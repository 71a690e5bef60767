"""Statistics of pairs: scipy's, at their edges, with groups."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.stats import kendalltau

from mmtutor.evaluation.statistics.paired import kendall_tau, paired_interval


def test_tau_equals_scipy():
    generator = torch.Generator().manual_seed(0)
    for case in range(1_000):
        n = 2 + case % 30
        scores, truth = torch.randint(1 + case % 7, (2, n), generator=generator).double()
        theirs = kendalltau(scores.numpy(), truth.numpy()).statistic
        ours = kendall_tau(scores, truth, resamples=1).estimate
        assert ours == pytest.approx(0 if theirs != theirs else theirs, abs=1e-12)


def test_a_resample_equals_scipy_on_the_drawn_examples():
    scores, truth = torch.randn(2, 12, generator=torch.Generator().manual_seed(1))
    drawn = torch.randint(12, (1, 12), generator=torch.Generator().manual_seed(0))[0]
    found = kendall_tau(scores, truth, resamples=1)
    theirs = kendalltau(scores[drawn].numpy(), truth[drawn].numpy()).statistic
    assert found.low == found.high == pytest.approx(theirs)


def test_groups_widen_the_interval():
    truth = torch.randn(20, generator=torch.Generator().manual_seed(2)).repeat_interleave(5)
    noise = torch.randn(20, generator=torch.Generator().manual_seed(3)).repeat_interleave(5)
    alone = kendall_tau(truth + noise, truth)
    grouped = kendall_tau(truth + noise, truth, groups=torch.arange(20).repeat_interleave(5))
    assert grouped.high - grouped.low > 1.5 * (alone.high - alone.low)
    assert grouped.estimate == alone.estimate


def test_wrong_input():
    with pytest.raises(ValueError, match="at least 2"):
        kendall_tau(torch.ones(1), torch.ones(1))
    with pytest.raises(ValueError, match="finite"):
        kendall_tau(torch.tensor([0.0, torch.nan]), torch.ones(2))


@pytest.mark.parametrize("n", range(2, 11))
def test_it_is_scipys_paired_t_interval(n):
    one, other = np.random.default_rng(n).normal(size=(2, n))
    expected = stats.ttest_rel(one, other).confidence_interval(0.95)
    found = paired_interval(one.tolist(), other.tolist())
    assert found.estimate == pytest.approx((one - other).mean())
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-3)


def test_a_constant_difference_is_certain():
    found = paired_interval([0.5, 0.7, 0.6], [0.4, 0.6, 0.5])
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))


@pytest.mark.parametrize(("one", "other"), [([1.0], [0.0]), ([1.0, 2.0], [1.0]), ([0.0] * 11,) * 2])
def test_unsuitable_numbers_of_seeds(one, other):
    with pytest.raises(ValueError, match=r"one and other must be (of 2 to 10 seeds|as long as)"):
        paired_interval(one, other)
