"""Ranked lists: against trec_eval on a thousand cases, ties included."""

from __future__ import annotations

import pytest
import pytrec_eval
import torch

from mmtutor.evaluation.retrieval.recall import (
    hit_rates,
    mean_average_precision,
    mean_reciprocal_rank,
    ranks,
    recall_at_k,
)
from mmtutor.evaluation.statistics.differential import largest_differences, random_case

MEASURES = {"map", "recip_rank", "success.3"}


def by_trec_eval(case):
    """Each query's measures, (Q, 3), in sorted order of their names.

    trec_eval lists ties by the name of the document, the last of the alphabet first. So the names
    decide: the less relevant come later in the alphabet, and are listed first.
    """
    names = [[f"{3 - gain}-{i:02}" for i, gain in enumerate(row)] for row in case.gain.tolist()]
    truth, run = {}, {}
    for query, row in enumerate(names):
        truth[str(query)] = dict(zip(row, case.gain[query].tolist(), strict=True))
        run[str(query)] = dict(zip(row, case.similarity[query].tolist(), strict=True))
    found = pytrec_eval.RelevanceEvaluator(truth, MEASURES).evaluate(run)
    return [[v for _, v in sorted(found[str(query)].items())] for query in range(len(names))]


def ours(case):
    """The same, one query at a time."""
    queries = zip(case.similarity.split(1), case.relevant.split(1), strict=True)
    return [
        [
            mean_average_precision(score, relevant),
            mean_reciprocal_rank(ranks(score, relevant)),
            recall_at_k(score, relevant, (3,))[3],
        ]
        for score, relevant in queries
    ]


def test_equal_to_trec_eval_on_a_thousand_cases():
    found = largest_differences({"all": (ours, by_trec_eval)}, map(random_case, range(1000)))
    assert found["all"] < 1e-12


def test_a_mean_over_queries_counts_each_as_often_as_its_weight_says():
    compared = 0
    for seed in range(200):
        case = random_case(seed)
        score, relevant = case.similarity, case.relevant
        weights = torch.randint(4, (len(score),), generator=torch.Generator().manual_seed(seed))
        if not weights.any():
            continue
        again = torch.repeat_interleave(weights)
        compared += len(set(weights.tolist())) > 1
        rank, repeated = ranks(score, relevant), ranks(score[again], relevant[again])
        pairs = [
            (mean_average_precision(score, relevant, weights),
             mean_average_precision(score[again], relevant[again])),
            (mean_reciprocal_rank(rank, weights), mean_reciprocal_rank(repeated)),
            (recall_at_k(score, relevant, (2,), weights)[2], hit_rates(repeated, (2,))[2]),
        ]  # fmt: skip
        assert [one for one, _ in pairs] == pytest.approx([other for _, other in pairs])
    assert compared > 100


def test_one_item_is_always_found():
    one = torch.ones(1, 1)
    assert mean_average_precision(one, one > 0) == mean_reciprocal_rank(ranks(one, one > 0)) == 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda x, r: mean_average_precision(x, r[:1]), "got"),
        (lambda x, r: mean_average_precision(x[:0], r[:0]), r"of shape \(0, 2\)"),
        (lambda x, r: mean_average_precision(x * torch.nan, r), r"nan at \[0, 0\]"),
        (lambda x, r: mean_average_precision(x, r & ~r), "2 of 2 queries"),
        (lambda x, r: recall_at_k(x, r, (0,)), "ks must"),
        (lambda x, r: recall_at_k(x, r, weights=torch.ones(3)), r"weights must be \(2,\)"),
        (lambda x, r: recall_at_k(x, r, weights=torch.zeros(2)), "not all be 0"),
        (
            lambda x, r: mean_average_precision(x, r, torch.tensor([2.0, -1.0])),
            "weights must be in",
        ),
        (
            lambda x, r: mean_average_precision(x, r, torch.full((2,), torch.nan)),
            "weights must be in",
        ),
    ],
)
def test_what_cannot_be_ranked_is_an_error(call, says):
    with pytest.raises(ValueError, match=says):
        call(torch.tensor([[0.1, 0.2], [0.3, 0.4]]), torch.tensor([[True, False], [False, True]]))
