"""Entries of `mmtutor.evaluation.statistics`: scipy, NumPy and plain loops say what holds."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import stats

from mmtutor.evaluation.statistics import bootstrap, differential, information, paired, preferences
from mmtutor.evaluation.statistics.preferences import Preferences, bradley_terry
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    constantly,
    count,
    floats,
    generator,
    given,
    labels,
    number,
    option,
    optional,
    put,
    texts,
)


def size_of(letter, least=1):
    """A count that is the size of a letter."""
    return dataclasses.replace(count(least), good=lambda random, sizes: sizes[letter])


def group_ids():
    """Which group each of N examples is in: any whole numbers name groups, below 0 and large."""
    kind = labels("N", below=3).without("negative", "too large")
    return optional(kind.but(another=lambda random, x: torch.cat([x, x[:1]])))


def means():
    """A statistic of N examples."""
    return given(
        lambda random, sizes: bootstrap.weighted_mean(
            torch.rand(sizes["N"], generator=generator(random))
        ),
        {
            "no such object": constantly(None, "abc", 3, [1], {"a": 1}),
            "no tensor": lambda random, x: lambda weights: 0.5,
            "one for all": lambda random, x: lambda weights: torch.tensor(0.5),
        },
    )


def drawn(a):
    blocks = bootstrap.bootstrap_weights(a.examples, a.resamples, a.seed, a.groups)
    return torch.cat(list(blocks))


def resamples_hold(value, a):
    times = torch.cat(value)
    assert times.shape == (a.resamples, a.examples)
    if a.groups is None:
        return (times.sum(1) == a.examples).all()
    return all((times[:, a.groups == g].var(dim=1, correction=0) == 0).all() for g in a.groups)


def interval_holds(value, values, level, statistic, weights):
    rows = [values.double().repeat_interleave(row.long()) for row in weights]
    found = [statistic(row.numpy()) for row in rows]
    bounds = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    assert tuple(value) == pytest.approx((statistic(values.double().numpy()), *bounds), abs=1e-5)


def of_interval(value, a):
    weights = torch.cat(
        list(bootstrap.bootstrap_weights(len(a.values), a.resamples, a.seed, a.groups))
    )
    interval_holds(value, a.values, a.level, getattr(np, a.statistic), weights)


def of_statistic(value, a):
    found = a.statistic(drawn(a))
    bounds = found.quantile(torch.tensor([(1 - a.level) / 2, (1 + a.level) / 2]).double())
    itself = a.statistic(torch.ones(1, a.examples).double()).item()
    assert tuple(value) == pytest.approx((itself, *bounds.tolist()), abs=1e-6)


def of_groups(value, a):
    assert list(value) == sorted(set(a.names))
    for name, interval in value.items():
        part = [v for v, other in zip(a.values.tolist(), a.names, strict=True) if other == name]
        assert interval.estimate == pytest.approx(np.mean(part), abs=1e-5)
        assert interval.low <= interval.high


def bradley_terry_holds(value, a):
    """The likelihood has no slope there: each model wins as often as its strength says."""
    s, wins = value.tolist(), a.wins.tolist()
    assert sum(s) == pytest.approx(0, abs=1e-6)
    for i, si in enumerate(s):
        slope = 0.0
        for j, sj in enumerate(s):
            if i != j:
                slope += wins[i][j] - (wins[i][j] + wins[j][i]) / (1 + np.exp(sj - si))
        if a.prior:
            continue  # the phantom's place is not at the mean of the others
        assert slope == pytest.approx(0, abs=1e-4)


def judged(random, sizes):
    models = sizes["M"]
    first = torch.randint(models, (12,), generator=generator(random))
    second = (first + torch.randint(1, models, (12,), generator=generator(random))) % models
    return Preferences(first, second, torch.arange(12) % 3)


JUDGED = given(
    judged,
    {
        "no such object": constantly(None, "abc", 3, [1], {"a": 1}),
        "negative": lambda random, x: x._replace(winner=put(random, x.winner, -1)),
        "too large": lambda random, x: x._replace(loser=put(random, x.loser, 99)),
        "floating": lambda random, x: x._replace(winner=x.winner.double()),
        "column": lambda random, x: x._replace(rater=x.rater[:, None]),
        "NaN": lambda random, x: x._replace(rater=x.rater * float("nan")),
        "one rater": lambda random, x: x._replace(rater=x.rater * 0),
        "itself": lambda random, x: x._replace(loser=x.winner),
        "short": lambda random, x: x._replace(loser=x.loser[1:]),
    },
)


def strengths_hold(value, a):
    wins = torch.zeros(a.models, a.models)
    for winner, loser in zip(a.judged.winner, a.judged.loser, strict=True):
        wins[winner, loser] += 1
    found = [interval.estimate for interval in value]
    assert found == pytest.approx(bradley_terry(wins).tolist(), abs=1e-6)


def simulated(value, a):
    n = a.raters * a.judgements
    assert len(value.winner) == len(value.loser) == n
    assert value.rater.bincount().tolist() == [a.judgements] * a.raters
    return bool((value.winner != value.loser).all()) and int(value.winner.max()) < len(a.truth)


def distribution(pattern):
    def make(random, sizes):
        shape = sizes.shape(pattern)
        p = torch.rand(shape, generator=generator(random)).double() + 0.01
        return p / p.sum()

    kind = floats(pattern, make=make)
    return kind.but(
        negative=lambda random, x: put(random, x, -0.1), twice=lambda random, x: x * 2
    ).without("half")  # rounded, it sums to 1 no more, which is refused or not


def bits(p):
    p = p.double().numpy()
    return (p * np.log2(p / (p.sum(1, keepdims=True) * p.sum(0)))).sum()


def tau(value, a):
    expected = stats.kendalltau(a.scores.numpy(), a.truth.numpy()).statistic
    return value.estimate == pytest.approx(expected, abs=1e-6)


def seeds_hold(value, a):
    difference = np.subtract(a.one.double().numpy(), a.other.double().numpy())
    interval = stats.ttest_1samp(difference, 0).confidence_interval(0.95)
    expected = (difference.mean(), interval.low, interval.high)
    return tuple(value) == pytest.approx(expected, abs=1e-5)


LEVEL, SEED = number("(0, 1)"), count(0, 9)
# rounding moves the order of two scores, and with it the value
EXACT = "half"

ENTRIES = [
    entry(
        bootstrap.bootstrap_weights,
        examples=size_of("N"),
        resamples=count(1, 9),
        seed=SEED,
        groups=group_ids(),
        holds=resamples_hold,
    ),
    entry(
        bootstrap.bootstrap_draws,
        statistic=means(),
        examples=size_of("N"),
        resamples=count(1, 9),
        seed=SEED,
        groups=group_ids(),
        holds=lambda value, a: torch.allclose(value[1:], a.statistic(drawn(a))),
    ),
    entry(
        bootstrap.bootstrap_statistic,
        statistic=means(),
        examples=size_of("N"),
        resamples=count(1, 9),
        level=LEVEL,
        seed=SEED,
        groups=group_ids(),
        holds=of_statistic,
    ),
    entry(
        bootstrap.bootstrap_interval,
        values=floats("N"),
        statistic=option("mean", "median"),
        resamples=count(1, 9),
        level=LEVEL,
        seed=SEED,
        groups=labels("N", below=3).without("negative", "too large"),
        holds=of_interval,
    ),
    entry(
        bootstrap.by_group,
        values=floats("N"),
        names=texts("N"),
        groups=optional(labels("N", below=3).without("negative", "too large")),
        holds=of_groups,
    ),
    entry(
        bootstrap.weighted_mean,
        values=floats("N"),
        holds=lambda value, a: (
            value(torch.ones(1, len(a.values)).double()).item()
            == pytest.approx(a.values.mean().item(), abs=1e-5)
        ),
    ),
    entry(
        bootstrap.percentile_interval,
        # infinity has its place in the order, and NaN is left out
        draws=floats("R").without("NaN", "infinite"),
        level=LEVEL,
        holds=lambda value, a: (
            tuple(value)
            == pytest.approx(
                (
                    a.draws[0].item(),
                    *np.quantile(a.draws[1:].numpy(), [(1 - a.level) / 2, (1 + a.level) / 2]),
                ),
                abs=1e-5,
            )
        ),
    ),
    entry(paired.paired_interval, one=floats("N"), other=floats("N"), holds=seeds_hold),
    entry(
        paired.kendall_tau,
        scores=floats("N").without(EXACT),
        truth=floats("N").without(EXACT),
        groups=optional(labels("N", below=3).without("negative", "too large")),
        resamples=count(1, 9),
        holds=tau,
    ),
    entry(
        preferences.bradley_terry,
        wins=floats("M M", 0.5, 9)
        .but(negative=lambda random, x: put(random, x, -1))
        .without("one axis more"),  # many tables at once
        prior=number("[0, inf)"),
        holds=bradley_terry_holds,
    ),
    entry(
        preferences.strengths,
        judged=JUDGED,
        models=size_of("M", 2),
        resamples=count(1, 5),
        holds=strengths_hold,
    ),
    entry(
        preferences.simulate,
        truth=floats("M"),
        raters=count(1, 5),
        judgements=count(1, 9),
        careless=number("[0, 1]"),
        first_place=number("(-inf, inf)"),
        holds=simulated,
    ),
    entry(
        information.mutual_information,
        p=distribution("X Y"),
        holds=lambda value, a: value == pytest.approx(bits(a.p), abs=1e-6),
    ),
    entry(
        information.decompose,
        p=distribution("X1 X2 Y"),
        holds=lambda value, a: (
            sum(value) == pytest.approx(bits(a.p.flatten(0, 1)), abs=1e-6)
            and value.redundant + value.unique1 == pytest.approx(bits(a.p.sum(1)), abs=1e-6)
            and value.redundant + value.unique2 == pytest.approx(bits(a.p.sum(0)), abs=1e-6)
        ),
    ),
    entry(
        information.invisible_to_sums,
        p=distribution("X1 X2 Y"),
        steps=dataclasses.replace(count(1), good=lambda random, sizes: random.randint(200, 300)),
        tolerance=number("[0, inf)", 1e-12, 1e-11),
        holds=lambda value, a: -1e-9 <= value <= bits(a.p.flatten(0, 1)) + 1e-9,
    ),
    entry(
        differential.random_case,
        seed=count(0, 99),
        holds=lambda value, a: (
            torch.equal(value.logits, differential.random_case(a.seed).logits)
            and 0 < int(value.positive.sum()) < len(value.positive)
            and bool((value.gain > 0).any(1).all())
        ),
    ),
    entry(
        differential.largest_differences,
        pairs=given(
            lambda random, sizes: {"sum": (lambda c: c.x.sum(), lambda c: c.x.sum() + 0.5)}
        ),
        cases=given(
            lambda random, sizes: [differential.random_case(random.randint(0, 9)) for _ in "ab"],
            {"no such object": constantly(None, "abc", 3, [1], {"a": 1}, [])},
        ),
        holds=lambda value, a: value == pytest.approx({"sum": 0.5}),
    ),
]
