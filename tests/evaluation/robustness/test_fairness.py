import numpy as np
import pytest
import torch

from mmtutor.evaluation.robustness.fairness import (
    balance,
    group_gaps,
    implied_false_positive_rate,
    modality_values,
)


def table(rows) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """(group, label, predicted, how many) -> predicted, label, group."""
    group, label, predicted = (
        torch.tensor([row[k] for row in rows for _ in range(row[3])]) for k in range(3)
    )
    return predicted, label, group


# group 0: 10 positives, 9 found; 30 negatives, 3 false alarms. Group 1: 20, 10 found; 20, 8 false.
BINARY = [
    *((0, 1, 1, 9), (0, 1, 0, 1), (0, 0, 1, 3), (0, 0, 0, 27)),
    *((1, 1, 1, 10), (1, 1, 0, 10), (1, 0, 1, 8), (1, 0, 0, 12)),
]


def test_two_groups_by_hand():
    gaps = group_gaps(*table(BINARY), names=["old", "young"])
    assert gaps.accuracy["old"].estimate == pytest.approx(36 / 40)
    assert gaps.accuracy["young"].estimate == pytest.approx(22 / 40)
    assert gaps.worst.estimate == pytest.approx(22 / 40)
    assert gaps.accuracy_gap.estimate == pytest.approx(14 / 40)
    assert gaps.opportunity_gap.estimate == pytest.approx(0.4)  # 9/10 less 10/20
    assert gaps.odds_gap.estimate == pytest.approx(0.4)  # the false positive rate: 0.1 and 0.4
    assert gaps.parity_gap.estimate == pytest.approx(18 / 40 - 12 / 40)


def test_every_interval_holds_its_estimate_and_luck_is_told_from_a_gap():
    gaps = group_gaps(*table(BINARY))
    for gap in gaps[2:]:
        assert gap.low <= gap.estimate <= gap.high
    assert gaps.accuracy["0"].low < 0.9 < gaps.accuracy["0"].high
    assert gaps.accuracy_gap.found
    same = [(g, *row[1:]) for g in (0, 1) for row in BINARY if row[0] == 0]
    for gap in group_gaps(*table(same))[2:]:
        assert gap.estimate == 0
        assert not gap.found
        assert gap.chance > 0.05


def test_luck_alone_is_rarely_found():
    torch.manual_seed(0)
    found = [
        group_gaps(
            *torch.randint(2, (2, 200)), torch.randint(3, (200,)), resamples=400
        ).accuracy_gap.found
        for _ in range(60)
    ]
    assert sum(found) <= 9  # 5 % expected


def test_the_interval_is_that_of_a_bootstrap_over_examples():
    predicted, label, group = table(BINARY)
    random = np.random.default_rng(0)
    rows = random.integers(80, size=(20_000, 80))
    right = (predicted == label).double().numpy()[rows]
    young = group.numpy()[rows] == 1
    gap = np.abs((right * young).sum(1) / young.sum(1) - (right * ~young).sum(1) / (~young).sum(1))
    expected = np.quantile(gap, [0.025, 0.975])
    found = group_gaps(predicted, label, group, resamples=20_000).accuracy_gap
    np.testing.assert_allclose([found.low, found.high], expected, atol=0.01)


def test_many_classes_and_groups_as_counted_one_by_one():
    generator = torch.Generator().manual_seed(1)
    predicted, label = torch.randint(4, (2, 300), generator=generator)
    group = torch.randint(3, (300,), generator=generator) * 7 - 2  # any numbers
    gaps = group_gaps(predicted, label, group, resamples=10)
    true, false, said = [], [], []
    for c in range(4):
        rates = []
        for g in group.unique():
            own, hit = group == g, predicted == c
            rates.append(
                [
                    hit[own & (label == c)].double().mean(),
                    hit[own & (label != c)].double().mean(),
                    hit[own].double().mean(),
                ]
            )
        spread = torch.tensor(rates).amax(0) - torch.tensor(rates).amin(0)
        for collected, value in zip((true, false, said), spread.tolist(), strict=True):
            collected.append(value)
    assert gaps.opportunity_gap.estimate == pytest.approx(max(true), abs=1e-6)
    assert gaps.odds_gap.estimate == pytest.approx(max(true + false), abs=1e-6)
    assert gaps.parity_gap.estimate == pytest.approx(max(said), abs=1e-6)
    assert list(gaps.accuracy) == ["-2", "5", "12"]


def test_thousands_of_answers():
    label = torch.arange(9_000) % 3_000
    group = torch.arange(9_000) // 4_500
    predicted = torch.where(group == 0, label, (label + 1) % 3_000)
    gaps = group_gaps(predicted, label, group, resamples=8)
    assert gaps.accuracy_gap.estimate == 1
    assert gaps.opportunity_gap.estimate == 1


def test_a_rate_without_examples_is_left_out():
    rows = [(0, 0, 0, 5), (0, 1, 1, 5), (1, 0, 0, 5)]  # group 1 has no positive
    gaps = group_gaps(*table(rows))
    assert gaps.opportunity_gap.estimate == 0
    assert gaps.accuracy_gap.estimate == 0
    assert gaps.parity_gap.estimate == 0.5


def test_the_impossibility_by_counting():
    # 100 of each group; the same precision 3/4 and recall 3/5, prevalence 1/2 and 1/4
    for positives in (50, 25):
        hit = positives * 3 / 5
        false = hit / 3
        expected = false / (100 - positives)
        found = implied_false_positive_rate(positives / 100, 3 / 4, 3 / 5)
        assert found == pytest.approx(expected)
    assert implied_false_positive_rate(0.3, 1.0, 1.0) == implied_false_positive_rate(0.6, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"prevalence must be in \[0, 1\)"):
        implied_false_positive_rate(1.0, 0.5, 0.5)


def test_shapley_by_hand():
    def score(**values):
        return {frozenset(k.replace("none", "")): v for k, v in values.items()}

    alone = modality_values(score(none=0.25, i=0.75, t=0.25, it=0.75))
    assert alone == pytest.approx({"i": 0.5, "t": 0.0})
    together = modality_values(score(none=0.5, i=0.5, t=0.5, it=1.0))  # an exclusive or
    assert together == pytest.approx({"i": 0.25, "t": 0.25})
    assert (balance(alone), balance(together)) == (0.0, 1.0)
    three = score(none=0.0, a=0.1, i=0.2, t=0.3, ai=0.3, at=0.4, it=0.7, ait=1.0)
    shares = modality_values(three)
    # a: orders ait aIt … by hand: (2*0.1 + 0.1 + 0.1 + 2*0.3) / 6
    assert shares["a"] == pytest.approx((2 * 0.1 + 0.1 + 0.1 + 2 * 0.3) / 6)
    assert sum(shares.values()) == pytest.approx(1.0)


def test_balance_by_hand():
    assert balance({"image": 0.3, "text": 0.1}) == pytest.approx(1 / 3)
    assert balance({"image": 0.3, "text": -0.1}) == 0
    assert balance({"image": 0.0, "text": 0.0}) == 0
    with pytest.raises(ValueError, match="two modalities"):
        balance({"image": 1.0})


def test_what_makes_no_sense_is_refused():
    predicted, label, group = table(BINARY)
    with pytest.raises(ValueError, match="group must be"):
        group_gaps(predicted, label, group[:-1])
    with pytest.raises(ValueError, match="predicted must be"):
        group_gaps(*torch.zeros(3, 0, dtype=torch.int64))
    with pytest.raises(ValueError, match="group must have two numbers, for a gap, got 1"):
        group_gaps(predicted, label, torch.ones_like(group))
    with pytest.raises(ValueError, match="names must name each of 2 groups once"):
        group_gaps(predicted, label, group, names=list("abc"))
    with pytest.raises(ValueError, match=r"got none of \['t'\]"):
        modality_values({frozenset(): 0.0, frozenset("i"): 0.1, frozenset("it"): 0.2})
