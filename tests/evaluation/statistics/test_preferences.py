"""Bradley-Terry: closed form for two, scikit-learn for more, and a known truth found again."""

import math

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mmtutor.evaluation.statistics.preferences import (
    Preferences,
    bradley_terry,
    simulate,
    strengths,
)

TRUTH = torch.tensor([1.0, 0.3, -0.2, -1.1])


def judgements(*pairs, rater=None):
    winner, loser = torch.tensor(pairs).T
    rater = torch.arange(len(pairs)) if rater is None else torch.tensor(rater)
    return Preferences(winner, loser, rater)


def test_two_models_in_closed_form():
    found = bradley_terry(torch.tensor([[0.0, 30], [10, 0]]), prior=0)
    assert (found[0] - found[1]).item() == pytest.approx(math.log(3), abs=1e-8)
    assert found.sum().item() == pytest.approx(0, abs=1e-12)


def test_it_is_logistic_regression_on_differences():
    judged = simulate(TRUTH, raters=30, judgements=20)
    n = len(judged.winner)
    x = torch.zeros(n, 4, dtype=torch.float64)
    x[torch.arange(n), judged.winner] += 1
    x[torch.arange(n), judged.loser] -= 1
    x, y = torch.cat([x, -x]), torch.cat([torch.ones(n), torch.zeros(n)])
    theirs = LogisticRegression(C=1e12, fit_intercept=False, tol=1e-12, solver="newton-cholesky")
    theirs.fit(x.numpy(), y.numpy())
    expected = torch.from_numpy(theirs.coef_[0])
    wins = torch.zeros(4, 4).index_put_((judged.winner, judged.loser), torch.ones(n), True)
    found = bradley_terry(wins, prior=0)
    torch.testing.assert_close(found, expected - expected.mean(), atol=1e-6, rtol=0)


def test_many_tables_at_once_equal_one_after_the_other():
    wins = torch.randint(0, 20, (5, 3, 3), generator=torch.Generator().manual_seed(1)).double()
    both = torch.stack([bradley_terry(table) for table in wins])
    torch.testing.assert_close(bradley_terry(wins), both, atol=1e-7, rtol=0)


def test_one_that_always_won_stays_finite():
    found = bradley_terry(torch.tensor([[0.0, 5, 5], [0, 0, 3], [0, 3, 0]]))
    assert found.isfinite().all()
    assert found.argmax() == 0
    assert found[1] == pytest.approx(found[2])


def test_a_known_truth_lies_in_the_intervals_and_careless_raters_flatten_it():
    found = strengths(simulate(TRUTH, raters=60, judgements=30), 4, resamples=300)
    truth = (TRUTH - TRUTH.mean()).tolist()
    assert all(row.low <= true <= row.high for row, true in zip(found, truth, strict=True))
    assert [row.estimate for row in found] == sorted((row.estimate for row in found), reverse=True)
    careless = strengths(simulate(TRUTH, 60, 30, careless=0.7), 4, resamples=300)
    assert careless[0].high < truth[0]
    assert careless[3].low > truth[3]


def test_intervals_draw_raters_not_judgements():
    pairs = [(0, 1)] * 60 + [(1, 0)] * 40
    alone = strengths(judgements(*pairs), 2)[0]
    blocks = strengths(judgements(*pairs, rater=[i // 20 for i in range(100)]), 2)[0]
    assert blocks.estimate == pytest.approx(alone.estimate)
    assert blocks.high - blocks.low > 2 * (alone.high - alone.low)


def test_a_bias_for_the_first_place_blurs_the_better_model():
    truth = torch.tensor([2.0, 0.0])
    shares = [
        (simulate(truth, 1, 20_000, first_place=bias).winner == 0).double().mean().item()
        for bias in (0.0, 4.0)
    ]
    # the better one stands first half of the time
    expected = [1 / (1 + math.exp(-2)), (1 / (1 + math.exp(-6)) + 1 / (1 + math.exp(2))) / 2]
    assert shares == pytest.approx(expected, abs=0.02)


def test_without_a_prior_there_must_be_a_maximum():
    chain = torch.tensor([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]])
    assert bradley_terry(chain, prior=0).tolist() == pytest.approx([0, 0, 0])
    for wins in (torch.tensor([[0.0, 5], [0, 0]]), torch.block_diag(*[1 - torch.eye(2)] * 2)):
        with pytest.raises(ValueError, match="each model must beat each"):
            bradley_terry(wins, prior=0)
    with pytest.raises(ValueError, match="prior must be in"):
        bradley_terry(chain, prior=-1)


@pytest.mark.parametrize(
    ("wins", "message"),
    [
        (torch.ones(2, 3), "must be"),
        (-torch.ones(2, 2), "wins must be in"),
        (torch.ones(3), "must be"),
    ],
)
def test_wrong_tables_are_refused(wins, message):
    with pytest.raises(ValueError, match=message):
        bradley_terry(wins)


def test_wrong_judgements_are_refused():
    with pytest.raises(ValueError, match="two different numbers"):
        strengths(judgements((1, 1)), 2)
    with pytest.raises(ValueError, match=r"judged.loser must be whole numbers in \[0, 2\), got 2"):
        strengths(judgements((0, 2)), 2)
    with pytest.raises(ValueError, match="at least two raters"):
        strengths(judgements((0, 1), (1, 0), rater=[7, 7]), 2)
    short = judgements((0, 1))._replace(rater=torch.arange(2))
    with pytest.raises(ValueError, match=r"judged.rater must be \(N,\) with N = 1"):
        strengths(short, 2)
