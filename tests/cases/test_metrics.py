"""Small inputs on which public metrics of other projects went wrong."""

import pytest
import torch
from sklearn.metrics import roc_auc_score

from mmtutor.evaluation.classification import auroc, averages
from mmtutor.evaluation.generation import bleu, distinct, error_rate, idf
from mmtutor.evaluation.predict import Predictions
from mmtutor.evaluation.retrieval.recall import (
    mean_average_precision,
    mean_reciprocal_rank,
    ranks,
    recall_at_k,
)
from mmtutor.evaluation.statistics import bootstrap_statistic
from mmtutor.evaluation.vqa import vqa_accuracy
from tests.cases.outcome import outcome


def test_graded_relevance_in_binary_metrics():
    scores = torch.tensor([[3.0, 2.0, 1.0]])
    calls = {
        "reciprocal_rank": lambda: mean_reciprocal_rank(ranks(scores, torch.tensor([[1, 3, 0]]))),
        "average_precision": lambda: mean_average_precision(scores, torch.tensor([[3, 0, 0]])),
        "recall_at_k": lambda: recall_at_k(scores, torch.tensor([[3, 0, 0]]), (1,))[1],
    }
    for name, call in calls.items():
        refused, got = outcome(call)
        assert refused or got == pytest.approx(1.0, abs=1e-9), name


def test_auroc_interval_of_integer_targets():
    scores, target = torch.tensor([0.1, 0.4, 0.35, 0.8]), torch.tensor([0, 0, 1, 1])
    refused, got = outcome(
        lambda: bootstrap_statistic(lambda w: auroc(scores, target, w), 4, resamples=100)
    )
    assert refused or got.estimate == pytest.approx(roc_auc_score(target, scores), abs=1e-9)


def test_logits_that_are_nan_have_no_accuracy():
    nan = Predictions(torch.full((3, 4), float("nan")), torch.tensor([0, 0, 1]))
    refused, got = outcome(nan.accuracy)
    assert refused or got.estimate != got.estimate


@pytest.mark.parametrize(
    "call",
    [
        lambda: distinct("the cat sat", 1),
        lambda: error_rate(["a", "b", "c"], "abc"),
    ],
    ids=["distinct", "error_rate"],
)
def test_one_string_where_a_list_of_strings_belongs(call):
    assert outcome(call)[0]


def test_one_string_where_a_list_of_answers_belongs():
    assert outcome(lambda: vqa_accuracy("yes", [["yes"] * 10] * 3))[0]


def test_idf_of_an_integer_mask():
    ids, references = torch.tensor([[1, 2, 3]]), torch.tensor([[1, 2, 0], [1, 3, 3], [1, 2, 3]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 1, 1]])
    all_real = torch.ones_like(ids).bool()
    right = idf(ids, all_real, references, mask.bool())
    refused, got = outcome(lambda: idf(ids, all_real, references, mask))
    assert refused or torch.allclose(got, right)


def test_bleu_of_two_sentences_that_differ_in_a_vowel_sign():
    score = bleu(["लड़का की"], [["लड़के का"]], tokenizer="caption", orders=1).score
    assert score < 100


def test_a_misspelt_option():
    assert outcome(lambda: averages(torch.eye(3), "mirco"))[0]
