import numpy as np
import pytest
from scipy import stats

from mmtutor.evaluation.statistics.seeds import paired_interval


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
    with pytest.raises(ValueError, match="expected 2 to 10 seeds on both sides"):
        paired_interval(one, other)
