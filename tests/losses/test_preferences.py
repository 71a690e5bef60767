"""Losses of preferences, against numbers worked out by hand and the equations written plainly."""

import math

import pytest
import torch

from mmtutor.losses import answer_log_probability, bradley_terry, dpo

POLICY = torch.tensor([[-1.0, -2.0], [-3.0, -1.0]], requires_grad=True)
REFERENCE = torch.tensor([[-2.0, -2.0], [-2.0, -3.0]])


def test_an_answer_is_scored_by_hand_and_its_request_is_not():
    logits = torch.tensor([[[0.0, math.log(3)], [math.log(4), 0.0], [0.0, 0.0], [5.0, 0.0]]])
    tokens = torch.tensor([[0, 1, 0, 1]])  # probabilities 3/4, 4/5, 1/2 of all but the first
    for answer, expected in (
        ([0, 0, 1, 1], 4 / 5 * 1 / 2),
        ([0, 1, 0, 0], 3 / 4),
        ([1, 1, 1, 1], 3 / 4 * 4 / 5 * 1 / 2),  # the first is foreseen by none
        ([0, 0, 0, 0], 1.0),
    ):
        found = answer_log_probability(logits, tokens, torch.tensor([answer]).bool())
        assert found.item() == pytest.approx(math.log(expected))


def test_only_what_foresees_an_answer_has_a_gradient():
    logits = torch.randn(1, 5, 3, generator=torch.Generator().manual_seed(0)).requires_grad_()
    answer = torch.tensor([[0, 0, 1, 1, 0]]).bool()
    answer_log_probability(logits, torch.tensor([[0, 1, 2, 0, 0]]), answer).sum().backward()
    assert (logits.grad.abs().sum(-1) > 0).tolist() == [[False, True, True, False, False]]


def test_bradley_terry_by_hand():
    better, worse = torch.tensor([math.log(3), 0.0]), torch.tensor([0.0, 0.0])
    expected = -(math.log(3 / 4) + math.log(1 / 2)) / 2
    assert bradley_terry(better, worse).item() == pytest.approx(expected)
    margin = torch.tensor([-math.log(3), math.log(3)])  # takes the lead of one, explains the other
    expected = -(math.log(1 / 2) + math.log(3 / 4)) / 2
    assert bradley_terry(better, worse, margin).item() == pytest.approx(expected)


def test_dpo_is_its_equation():
    leads = [(-1 + 2) - (-2 + 2), (-3 + 2) - (-1 + 3)]  # of the log-ratios: 1 and -3
    for beta in (0.1, 2.0):
        expected = sum(math.log(1 + math.exp(-beta * lead)) for lead in leads) / 2
        assert dpo(POLICY, REFERENCE, beta).item() == pytest.approx(expected, rel=1e-6)
    assert dpo(REFERENCE, REFERENCE).item() == pytest.approx(math.log(2))


def test_the_gradient_raises_what_was_preferred_and_more_so_where_the_order_is_wrong():
    (gradient,) = torch.autograd.grad(dpo(POLICY, REFERENCE, 0.5), POLICY)
    better, worse = gradient.T
    assert (better < 0).all()
    assert torch.equal(better, -worse)
    wrong = [1 / (1 + math.exp(0.5 * lead)) for lead in (1, -3)]  # sigmoid(-beta lead)
    expected = [-0.5 * share / 2 for share in wrong]
    assert better.tolist() == pytest.approx(expected)
    assert better[1] < better[0]


def test_the_best_policy_is_the_reference_weighted_by_the_reward():
    """Rafailov et al. (2023), equation 4, on four answers whose pairs all occur."""
    reward = torch.tensor([0.0, 1.0, -1.0, 0.5], dtype=torch.float64)
    prior = torch.tensor([0.4, 0.1, 0.3, 0.2], dtype=torch.float64)
    beta, logits = 0.7, prior.log().clone().requires_grad_()
    first, second = torch.cartesian_prod(torch.arange(4), torch.arange(4)).T
    weight = (reward[first] - reward[second]).sigmoid()  # how often the first is preferred
    optimizer = torch.optim.LBFGS([logits], max_iter=200, line_search_fn="strong_wolfe")

    def loss():
        optimizer.zero_grad()
        p, q = logits.log_softmax(0), prior.log()
        both = [
            dpo(torch.stack([p[i], p[j]])[None], torch.stack([q[i], q[j]])[None], beta) * w
            for i, j, w in zip(first, second, weight, strict=True)
        ]
        total = torch.stack(both).sum()
        total.backward()
        return total

    optimizer.step(loss)
    best = prior * (reward / beta).exp()
    torch.testing.assert_close(logits.detach().softmax(0), best / best.sum(), atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: dpo(POLICY[0], REFERENCE), "policy"),
        (lambda: dpo(POLICY, REFERENCE, beta=0.0), "beta"),
        (lambda: bradley_terry(torch.zeros(2), torch.zeros(3)), "worse"),
        (lambda: bradley_terry(torch.zeros(2), torch.zeros(2), torch.zeros(3)), "margin"),
    ],
)
def test_what_does_not_fit_is_refused(call, named):
    with pytest.raises(ValueError, match=named):
        call()
