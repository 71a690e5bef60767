"""Search within a budget: what is drawn, what is told, and what is kept."""

import math
from dataclasses import replace

import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.recipes.learning import search
from mmtutor.recipes.learning.search import SPACE, Config, at_random

TINY = Config.preset("tiny")
VALUES = {name: bounds.low for name, bounds in SPACE.items()} | {"lr": 0.1, "scale": 5.0}


@pytest.fixture
def easy():
    """Features that say the class."""
    torch.manual_seed(0)
    label = torch.randint(0, 9, (60,))
    features = torch.nn.functional.one_hot(label, 1280) + 0.01 * torch.randn(60, 1280)
    return Dataset({"image_features": features, "label": label})


def test_random_draws_lie_in_the_space_and_follow_the_seed():
    choose, same, other = at_random(0), at_random(0), at_random(1)
    drawn = [choose()[0] for _ in range(400)]
    assert drawn[0] == same()[0] != other()[0]
    for name, (low, high, log) in SPACE.items():
        values = sorted(values[name] for values in drawn)
        assert low <= values[0] < values[-1] <= high
        middle = math.sqrt(low * high) if log else (low + high) / 2
        assert 0.4 < sum(value < middle for value in values) / 400 < 0.6


def test_a_search_tells_each_score_and_keeps_the_best(monkeypatch, easy):
    scores, told = iter([0.2, 0.9, 0.5]), []
    monkeypatch.setattr(search, "accuracy", lambda *_: next(scores))
    tried = iter([{**VALUES, "lr": rate} for rate in (0.1, 0.2, 0.3)])
    config = replace(TINY, trials=3)
    best, found = search.search(
        config, lambda: (next(tried), told.append), {"train": easy, "val": easy}
    )
    assert best["lr"] == 0.2
    assert found == told == [0.2, 0.9, 0.5]


def test_a_probe_learns_and_reads_features_as_they_are(easy):
    model, _ = search.trained(replace(TINY, epochs=20), VALUES, easy)
    assert search.accuracy(model, easy) > 0.9
    wrong = easy.with_column("label", easy.column("label").roll(1))
    assert search.accuracy(search.trained(TINY, VALUES, wrong)[0], easy) < 0.5


def test_without_optuna_one_sentence_says_what_to_do(monkeypatch):
    monkeypatch.setattr(search, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r'pip install "mmtutor\[search\]"'):
        search.run(TINY)


def test_both_searches_make_as_many_trials():
    metrics = search.run(TINY, progress=False).metrics
    assert metrics.keys() == {"random", "TPE"}
    for found in metrics.values():
        assert [len(best) for best in found["best"]] == [TINY.trials] * TINY.searches
        assert all(best == sorted(best) for best in found["best"])
        assert len(found["test"]) == len(found["values"]) == TINY.searches
