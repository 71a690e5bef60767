"""The scorecard: intervals from weights, ranks that know doubt, and JSON that comes back."""

import json

import pytest
import torch

from mmtutor.evaluation import Interval, bootstrap_interval
from mmtutor.evaluation.scorecard.measures import (
    Measure,
    Scorecard,
    constant_measure,
    last,
    measure,
    ranks,
    read,
    significantly_better,
    write,
)
from mmtutor.evaluation.statistics.bootstrap import bootstrap_weights, weighted_mean


def card(name, cell):
    return Scorecard(name, {"accuracy": {"it": cell}})


def answers(right, n=200):
    """The measure of a model that is right on the first `right` of n."""
    return measure(weighted_mean(torch.arange(n) < right), n)


def test_a_measure_of_a_mean_is_the_bootstrap_of_the_mean():
    values = torch.rand(300, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found, other = measure(weighted_mean(values), 300, resamples=4_000), bootstrap_interval(values)
    assert found.interval.estimate == pytest.approx(values.mean().item())
    assert found.interval.low == pytest.approx(other.low, abs=0.004)
    assert found.interval.high == pytest.approx(other.high, abs=0.004)
    assert found.draws.shape == (4_000,)


def test_draws_by_hand():
    values = torch.tensor([1.0, 2.0, 6.0])
    found = measure(weighted_mean(values), 3, resamples=5)
    expected = torch.cat(list(bootstrap_weights(3, 5))) @ values.double() / 3
    assert torch.allclose(found.draws, expected)


def test_the_interval_holds_the_estimate_even_of_a_biased_statistic():
    found = measure(lambda weights: (weights - 1).abs().amax(dim=1), 20)  # 0 for the sample itself
    assert found.interval.estimate == found.interval.low == 0
    assert found.interval.high > 0


def test_paired_differences_are_sharper_than_intervals():
    one, other = answers(100), answers(92)
    assert one.interval.low < other.interval.high  # the intervals overlap
    assert significantly_better(one, other)
    assert not significantly_better(other, one)
    unpaired = one._replace(draws=None)
    assert not significantly_better(unpaired, other)


def test_a_difference_that_may_be_luck_is_not_sure():
    row = torch.arange(200)
    one = measure(weighted_mean(row % 2 == 0), 200)
    other = measure(weighted_mean(row % 3 != 1), 200)
    close = measure(
        weighted_mean((row % 2 == 1) | (row < 9)), 200
    )  # right elsewhere, and a little more often
    assert significantly_better(other, one)
    assert not significantly_better(close, one)
    assert not significantly_better(one, close)


def test_low_is_better_where_it_says_so():
    few, many = constant_measure(3, "low", "FLOP"), constant_measure(4, "low", "FLOP")
    assert significantly_better(few, many)
    assert not significantly_better(many, few)
    assert not significantly_better(few, few)
    slow = Measure(Interval(2.0, 1.0, 3.0), "low", "s")
    fast = Measure(Interval(0.5, 0.4, 0.9), "low", "s")
    assert significantly_better(fast, slow)


def test_ranks_with_ties():
    cards = [card("a", answers(150)), card("b", answers(150)), card("c", answers(50))]
    assert ranks(cards, "accuracy", "it") == {"a": 1, "b": 1, "c": 3}
    assert last(cards, "accuracy", "it") == "c"
    assert last(cards[:2], "accuracy", "it") is None


def test_a_measure_draws_whole_groups():
    values = torch.arange(300.0).sin().repeat_interleave(4)
    groups = torch.arange(300).flip(0).repeat_interleave(4) * 7
    found = measure(weighted_mean(values), 1200, groups=groups, resamples=4_000)
    expected = bootstrap_interval(values, groups=groups)
    assert found.interval == pytest.approx(expected, abs=4e-3)
    alone = measure(weighted_mean(values), 1200, resamples=4_000).interval
    assert found.interval.high - found.interval.low > 1.7 * (alone.high - alone.low)


def test_a_measure_that_does_not_exist_ranks_nothing():
    never = measure(lambda weights: weights.sum(dim=1) * float("nan"), 10)
    cards = [card("a", never), card("b", answers(5, 10))]
    assert ranks(cards, "accuracy", "it") == {"a": 1, "b": 1}


def test_cards_are_written_whole_and_read_back(tmp_path):
    nothing = Measure(Interval(float("nan"), float("nan"), float("nan")), "high", "share")
    cards = [
        card("a", answers(150)),
        card("b", constant_measure(7, "low", "bytes")),
        card("ç", nothing),
    ]
    file = tmp_path / "cards.json"
    write(cards, file)
    back = read(file)
    assert [c.model for c in back] == ["a", "b", "ç"]
    assert back[0]["accuracy", "it"].interval == cards[0]["accuracy", "it"].interval
    assert back[0]["accuracy", "it"].draws is None
    assert back[1].to_dict() == cards[1].to_dict()
    assert (
        back[2]["accuracy", "it"].interval.estimate != back[2]["accuracy", "it"].interval.estimate
    )
    record = json.loads(file.read_text(encoding="utf-8"))
    assert record["cards"][2]["standards"]["accuracy"]["it"]["estimate"] is None
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_without_cards_is_refused(tmp_path):
    file = tmp_path / "other.json"
    file.write_text('{"metrics": 1}')
    with pytest.raises(ValueError, match=r"other\.json.*cards"):
        read(file)


def test_what_cannot_be_compared_is_refused():
    one, other = answers(150), answers(50)
    with pytest.raises(ValueError, match="better alike, got high, low"):
        significantly_better(one, other._replace(better="low"))
    with pytest.raises(ValueError, match=r"other.draws must be \(R,\) with R = 1000"):
        significantly_better(one, other._replace(draws=other.draws[:5]))
    with pytest.raises(KeyError, match="no measure with standard and name"):
        ranks([card("a", one)], "acuracy", "it")
