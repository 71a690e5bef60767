"""Corruption, attack, absence and groups: `mmtutor.evaluation.robustness`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.data.tokenizer import WordTokenizer
from mmtutor.evaluation import robustness as r
from mmtutor.evaluation.robustness.attacks import cross_entropy, keep_worse
from mmtutor.evaluation.robustness.curves import _Curve, _Trend
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    Kind,
    count,
    floats,
    given,
    labels,
    number,
    option,
    optional,
)


class Logits(NamedTuple):
    logits: Tensor


class Linear(nn.Module):
    """Two classes of pictures (B, 3, 2, 2)."""

    def __init__(self, seed: int = 0):
        super().__init__()
        weight = torch.randn(2, 12, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(weight)

    def forward(self, batch):
        return Logits(batch["image"].flatten(1) @ self.weight.T)


class Reader(nn.Module):
    """Three classes of texts, by the mean of their word vectors."""

    def __init__(self):
        super().__init__()
        vectors = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=False)

    def forward(self, batch):
        return Logits(self.embedding(batch["tokens"].long()).mean(1))


MODEL, READER = given(lambda random, sizes: Linear()), Reader()


def changed(key: str, how) -> object:
    return lambda random, x: x | {key: how(x[key])}


def pictures(random, sizes):
    image = floats("B 3 2 2", 0.0, 1.0).good(random, sizes)
    return {"image": image, "label": labels("B", 2).good(random, sizes)}


BAD = {
    "no batch": lambda random, x: random.choice([None, "abc", 3, [1], {"a": 1}]),
    "class -100": changed("label", lambda y: torch.full_like(y, -100)),
    "class too large": changed("label", lambda y: y + 5),
    "labels of a column": changed("label", lambda y: y[:, None]),
    "broken labels": changed("label", lambda y: y + 0.5),
    "fewer labels": changed("label", lambda y: y[:-1]),
}
PICTURES = Kind(
    pictures,
    bad=BAD
    | {
        "normalised": changed("image", lambda x: (x - 0.5) / 0.25 + 3),
        "up to 255": changed("image", lambda x: x * 254 + 1),
        "NaN": changed("image", lambda x: x * float("nan")),
        "bytes": changed("image", lambda x: (255 * x).byte()),
        "empty": lambda random, x: {k: v[:0] for k, v in x.items()},
    },
    same={"int32": changed("label", lambda y: y.int())},
)
ANY_PICTURES = Kind(
    pictures,
    bad={k: v for k, v in PICTURES.bad.items() if k not in ("normalised", "up to 255")},
    same=PICTURES.same,
)
SCORED = Kind(pictures, bad=BAD, same=PICTURES.same)  # only labels are read
RADIUS, NORM = number("[0, inf)", 0.01, 0.3), option("linf", "l2")


def within_ball(value, a: SimpleNamespace) -> bool:
    change = (value["image"] - a.batch["image"]).flatten(1)
    norm = torch.inf if a.norm == "linf" else 2
    inside = bool((change.norm(norm, dim=1) <= a.radius + 1e-5).all())
    return inside and value["image"].min() >= 0 and value["image"].max() <= 1


def never_weaker(value, a: SimpleNamespace) -> bool:
    before, after = r.margins(a.model, a.batch), r.margins(a.model, value)
    return within_ball(value, a) and bool((after >= before - 1e-5).all())


def steepest(value, a: SimpleNamespace) -> bool:
    """Of a linear model, and where no bound is reached, nothing in the ball is worse."""
    slope = a.model.weight[1 - a.batch["label"]] - a.model.weight[a.batch["label"]]
    gained = ((value["image"] - a.batch["image"]).flatten(1) * slope).sum(1)
    most = a.radius * slope.norm(1 if a.norm == "linf" else 2, dim=1)
    return within_ball(value, a) and bool((gained <= most + 1e-4).all())


def by_autograd(value, a: SimpleNamespace) -> bool:
    x = a.batch["image"].clone().requires_grad_()
    loss = F.cross_entropy(a.model({"image": x}).logits, a.batch["label"], reduction="sum")
    return torch.allclose(value[0], torch.autograd.grad(loss, x)[0], atol=1e-6)


def largest_wrong(logits, label) -> Tensor:
    rows = zip(logits.tolist(), label.tolist(), strict=True)
    return torch.tensor([max(x for i, x in enumerate(row) if i != y) - row[y] for row, y in rows])


def data_set(random, sizes) -> Dataset:
    image = torch.randint(256, (4, 3, 2, 2), generator=torch.Generator().manual_seed(0))
    image = image.to(torch.uint8)
    return Dataset({"image": image, "label": torch.tensor([0, 1, 0, 1])})


DATA = given(data_set)


class Modal(nn.Module):
    """Right where both modalities are there."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, batch):
        own = F.one_hot(batch["label"], 2) * batch["present"].all(1, keepdim=True)
        return Logits(own.float())


def clean_at_zero(value, a: SimpleNamespace) -> bool:
    right = a.model({"image": a.data.column("image") / 255}).logits.argmax(1) == a.data.column(
        "label"
    )
    return value.levels[0] == 0 and torch.equal(value.correct[0], right)


def rising(*levels: float) -> Kind:
    return Kind(
        lambda random, sizes: list(levels),
        bad={
            "one number": lambda random, x: x[1],
            "falling": lambda random, x: x[::-1],
            "negative": lambda random, x: [-1.0, *x],
            "NaN": lambda random, x: [*x, float("nan")],
            "text": lambda random, x: random.choice(["abc", ["a"]]),
            "none": lambda random, x: random.choice([None, [], [None]]),
        },
        same={"tuple": lambda random, x: tuple(x), "array": lambda random, x: np.array(x)},
    )


def curves(random, sizes):
    generator = torch.Generator().manual_seed(random.randrange(100))
    correct = torch.rand(3, 50, generator=generator) < 0.5
    return {"blur": _Curve((0, 1, 2), correct)}


CURVES = given(
    curves,
    bad={
        "no curves": lambda random, x: random.choice([None, "abc", 3, {}, [1], {"blur": 1}]),
        "other name": lambda random, x: {"noise": x["blur"]},
        "other levels": lambda random, x: {"blur": x["blur"]._replace(levels=(0, 1, 3))},
        "not from 0": lambda random, x: {"blur": x["blur"]._replace(levels=(1, 2, 3))},
    },
)


def error_ratio(value, a: SimpleNamespace) -> bool:
    errors = []
    for one in (a.model, a.baseline):
        accuracy = one["blur"].correct.double().mean(1)
        errors.append(float((1 - accuracy[1:]).sum()))
    return np.isclose(value["blur"], errors[0] / errors[1]) and value["mean"] == value["blur"]


SHARES = Kind(
    lambda random, sizes: [(i + random.random()) / 8 + 0.05 for i in range(sizes["M"])],
    bad={
        "one number": lambda random, x: x[0],
        "fewer": lambda random, x: x[:-1],
        "beyond": lambda random, x: [*x[:-1], random.choice([-0.2, 1.2, 57.0])],
        "NaN": lambda random, x: [*x[:-1], float("nan")],
        "text": lambda random, x: random.choice(["abc", ["a"] * len(x)]),
        "none": lambda random, x: random.choice([None, [], [None] * len(x)]),
    },
    same={"array": lambda random, x: np.array(x), "tensor": lambda random, x: torch.tensor(x)},
)


def log_odds(share) -> np.ndarray:
    share = np.clip(np.asarray(share, float), 1e-3, 1 - 1e-3)
    return np.log(share / (1 - share))


def grouped(value, a: SimpleNamespace) -> bool:
    found = []
    for group in a.group.unique():
        own = a.group == group
        found.append(float((a.predicted[own] == a.label[own]).double().mean()))
    own = [interval.estimate for interval in value.accuracy.values()]
    gap = np.isclose(value.accuracy_gap.estimate, max(found) - min(found))
    return np.allclose(own, found) and gap and value.worst.estimate == min(own)


GROUP = labels("N", make=lambda random, sizes: torch.arange(sizes["N"]) % 2).without(
    "negative", "too large"
)  # groups may have any numbers
GROUP = GROUP.but(one=lambda random, x: torch.zeros_like(x))
LABEL = labels("N", 3).without("too large")  # classes need no known number


def of_two(random, sizes):
    return {frozenset(s): random.uniform(0, 1) for s in ((), ("a",), ("b",), ("a", "b"))}


def numbers(good, **bad) -> Kind:
    return Kind(
        good,
        bad={
            "no mapping": lambda random, x: random.choice([None, 3, "abc", [1.0], {}]),
            "NaN": lambda random, x: x | {next(iter(x)): float("nan")},
            "text": lambda random, x: x | {next(iter(x)): "1"},
            "None": lambda random, x: x | {next(iter(x)): None},
        }
        | bad,
    )


def shared(value, a: SimpleNamespace) -> bool:
    s = {"".join(sorted(k)): v for k, v in a.scores.items()}
    first = ((s["a"] - s[""]) + (s["ab"] - s["b"])) / 2
    return np.isclose(value["a"], first) and np.isclose(sum(value.values()), s["ab"] - s[""])


def sentences(random, sizes):
    tokens = torch.randint(2, 8, (sizes["B"], sizes["L"]), generator=torch.Generator())
    mask = torch.ones_like(tokens).bool()
    return {"tokens": tokens, "tokens_mask": mask, "label": labels("B", 3).good(random, sizes)}


TEXTS = Kind(
    sentences,
    bad=BAD
    | {
        "ids too large": changed("tokens", lambda x: x + 100),
        "broken ids": changed("tokens", lambda x: x + 0.5),
        "one axis less": changed("tokens", lambda x: x[0]),
        "mask of two": changed("tokens_mask", lambda x: x * 2),
        "mask of another shape": changed("tokens_mask", lambda x: x[:, :-1]),
    },
    same={"0 and 1": changed("tokens_mask", lambda x: x.long())},
)
WORDS = {
    "model": given(lambda random, sizes: READER),
    "batch": TEXTS,
    "candidates": labels("V S", "V").but(
        short=lambda random, x: x[:2] % 2, one=lambda random, x: x[0]
    ),
}


def one_word(value, a: SimpleNamespace) -> bool:
    """At most one word a text, by one of its substitutes."""
    new, old = value["tokens"], a.batch["tokens"]
    for row, before in zip(new.tolist(), old.tolist(), strict=True):
        differ = [(x, y) for x, y in zip(row, before, strict=True) if x != y]
        if len(differ) > 1 or any(x not in a.candidates[y].tolist() for x, y in differ):
            return False
    return True


def harmful(value, a: SimpleNamespace) -> bool:
    before, after = r.margins(a.model, a.batch), r.margins(a.model, value)
    return one_word(value, a) and bool((after >= before - 1e-6).all())


def worst_word(value, a: SimpleNamespace) -> bool:
    """No single substitute is worse."""
    worst = r.margins(a.model, a.batch)
    for place in range(a.batch["tokens"].shape[1]):
        for choice in range(a.candidates.shape[1]):
            new = a.candidates[a.batch["tokens"][:, place], choice]
            tokens = a.batch["tokens"].clone()
            tokens[:, place] = torch.where(new > 0, new, tokens[:, place])
            worst = torch.maximum(worst, r.margins(a.model, a.batch | {"tokens": tokens}))
    return harmful(value, a) and torch.allclose(r.margins(a.model, value), worst, atol=1e-6)


TOKENIZER = WordTokenizer(["red", "blue", "green", "small"])
TABLE = Kind(
    lambda random, sizes: {"red": ["blue", "green"], "small": ["red"]},
    bad={
        "no table": lambda random, x: random.choice([None, 3, "abc", ["red"], {}]),
        "strings": lambda random, x: {"red": "blue"},
        "two words": lambda random, x: {"red": ["light blue"]},
        "unknown": lambda random, x: {"house": ["red"]},
        "None": lambda random, x: {"red": [None]},
        "number": lambda random, x: {"red": [3]},
        "numbers": lambda random, x: {3: ["red"]},
    },
    same={"tuples": lambda random, x: {k: tuple(v) for k, v in x.items()}},
)
LOGITS = {"logits": floats("B C"), "label": labels("B")}
WORST = given(
    lambda random, sizes: (floats("B 2").good(random, sizes), floats("B").good(random, sizes)),
    bad={
        "no pair": lambda random, x: random.choice([None, "ab", 3, x[0]]),
        "other rows": lambda random, x: (x[0][:-1], x[1]),
        "other column": lambda random, x: (x[0], x[1][:, None]),
    },
)

ENTRIES = [
    entry(
        cross_entropy,
        # one broken step does not end an attack
        logits=floats("B C", nan="propagates").without("infinite"),
        label=labels("B"),
        holds=lambda value, a: torch.allclose(
            value, F.cross_entropy(a.logits, a.label, reduction="none")
        ),
    ),
    entry(
        r.margin,
        **LOGITS,
        holds=lambda value, a: torch.allclose(value, largest_wrong(a.logits, a.label)),
    ),
    entry(
        r.margins,
        model=MODEL,
        batch=SCORED,
        holds=lambda value, a: torch.allclose(
            value, largest_wrong(a.model(a.batch).logits, a.batch["label"])
        ),
    ),
    entry(
        keep_worse,
        worst=WORST,
        x=floats("B 2").without("NaN", "infinite", "complex"),  # any input will do, ids too
        new=floats("B").without("NaN", "infinite"),  # what is no number is never worse
        holds=lambda value, a: torch.equal(value[1], torch.maximum(a.worst[1], a.new)),
    ),
    entry(r.input_gradient, model=MODEL, batch=ANY_PICTURES, holds=by_autograd),
    entry(r.fgsm, model=MODEL, batch=PICTURES, radius=RADIUS, norm=NORM, holds=steepest),
    entry(
        r.pgd,
        model=MODEL,
        batch=PICTURES,
        radius=RADIUS,
        norm=NORM,
        steps=count(1, 4),
        restarts=count(1, 2),
        step=optional(number("[0, inf)", 0.01, 0.1)),
        holds=never_weaker,
    ),
    entry(
        r.random_noise, model=MODEL, batch=PICTURES, radius=RADIUS, norm=NORM, holds=never_weaker
    ),
    entry(
        r.gradient_masking_checks,
        model=MODEL,
        batch=PICTURES,
        radius=number("(0, inf)", 0.01, 0.2),
        surrogate=optional(given(lambda random, sizes: Linear(1))),
        holds=lambda value, a: (
            len(value) == 6 + (a.surrogate is not None) and all(0 <= c.value <= 1 for c in value)
        ),
    ),
    entry(
        r.loss_surface,
        model=MODEL,
        batch=ANY_PICTURES,
        radius=RADIUS,
        size=Kind(
            lambda random, sizes: 3,
            bad={
                "even": lambda random, x: 4,
                "wrong": lambda random, x: random.choice([0, -3, 1, 2.5, "3", None]),
            },
        ),
        holds=lambda value, a: torch.allclose(
            value[:, 1, 1],
            F.cross_entropy(a.model(a.batch).logits, a.batch["label"], reduction="none"),
            atol=1e-5,
        ),
    ),
    entry(
        r.severity_curve,
        model=MODEL,
        data=DATA,
        corruption=option("brightness", "contrast"),
        holds=clean_at_zero,
    ),
    entry(
        r.attack_curve,
        model=MODEL,
        data=DATA,
        radii=rising(0.0, 0.1),
        attack=given(lambda random, sizes: r.fgsm),
        holds=clean_at_zero,
    ),
    entry(
        r.missing_curve,
        model=given(lambda random, sizes: Modal()),
        data=DATA,
        modality=option(0, 1).without("typo"),
        shares=rising(0.0, 0.5, 1.0),
        holds=lambda value, a: value.falls() and value.accuracy[0] == 1,
    ),
    entry(r.corruption_error, model=CURVES, baseline=CURVES, holds=error_ratio),
    entry(
        r.trend,
        accuracy=SHARES,
        shifted=SHARES,
        holds=lambda value, a: np.allclose(
            value, np.polyfit(log_odds(a.accuracy), log_odds(a.shifted), 1)
        ),
    ),
    entry(
        r.effective_robustness,
        accuracy=number("[0, 1]"),
        shifted=number("[0, 1]"),
        ordinary=given(lambda random, sizes: _Trend(1.0, 0.0)),
        holds=lambda value, a: np.isclose(value, a.shifted - a.accuracy),
    ),
    entry(
        r.group_gaps,
        predicted=LABEL,
        label=LABEL,
        group=GROUP,
        names=optional(
            Kind(
                lambda random, sizes: ["a", "b"],
                bad={
                    "string": lambda random, x: "ab",
                    "one": lambda random, x: ["a"],
                    "twice": lambda random, x: ["a", "a"],
                    "numbers": lambda random, x: [1, 2],
                },
            )
        ),
        resamples=count(1, 20),
        holds=grouped,
    ),
    entry(
        r.implied_false_positive_rate,
        prevalence=number("[0, 1)"),
        precision=number("(0, 1]"),
        recall=number("[0, 1]"),
        holds=lambda value, a: np.isclose(
            value,
            a.prevalence / (1 - a.prevalence) * (1 - a.precision) / a.precision * a.recall,
        ),
    ),
    entry(
        r.modality_values,
        scores=numbers(
            of_two,
            lacking=lambda random, x: {k: v for k, v in x.items() if k != frozenset("a")},
            strings=lambda random, x: {"".join(k): v for k, v in x.items()},
        ),
        holds=shared,
    ),
    entry(
        r.balance,
        shares=numbers(
            lambda random, sizes: {"a": random.uniform(-1, 1), "b": random.uniform(0.1, 1)},
            one=lambda random, x: {"a": 1.0},
        ),
        holds=lambda value, a: np.isclose(
            value, max(0, min(a.shares.values())) / max(a.shares.values())
        ),
    ),
    entry(
        r.substitutes,
        tokenizer=given(lambda random, sizes: TOKENIZER),
        table=TABLE,
        holds=lambda value, a: value[2].tolist() == [3, 4] and value[5].tolist() == [2, 0],
    ),
    entry(
        r.hotflip,
        **WORDS,
        embedding=given(lambda random, sizes: READER.embedding),
        with_sizes={"V": 8},
        holds=harmful,
    ),
    entry(r.greedy, **WORDS, with_sizes={"V": 8}, holds=worst_word),
    # asks no model, so that it does not know how many classes there are
    entry(
        r.random_words,
        **(WORDS | {"batch": TEXTS.without("class too large")}),
        with_sizes={"V": 8},
        holds=one_word,
    ),
]
