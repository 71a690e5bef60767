"""The recipe of few labels, at a size of seconds."""

from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression

from mmtutor.data import Dataset
from mmtutor.models import Classifier
from mmtutor.recipes.learning import few_labels
from mmtutor.recipes.learning.few_labels import STRATEGIES, Config
from mmtutor.training.few_labels import TwoViews

TINY = Config.preset("tiny")


@pytest.mark.usefixtures("fashion_mnist_cache")
def test_a_run_tests_each_way_and_all_learn_from_as_many_rows():
    result = few_labels.run(replace(TINY, ways=("few labels", "FixMatch")), progress=False)
    assert result.metrics.keys() == {"few labels", "FixMatch"}
    for found in result.metrics.values():
        assert 0 <= found["accuracy"]["low"] <= found["accuracy"]["high"] <= 1
        assert found["sure"] == 0 or 0 <= found["right_if_sure"] <= 1
    assert set(result.metrics["few labels"]["gain"].values()) == {0.0}
    rows = {way: few_labels.data(TINY, way) for way in few_labels.WAYS}
    assert {len(data) for data in rows.values()} == {TINY.unlabelled // TINY.ratio}
    few = {x.numpy().tobytes() for x in rows["few labels"].column("image")}
    assert len(few) <= 10 * TINY.labels
    seen = {x.numpy().tobytes() for x in rows["FixMatch"].column("unlabelled").flatten(0, 1)}
    assert not few & seen
    assert not seen & {
        x.numpy().tobytes() for x in rows["other pictures"].column("unlabelled").flatten(0, 1)
    }


@pytest.mark.usefixtures("fashion_mnist_cache")
def test_labels_are_as_many_of_each_class_and_drawn_by_the_seed():
    config = replace(TINY, labels=2, unlabelled=1_600)
    given = few_labels.data(config, "few labels")
    assert given.column("label").bincount().tolist() == [40] * 10
    other = few_labels.data(replace(config, seed=1), "few labels")
    assert not torch.equal(given.column("image"), other.column("image"))


def test_the_ways_start_from_the_same_weights_and_have_their_own_loss():
    plain = few_labels.build(TINY, "few labels")
    views = few_labels.build(TINY, "FixMatch")
    assert isinstance(plain, Classifier)
    assert isinstance(views, TwoViews)
    pairs = zip(plain.parameters(), views.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    found = {way: few_labels.objective(TINY, way) for way in few_labels.WAYS}
    assert found["FixMatch"].threshold == TINY.threshold
    assert found["no threshold"].threshold == found["pseudo-labels"].threshold == 0
    assert found["pseudo-labels"].warmup > 0 == found["FixMatch"].warmup


@pytest.fixture
def blobs():
    """Three classes on a line, one of them rare."""
    torch.manual_seed(0)
    label = torch.tensor([0] * 60 + [1] * 60 + [2] * 6)
    features = torch.randn(126, 2) + 6 * torch.stack([label, label % 2], dim=1)
    return Dataset({"features": features, "label": label})


def test_each_strategy_asks_for_rows_that_are_not_known(blobs):
    known = torch.arange(0, 126, 9)
    x, y = blobs.column("features"), blobs.column("label")
    said = few_labels.probabilities(x[known], y[known], x, 3)
    assert torch.allclose(said.sum(1), torch.ones(126, dtype=torch.float64))
    for strategy in STRATEGIES:
        new = few_labels.ask(strategy, x, known, said, 10)
        assert len(set(new.tolist())) == 10
        assert not set(new.tolist()) & set(known.tolist())
    doubted = few_labels.ask("margin", x, known, said, 1)
    top = said.topk(2).values
    free = torch.ones(126, dtype=torch.bool).index_fill(0, known, False)
    assert top[doubted].diff().abs() == (top[:, 0] - top[:, 1])[free].min()


def test_questions_make_a_classifier_better(blobs):
    scores = few_labels.asked("k-centre", blobs, blobs, 0, first=4, step=4, rounds=3)
    assert len(scores) == 4
    assert scores[-1] > max(0.9, scores[0])


def test_a_class_without_a_label_has_no_probability():
    x = torch.randn(6, 2)
    said = few_labels.probabilities(x, torch.tensor([0, 2, 0, 2, 0, 2]), x, 3)
    assert said[:, 1].eq(0).all()


def test_balanced_accuracy_counts_each_class_alike():
    label = torch.tensor([0] * 8 + [1] * 2)
    assert few_labels.balanced(torch.zeros(10, dtype=torch.int64), label) == 0.5


def test_a_linear_map_is_found_from_pairs():
    torch.manual_seed(0)
    x, weight = torch.randn(50, 4), torch.randn(4, 3)
    y = x @ weight + 2
    found = few_labels.mapped(x, y, x[:5], penalty=1e-4)
    torch.testing.assert_close(found, y[:5] / y[:5].norm(dim=1, keepdim=True), rtol=1e-3, atol=1e-3)


def test_logistic_regression_is_scikit_learns(blobs):
    x, y = blobs.column("features"), blobs.column("label")
    theirs = LogisticRegression(C=2.0, max_iter=1_000, tol=1e-8).fit(x.numpy(), y.numpy())
    ours = few_labels.probabilities(x, y, x, 3, c=2.0)
    assert (ours - torch.from_numpy(theirs.predict_proba(x.numpy()))).abs().max() < 1e-2
