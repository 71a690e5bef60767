"""Ranked lists: against trec_eval and scikit-learn on a thousand cases, ties included."""

from __future__ import annotations

import pytest
import pytrec_eval
import torch
from sklearn.metrics import ndcg_score

from mmtutor.evaluation.retrieval import ranking
from mmtutor.evaluation.retrieval import recall as retrieval
from mmtutor.evaluation.statistics.differential import difference, largest_differences, random_case

MEASURES = {"map", "ndcg", "ndcg_cut.3", "recip_rank", "recall.3", "P.3", "success.3"}


def by_trec_eval(case, ties):
    """Each query's measures, (Q, 7), in sorted order of their names.

    trec_eval lists ties by the name of the document, the last of the alphabet first. So the names
    decide: with "worst" the less relevant come later in the alphabet.
    """
    names = [
        [f"{3 - gain if ties == 'worst' else gain}-{item:02}" for item, gain in enumerate(row)]
        for row in case.gain.tolist()
    ]
    truth, run = {}, {}
    for query, row in enumerate(names):
        truth[str(query)] = dict(zip(row, case.gain[query].tolist(), strict=True))
        run[str(query)] = dict(zip(row, case.similarity[query].tolist(), strict=True))
    found = pytrec_eval.RelevanceEvaluator(truth, MEASURES).evaluate(run)
    return [[v for _, v in sorted(found[str(query)].items())] for query in range(len(names))]


def ours(case, ties):
    score, relevant = case.similarity, case.relevant
    columns = {
        "P_3": ranking.precision_at_k(score, relevant, 3, ties),
        "map": ranking.average_precision(score, relevant, ties),
        "ndcg": ranking.ndcg(score, case.gain, ties=ties),
        "ndcg_cut_3": ranking.ndcg(score, case.gain, k=3, ties=ties),
        "recall_3": ranking.recall_at_k(score, relevant, 3, ties),
        "recip_rank": ranking.reciprocal_rank(score, relevant, ties),
        "success_3": ranking.hit_at_k(score, relevant, 3, ties),
    }
    return torch.stack([columns[name] for name in sorted(columns)], 1)


@pytest.mark.parametrize("ties", ["worst", "best"])
def test_equal_to_trec_eval_on_a_thousand_cases(ties):
    pairs = {"all": (lambda c: ours(c, ties), lambda c: by_trec_eval(c, ties))}
    assert largest_differences(pairs, map(random_case, range(1000)))["all"] < 1e-12


def test_ndcg_equals_scikit_learns_on_a_thousand_cases():
    compared, k = 0, 2
    for seed in range(1200):
        case = random_case(seed)
        if case.gain.shape[1] == 1:
            continue  # scikit-learn refuses galleries of one
        compared += 1
        found = ranking.ndcg(case.similarity, case.gain, k, ties="mean").mean()
        theirs = ndcg_score(case.gain, case.similarity, k=k)
        assert difference(found, theirs) < 1e-12
    assert compared > 1000


def test_the_two_gains_are_one_rule_on_other_numbers():
    case = random_case(1)
    exponential = ranking.ndcg(case.similarity, case.gain, gains="exponential")
    linear = ranking.ndcg(case.similarity, 2**case.gain - 1)
    torch.testing.assert_close(exponential, linear)
    binary = case.relevant.long()
    same = [ranking.ndcg(case.similarity, binary, gains=g) for g in ("linear", "exponential")]
    torch.testing.assert_close(*same)


def test_worst_mean_and_best_are_in_order_and_agree_without_ties():
    for seed in range(0, 300):
        case = random_case(seed)
        worst, mean, best = (
            ranking.ndcg(case.similarity, case.gain, ties=t) for t in ("worst", "mean", "best")
        )
        assert (worst <= mean + 1e-12).all()
        assert (mean <= best + 1e-12).all()
        if seed % 3 == 0:
            torch.testing.assert_close(worst, best)


def test_the_hit_rate_is_the_recall_of_retrieval_when_one_item_is_relevant():
    for seed in range(200):
        case = random_case(seed)
        one = torch.zeros_like(case.relevant).scatter(1, case.gain.argmax(1, keepdim=True), True)
        expected = retrieval.recall_at_k(case.similarity, one, (3,))[3]
        assert ranking.hit_at_k(case.similarity, one, 3).mean().item() == pytest.approx(expected)
        assert ranking.recall_at_k(case.similarity, one, 3).mean().item() == pytest.approx(expected)
        rank = retrieval.ranks(case.similarity, one)
        torch.testing.assert_close(ranking.reciprocal_rank(case.similarity, one), 1 / rank.double())


def test_one_item_is_always_found():
    one = torch.ones(1, 1)
    for measure in (ranking.ndcg, ranking.average_precision, ranking.reciprocal_rank):
        assert measure(one, one > 0).tolist() == [1]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x, r: ranking.ndcg(x, r[:1]), "got"),
        (lambda x, r: ranking.ndcg(x[:0], r[:0]), "at least one row"),
        (lambda x, r: ranking.ndcg(x * torch.nan, r), "row 0 has NaN"),
        (lambda x, r: ranking.ndcg(x, -r), "negative"),
        (lambda x, r: ranking.average_precision(x, r * 0 > 0), "2 of 2 queries"),
        (lambda x, r: ranking.ndcg(x, r, k=0), "k must"),
        (lambda x, r: ranking.recall_at_k(x, r > 0, 0), "k must"),
        (lambda x, r: ranking.ndcg(x, r, gains="log"), "log"),
        (lambda x, r: ranking.average_precision(x, r > 0, ties="mean"), "mean"),
    ],
)
def test_what_cannot_be_ranked_is_an_error(call, says):
    with pytest.raises(ValueError, match=says):
        call(torch.tensor([[0.1, 0.2], [0.3, 0.4]]), torch.tensor([[1, 0], [0, 2]]))
