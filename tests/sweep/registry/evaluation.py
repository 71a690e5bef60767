"""Entries of `mmtutor.evaluation` itself, of VQA and of the scorecard."""

import dataclasses
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.data.tables import read_table
from mmtutor.evaluation import (
    efficiency,
    fusion_weight,
    keypoints,
    modality_use,
    motion,
)
from mmtutor.evaluation.predict import Predictions, on_device_of, outputs, predict
from mmtutor.evaluation.scorecard import grading, measures, preferring, served, standards
from mmtutor.evaluation.scorecard import suite as suites
from mmtutor.evaluation.scorecard.measures import Measure, Scorecard
from mmtutor.evaluation.statistics.bootstrap import Interval, weighted_mean
from mmtutor.evaluation.vqa import accuracy
from tests.evaluation import vqa_rules
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    constant,
    constantly,
    count,
    flag,
    floats,
    generator,
    given,
    labels,
    masks,
    number,
    option,
    optional,
    put,
    references,
    text,
    texts,
    weights,
)


class Output(NamedTuple):
    logits: Tensor


class Signs(nn.Module):
    """Says 1 where the sum of x is above 0."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        total = self.weight * batch["x"].flatten(1).sum(dim=1)
        return Output(torch.stack([-total, total], dim=1))


def data(random, sizes):
    x = torch.randn(8, 3, generator=generator(random))
    label = torch.randint(2, (8,), generator=generator(random))
    return Dataset({"x": x, "label": label}, name="data")


MODEL, DATA = given(Signs()), given(data)
BATCH = given(lambda random, sizes: {"x": torch.randn(8, 3, generator=generator(random))})
CALL = given(lambda random, sizes: lambda: torch.ones(3).exp().sum())
# any whole numbers may name groups; half of the examples must be in others
GROUPS = optional(
    labels("8", below=3, make=lambda random, sizes: torch.arange(8) % random.choice([2, 4]))
    .without("negative", "too large")
    .but(longer=lambda random, x: torch.cat([x, x]))
)
REPEATS = count(1, 2).without("numpy", "numpy 32")  # no time is measured twice
COLUMN = given("x", {"no column": constantly("y", "X", "", None, 3, ["x"])})


def size_of(letter, least=1):
    return dataclasses.replace(count(least), good=lambda random, sizes: sizes[letter])


def right(a, x=None):
    x = a.data.column("x") if x is None else x
    return ((x.sum(1) > 0).long() == a.data.column("label")).double()


def moved(value, a):
    """Each value once, and none to its own group."""
    x, own = value.column("x"), a.data.column("x")
    assert sorted(x[:, 0].tolist()) == sorted(own[:, 0].tolist())
    groups = torch.arange(8) if a.groups is None else a.groups
    came_from = [groups[(own == row).all(1)].item() for row in x]
    return all(g != h for g, h in zip(came_from, groups.tolist(), strict=True))


def scored(value, a):
    assert value.before.tolist() == right(a).tolist()
    if a.how == "zero":
        return value.after.tolist() == (a.data.column("label") == 0).double().tolist()
    if a.how == "mean":
        mean = a.data.column("x").mean(0).expand(8, 3)
        return value.after.tolist() == right(a, mean).tolist()
    other = modality_use.permuted(a.data, "x", groups=a.groups).column("x")
    return value.after.tolist() == right(a, other).tolist()


def before_and_after(random, sizes):
    after = torch.randint(2, (6,), generator=generator(random)).double()
    return modality_use.ExampleScores(torch.ones(6).double(), after)


SCORES = given(
    before_and_after,
    {
        "no such object": constantly(None, "abc", 3, [1], {"a": 1}),
        "a tuple": lambda random, x: (x.before, x.after),
        "NaN": lambda random, x: x._replace(after=put(random, x.after, float("nan"))),
        "percent": lambda random, x: x._replace(before=100 * x.before),
        "column": lambda random, x: x._replace(after=x.after[:, None]),
        "short": lambda random, x: x._replace(after=x.after[:1]),
        "never right": lambda random, x: x._replace(before=0 * x.before),
    },
)


def costs(value, a):
    assert (value.parameters, value.joules) == (1, None)
    assert value.best_batch in a.sizes
    return value.latency.low > 0


def near(value, a):
    error = np.linalg.norm(a.predicted.numpy() - a.truth.numpy(), axis=2)
    return (value.numpy() == (error <= a.alpha * a.scale.numpy()[:, None])).all()


def angles(value, a):
    one, other = (np.moveaxis(np.asarray(f.double()), 0, -1) for f in (a.flow, a.truth))
    one, other = (np.concatenate([f, np.ones((*f.shape[:2], 1))], -1) for f in (one, other))
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    expected = np.degrees(np.arccos(np.clip((one * other).sum(-1) / lengths, -1, 1)))
    return np.allclose(value, expected, atol=0.01)


def _chosen(value, a):
    def score(alpha, rows):
        mixed = alpha * a.one + (1 - alpha) * a.other
        return (mixed.argmax(1) == a.label)[rows].double().mean().item()

    for f in range(a.folds):
        held_out = torch.arange(len(a.label)) % a.folds == f
        best = max(a.weights.tolist(), key=lambda alpha: score(alpha, ~held_out))
        assert value.chosen[f].item() == pytest.approx(best)
        assert value.held_out[f].item() == pytest.approx(score(best, held_out))


def answer(random):
    return random.choice(["yes", "Yes", "no", "two", "2", "a red dog", "dont", "1,000"])


def vqa_holds(value, a):
    expected = [
        vqa_rules.accuracy(said, people)
        for said, people in zip(a.predictions, a.annotator_answers, strict=True)
    ]
    assert value.per_question.tolist() == pytest.approx(expected)
    each = None if a.weights is None else a.weights.numpy()
    return value.mean == pytest.approx(np.average(expected, weights=each), abs=1e-5)


def pairs_hold(value, a):
    right, said = a.correct.tolist(), list(a.said)
    both = [x and y for x, y in zip(right[::2], right[1::2], strict=True)]
    changed = [x != y for x, y in zip(said[::2], said[1::2], strict=True)]
    expected = [np.mean(right), np.mean(both), np.mean(changed)]
    return [interval.estimate for interval in value] == pytest.approx(expected)


def means(random, sizes):
    return weighted_mean(torch.rand(sizes["N"], generator=generator(random)))


def cell(random, better="high"):
    values = torch.rand(20, generator=generator(random))
    return measures.measure(weighted_mean(values), 20, better, resamples=50)


def cards(random, sizes):
    return [Scorecard(name, {"accuracy": {"it": cell(random)}}) for name in "ab"]


CARDS = given(
    cards,
    {
        "no such object": constantly(None, "abc", 3, [1], {"a": 1}, []),
        "one name": lambda random, x: [x[0], x[0]],
    },
)
MEASURE = given(lambda random, sizes: cell(random)).but(
    the_other_way=lambda random, x: x._replace(better="low"),
    fewer_draws=lambda random, x: x._replace(draws=x.draws[:9]),
)
STANDARD = given("accuracy", {"unknown": constantly("speed", None, 3, ["accuracy"], "Accuracy")})
NAME = given("it", {"unknown": constantly("that", None, 3, ["it"], "It")})
FOLDER = Path(tempfile.mkdtemp())


def written(random, sizes):
    path = FOLDER / f"{random.getrandbits(60)}.json"
    measures.write(cards(random, sizes), path)
    return path


def broken(content):
    def spoil(random, path):
        other = FOLDER / f"{random.getrandbits(60)}.json"
        other.write_text(content)
        return other

    return spoil


def read_back(value, a):
    copy = FOLDER / "copy.json"
    measures.write(value, copy)
    return copy.read_text() == Path(a.path).read_text()


class Looks(nn.Module):
    """Which of two colours a picture has."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, batch):
        red, green = batch["image"].mean(dim=(2, 3))[:, :2].unbind(1)
        return Output(self.weight * torch.stack([red - green, green - red], dim=1))


def suite(random, sizes):
    label = torch.arange(8) % 2
    image = 0.2 + 0.6 * torch.eye(3)[label][:, :, None, None].expand(8, 3, 4, 4)
    data = Dataset(
        {
            "image": image.contiguous(),
            "label": label,
            "target": torch.ones(8, 4, 4, dtype=torch.bool),
            "kind": list("aabbaabb"),
        },
        name="data",
    )
    return suites.EvaluationSuite(data, ("image",), ("kind",), ("kind",), data, data, {"x": data})


SUITE = given(suite)
NO_DATA = {"no such object": constantly("abc", 3, [1], {"a": 1})}  # None is no paraphrase


def card_holds(value, a):
    assert len(value.measures) == 8
    assert value["accuracy", "accuracy"].interval == (1, 1, 1)
    return value["fairness", "gap: kind"].interval.estimate == 0


def preferences(random, sizes):
    return {name: [f"{name} {i}" for i in range(sizes["N"])] for name in ("one", "two", "three")}


def asked_for(value, a):
    rows = read_table(a.path)
    pairs = list(zip(rows.column("first"), rows.column("second"), strict=True))
    assert rows.column("question") == [text.strip() for text in a.questions]
    return all(x != y and {x, y} < set(a.answers) for x, y in pairs)


def tables(random, sizes):
    path = FOLDER / f"{random.getrandbits(60)}.csv"
    path.write_text("question,answer\nwhat?,yes\nwhich?,no\n")
    return path


def permuted(data, modalities, seed, groups):
    return modality_use.permuted(data, modalities, seed=seed, groups=groups)


def classified(logits, label):
    return Predictions(logits, label).accuracy()


def confused(logits, label):
    return Predictions(logits, label).confusion()


def diverse(logits, label, suite):
    return served.diversity(grading._chosen(Predictions(logits, label)), suite)


GROUPED = torch.tensor([[0, 1, 4, 5], [2, 3, 6, 7]])  # rows of each kind in the suite
LOGITS = (
    floats("N C")
    .without("infinite", "half")  # minus infinity rules a class out; rounding makes ties
    .but(infinite=lambda random, x: put(random, x, torch.inf))
)

ENTRIES = [
    entry(
        classified,
        of=Predictions,
        logits=LOGITS,
        label=labels("N", below="C"),
        holds=lambda value, a: (
            value.estimate == pytest.approx((a.logits.argmax(1) == a.label).double().mean().item())
        ),
    ),
    entry(
        confused,
        of=Predictions,
        logits=LOGITS,
        label=labels("N", below="C"),
        holds=lambda value, a: (
            value.sum() == len(a.label)
            and value.diagonal().sum() == (a.logits.argmax(1) == a.label).sum()
        ),
    ),
    entry(
        predict,
        model=MODEL,
        data=DATA,
        holds=lambda value, a: value.correct.tolist() == right(a).tolist(),
    ),
    entry(
        outputs,
        model=MODEL,
        data=DATA,
        holds=lambda value, a: torch.equal(
            torch.cat([batch["x"] for batch, _ in value]), a.data.column("x")
        ),
    ),
    entry(
        on_device_of,
        model=MODEL,
        batch=BATCH,
        holds=lambda value, a: torch.equal(value["x"], a.batch["x"]),
    ),
    entry(
        permuted,
        of=modality_use.permuted,
        data=DATA,
        modalities=COLUMN,
        seed=count(0, 9),
        groups=GROUPS,
        holds=moved,
    ),
    entry(
        modality_use.ablate,
        model=MODEL,
        data=DATA,
        modality=COLUMN,
        how=option("permute", "zero", "mean"),
        groups=GROUPS,
        holds=lambda value, a: (
            value.intact.estimate == pytest.approx(right(a).mean().item())
            and value.drop.estimate == pytest.approx(value.intact.estimate - value.ablated.estimate)
        ),
    ),
    entry(
        modality_use.example_scores,
        model=MODEL,
        data=DATA,
        modality=COLUMN,
        how=option("permute", "zero", "mean"),
        groups=GROUPS,
        holds=scored,
    ),
    entry(
        modality_use.perceptual_score,
        scores=SCORES,
        groups=optional(
            labels("6", below=3)
            .without("negative", "too large")
            .but(longer=lambda random, x: torch.cat([x, x]))
        ),
        holds=lambda value, a: value.estimate == pytest.approx(1 - a.scores.after.mean().item()),
    ),
    entry(
        modality_use.require_modality_use,
        model=MODEL,
        data=DATA,
        modalities=given(["x"], {"no list": constantly("x", None, 3, [], [3], ["y"])}),
        # so low that every model passes
        margin=number("(-inf, inf)", -9, -2),
        groups=GROUPS,
        holds=lambda value, a: (
            value["x"] == modality_use.ablate(a.model, a.data, "x", groups=a.groups)
        ),
    ),
    entry(
        efficiency.cost,
        model=MODEL,
        batch=BATCH,
        sizes=given([1, 4], {"no sizes": constantly(None, "14", 3, [], [0], [2.5], [99], ["1"])}),
        repeats=REPEATS,
        holds=costs,
    ),
    entry(
        efficiency.parameters,
        module=given(lambda random, sizes: nn.Linear(sizes["C"], 2)),
        holds=lambda value, a: value == 2 * a.module.in_features + 2,
    ),
    entry(efficiency.seconds, call=CALL, repeats=REPEATS, holds=lambda value, a: 0 <= value < 1),
    entry(
        efficiency.flops,
        call=given(
            lambda random, sizes: lambda: torch.ones(2, sizes["C"]) @ torch.ones(sizes["C"], 3)
        ),
        holds=lambda value, a: value == 2 * 2 * 3 * a.call().max(),
    ),
    entry(efficiency.clock, holds=lambda value, a: value <= efficiency.clock()),
    entry(efficiency.once, call=CALL, holds=lambda value, a: 0 <= value < 1),
    entry(
        efficiency.peak_bytes,
        call=CALL,
        device=constant(torch.device("cpu")),
        holds=lambda value, a: value == 24,  # three numbers and what they become
    ),
    entry(
        efficiency.saved_bytes,
        forward=given(
            lambda random, sizes: lambda: torch.ones(sizes["N"], requires_grad=True).exp().sum()
        ),
        holds=lambda value, a: value % 4 == 0 and 8 <= value <= 28,
    ),
    entry(
        keypoints.correct_keypoints,
        predicted=floats("N J 2").without("half"),  # rounding crosses the edge
        truth=floats("N J 2").without("half"),
        scale=floats("N", 0.5, 9)
        .without("half")
        .but(negative=lambda random, x: put(random, x, -1), nothing=lambda random, x: 0 * x),
        alpha=number("(0, inf)"),
        holds=near,
    ),
    entry(
        keypoints.trunk_length,
        joints=floats("N J 2"),
        shoulder=dataclasses.replace(
            count(0), good=lambda random, sizes: random.randrange(sizes["J"])
        ).but(beyond=constantly(8, 99)),
        hip=dataclasses.replace(
            count(0), good=lambda random, sizes: random.randrange(sizes["J"])
        ).but(beyond=constantly(8, 99)),
        holds=lambda value, a: np.allclose(
            value, np.hypot(*(a.joints[:, a.shoulder] - a.joints[:, a.hip]).T.numpy()), atol=1e-5
        ),
    ),
    entry(
        keypoints.confused_sides,
        predicted=floats("N J 2").without("half"),
        truth=floats("N J 2").without("half"),
        mirrored=given(
            lambda random, sizes: list(range(sizes["J"]))[::-1],
            {
                "no list": constantly(None, "10", 3, [0.5], {"a": 1}),
                "beyond": lambda random, x: [99, *x[1:]],
                "short": lambda random, x: x[:-1],
                "negative": lambda random, x: [-1, *x[1:]],
            },
        ),
        holds=lambda value, a: (
            value.tolist()
            == (
                (a.predicted - a.truth[:, a.mirrored]).norm(dim=2)
                < (a.predicted - a.truth).norm(dim=2)
            ).tolist()
        ),
    ),
    entry(
        motion.endpoint_error,
        flow=floats("2 H W"),
        truth=floats("2 H W"),
        holds=lambda value, a: np.allclose(value, np.hypot(*(a.flow - a.truth).numpy()), atol=1e-5),
    ),
    entry(
        motion.angular_error,
        flow=floats("2 H W").without("half"),  # an angle between rounded flows is another
        truth=floats("2 H W").without("half"),
        holds=angles,
    ),
    entry(
        fusion_weight.choose_weight,
        one=floats("N C").without("half"),
        other=floats("N C").without("half"),
        label=labels("N", below="C"),
        weights=floats("A", 0, 1),
        folds=dataclasses.replace(count(2), good=lambda random, sizes: 2).but(
            many=constantly(8, 99)
        ),
        holds=_chosen,
    ),
    entry(
        accuracy.vqa_accuracy,
        predictions=texts("N", answer),
        annotator_answers=references("N", answer),
        quirks=constant(True),
        weights=optional(weights("N")),
        holds=vqa_holds,
    ),
    entry(
        accuracy.normalize_answer,
        answer=text(answer),
        quirks=flag(),
        holds=lambda value, a: value == accuracy.normalize_answer(value, a.quirks),
    ),
    entry(
        accuracy.pair_accuracy,
        correct=masks("N").but(odd=lambda random, x: x[:-1]),
        # any whole numbers from 0 on name answers
        said=labels("N", below=3).without("too large"),
        holds=pairs_hold,
        with_sizes={"N": 6},
    ),
    entry(
        accuracy.pair_accuracy,
        correct=masks("N"),
        said=texts("N", answer),
        holds=pairs_hold,
        with_sizes={"N": 6},
    ),
    entry(
        measures.measure,
        statistic=given(means),
        n=size_of("N"),
        better=option("high", "low"),
        groups=optional(
            labels("N", below=3)
            .without("negative", "too large")
            .but(longer=lambda random, x: torch.cat([x, x]))
        ),
        resamples=count(1, 20),
        holds=lambda value, a: (
            value.interval.low <= value.interval.estimate <= value.interval.high
            and len(value.draws) == a.resamples
        ),
    ),
    entry(
        measures.constant_measure,
        value=number("(-inf, inf)"),
        better=option("high", "low"),
        unit=text(),
        holds=lambda value, a: value == Measure(Interval(*[a.value] * 3), a.better, a.unit),
    ),
    entry(
        measures.significantly_better,
        one=MEASURE,
        other=MEASURE,
        holds=lambda value, a: value == ((a.one.draws - a.other.draws).quantile(0.025).item() > 0),
    ),
    entry(
        measures.Scorecard,
        model=text(),
        measures=given(lambda random, sizes: {"accuracy": {"it": cell(random)}}).but(
            deeper=lambda random, x: {"accuracy": x}, flat=lambda random, x: x["accuracy"]
        ),
        holds=lambda value, a: value["accuracy", "it"] is a.measures["accuracy"]["it"],
    ),
    entry(
        measures.ranks,
        cards=CARDS,
        standard=STANDARD,
        name=NAME,
        holds=lambda value, a: list(value) == ["a", "b"] and min(value.values()) == 1,
    ),
    entry(
        measures.last,
        cards=CARDS,
        standard=STANDARD,
        name=NAME,
        holds=lambda value, a: (
            value is None or measures.ranks(a.cards, a.standard, a.name)[value] == 2
        ),
    ),
    entry(
        measures.write,
        cards=CARDS.without("one name"),
        path=given(FOLDER / "cards.json", {"no path": constantly(None, 3, [1], {"a": 1})}),
        holds=lambda value, a: [c.model for c in measures.read(a.path)] == ["a", "b"],
    ),
    entry(
        measures.read,
        path=given(
            written,
            {
                "no path": constantly(None, 3, [1], {"a": 1}),
                "no JSON": broken("a, b"),
                "no card": broken('{"metrics": 1}'),
                "a list": broken("[1]"),
                "numbers": broken('{"cards": [1]}'),
                "half": broken('{"cards": [{"model": "a"}]}'),
            },
        ),
        holds=read_back,
    ),
    entry(
        suites.EvaluationSuite,
        data=given(lambda random, sizes: suite(random, sizes).data),
        modalities=constant(("image",)),
        domains=given(("kind",), {"unknown": constantly(("tint",), ("data", "tint"))}),
        sensitive=given(("kind",), {"unknown": constantly(("tint",), ("data", "tint"))}),
        paraphrased=given(lambda random, sizes: suite(random, sizes).data).but(
            **NO_DATA, short=lambda random, x: x.subset(range(5))
        ),
        pairs=given(lambda random, sizes: suite(random, sizes).data).but(
            **NO_DATA, odd=lambda random, x: x.subset(range(5))
        ),
        corrupted=constant({}),
        radius=number("[0, inf)"),
        examined=count(1, 9),
        holds=lambda value, a: value.groups is None,
    ),
    entry(
        standards.scorecard,
        model=given(Looks()),
        data=SUITE,
        name=text(),
        score=constant(None),
        holds=card_holds,
    ),
    entry(
        read_table,
        path=given(
            tables,
            {
                "no path": constantly(None, 3, [1], {"a": 1}),
                "absent": constantly(FOLDER / "absent.csv", ""),
                "no table": broken("{}"),
            },
        ),
        holds=lambda value, a: value[1] == {"question": "which?", "answer": "no"},
    ),
    entry(
        preferring.write_preferences,
        answers=given(preferences).but(
            one=lambda random, x: {"one": x["one"]},
            nothing=constantly(None, "abc", 3, {}),
            short=lambda random, x: x | {"one": x["one"][:1]},
        ),
        questions=texts("N", lambda random: random.choice(["what?", "how many?"])),
        path=given(FOLDER / "judged.csv", {"no path": constantly(None, 3, [1], {"a": 1})}),
        holds=asked_for,
    ),
    entry(
        diverse,
        of=served.diversity,
        logits=floats("8 C").without("infinite", "half"),
        label=labels("8", below="C"),
        suite=SUITE,
        holds=lambda value, a: (
            value["worst domain"].interval.estimate
            == pytest.approx((a.logits.argmax(1) == a.label).double()[GROUPED].mean(1).min().item())
        ),
    ),
    entry(
        standards.kept,
        before=masks("N"),
        after=masks("N"),
        holds=lambda value, a: (
            value(torch.ones(1, len(a.before)).double()).item()
            == pytest.approx(np.mean(a.after[a.before].numpy()))
        ),
    ),
]
