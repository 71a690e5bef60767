"""A rule against a sum over all cases, and spread labels against iteration and scikit-learn."""

import math
from itertools import product

import pytest
import torch
from sklearn.semi_supervised import LabelSpreading

from mmtutor.training.few_labels import rule_loss, shared_word_graph, spread_labels


def test_a_rule_is_the_sum_over_the_cases_that_it_allows():
    torch.manual_seed(0)
    logits = [torch.randn(4, size, dtype=torch.float64) for size in (2, 3, 2)]
    allowed = torch.rand(2, 3, 2) < 0.4
    p = [x.softmax(1) for x in logits]
    by_hand = 0.0
    for row in range(4):
        total = sum(
            math.prod(float(p[k][row, c]) for k, c in enumerate(case))
            for case in product(range(2), range(3), range(2))
            if allowed[case]
        )
        by_hand -= math.log(total) / 4
    assert rule_loss(logits, allowed).item() == pytest.approx(by_hand, abs=1e-12)
    assert rule_loss(logits, torch.ones(2, 3, 2, dtype=torch.bool)).item() == pytest.approx(
        0, abs=1e-12
    )


def test_a_rule_that_one_answer_is_the_other_carries_knowledge_over():
    sure, unsure = torch.tensor([[9.0, -9.0]]), torch.zeros(1, 2, requires_grad=True)
    rule_loss([sure, unsure], torch.eye(2, dtype=torch.bool)).backward()
    assert unsure.grad[0, 0] < -0.4 < 0.4 < unsure.grad[0, 1]


def test_a_rule_of_another_shape_or_that_allows_nothing_is_refused():
    logits = [torch.zeros(1, 2), torch.zeros(1, 3)]
    with pytest.raises(ValueError, match=r"allowed must be of shape \(2, 3\)"):
        rule_loss(logits, torch.ones(3, 2, dtype=torch.bool))
    with pytest.raises(ValueError, match="True somewhere"):
        rule_loss(logits, torch.zeros(2, 3, dtype=torch.bool))


def test_words_that_few_share_tie_more():
    graph = shared_word_graph([["cat", "pet"], ["dog", "pet", "pet"], ["cat", "pet"], ["stone"]])
    rare, common = math.log(4 / 2), math.log(4 / 3)
    expected = torch.zeros(4, 4)
    expected[0, 2] = expected[2, 0] = rare + common
    expected[0, 1] = expected[1, 0] = expected[1, 2] = expected[2, 1] = common
    torch.testing.assert_close(graph, expected)


@pytest.fixture
def graph():
    torch.manual_seed(1)
    weights = torch.rand(12, 12) * (torch.rand(12, 12) < 0.4)
    return (weights + weights.T).fill_diagonal_(0).double()


def test_spread_labels_are_where_the_iteration_ends(graph):
    start = torch.eye(12, 3, dtype=torch.float64)
    size = graph.sum(1).sqrt()
    scores = start.clone()
    for _ in range(2_000):
        scores = 0.9 * (graph / size[:, None] / size) @ scores + 0.1 * start
    torch.testing.assert_close(spread_labels(graph, start, 0.9), scores, rtol=1e-9, atol=1e-12)


def test_scikit_learn_spreads_alike(graph):
    label = torch.full((12,), -1)
    label[:3] = torch.tensor([0, 1, 2])
    theirs = LabelSpreading(
        kernel=lambda a, b: graph.numpy(), alpha=0.8, max_iter=10_000, tol=1e-12
    ).fit(torch.zeros(12, 1).numpy(), label.numpy())
    ours = spread_labels(graph, torch.eye(12, 3, dtype=torch.float64), 0.8)
    ours = ours / ours.sum(1, keepdim=True)
    torch.testing.assert_close(
        ours, torch.from_numpy(theirs.label_distributions_), rtol=1e-6, atol=1e-8
    )


def test_a_lonely_node_keeps_its_label_and_one_direction_is_no_graph():
    start = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert spread_labels(torch.zeros(2, 2), start, 0.5).tolist() == [[0.5, 0.0], [0.0, 0.5]]
    with pytest.raises(ValueError, match="symmetric"):
        spread_labels(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), start)
