"""Scores of retrieval: `mmtutor.evaluation.retrieval`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, precision_recall_fscore_support
from torch import Tensor, nn

from mmtutor.evaluation import retrieval as r
from mmtutor.evaluation.retrieval.recall import hit_rates, mean_reciprocal_rank, median_rank
from mmtutor.evaluation.retrieval.search import retrieval_ranks, top_k
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    Kind,
    count,
    floats,
    given,
    labels,
    masks,
    not_to_none,
    number,
    optional,
    put,
    weights,
)


class Pair(NamedTuple):
    image: Tensor
    text: Tensor


class Given(nn.Module):
    """Embeddings that are already in the batch."""

    def forward(self, batch):
        return Pair(batch["a"], batch["b"])


def batches(random, sizes):
    sides = [floats("N D").good(random, sizes) for _ in range(2)]
    return [dict(zip("ab", sides, strict=True), group=torch.arange(sizes["N"]) // 2)]


BATCHES = given(
    batches,
    bad={
        "no batches": lambda random, x: random.choice([None, 3, []]),
        "NaN": lambda random, x: [x[0] | {"a": x[0]["a"] * float("nan")}],
        "one without a group": lambda random, x: [*x, {k: x[0][k] for k in "ab"}],
    },
)
MODEL = given(lambda random, sizes: Given())
KS = Kind(
    lambda random, sizes: random.sample(range(1, 9), 2),
    bad={
        "one number": lambda random, x: x[0],
        "zero": lambda random, x: [*x, 0],
        "broken": lambda random, x: [*x, 1.5],
        "truth": lambda random, x: [True],
        "text": lambda random, x: random.choice(["abc", ["a"], b"1"]),
        "none": lambda random, x: random.choice([None, [None], []]),
    },
    same={"tuple": lambda random, x: tuple(x), "array": lambda random, x: np.array(x)},
)
RANK = labels("Q", make=lambda random, sizes: 1 + labels("Q", 8).good(random, sizes))
RANK = RANK.but(zero=lambda random, x: torch.zeros_like(x)).without("too large")
SCORES = {
    # minus infinity keeps an item out
    "similarity": floats("Q G").but(infinite=lambda random, x: put(random, x, torch.inf)),
    "relevant": masks("Q G").but(
        graded=lambda random, x: x * 3,
        nothing=lambda random, x: x & False,
    ),
}
WEIGHTS = optional(weights("Q"))


def plain_ranks(similarity, relevant) -> list[int]:
    """Query by query, item by item."""
    found = []
    for scores, mine in zip(similarity.tolist(), relevant.tolist(), strict=True):
        best = max(s for s, own in zip(scores, mine, strict=True) if own)
        found.append(1 + sum(s >= best and not own for s, own in zip(scores, mine, strict=True)))
    return found


def average(values, weight) -> float:
    return float(np.average(values, weights=weight))


def average_precision(value, a: SimpleNamespace) -> bool:
    each = [average_precision_score(*row) for row in zip(a.relevant, a.similarity, strict=True)]
    return np.isclose(value, average(each, a.weights))


def reported(value, similarity, relevant, ks) -> bool:
    pairs = {"image_to_text": (similarity, relevant), "text_to_image": (similarity.T, relevant.T)}
    for name, pair in pairs.items():
        rank = np.array(plain_ranks(*pair))
        right = {f"recall_at_{k}": (rank <= k).mean() for k in ks}
        right |= {"median_rank": np.median(rank), "mean_reciprocal_rank": (1 / rank).mean()}
        right |= {f"chance_at_{k}": chance(pair[1], k) for k in ks}
        if not all(np.isclose(value[f"{name}_{key}"], number) for key, number in right.items()):
            return False
    return True


def chance(relevant, k: int) -> float:
    """1 less the product of the chances that each draw misses."""
    items, each = relevant.shape[1], []
    for m in relevant.sum(1).tolist():
        missed = [max(items - m - i, 0) / (items - i) for i in range(min(k, items))]
        each.append(1 - np.prod(missed))
    return float(np.mean(each))


def evaluated(value, a: SimpleNamespace) -> bool:
    [batch] = a.data
    group = batch["group"]
    return reported(value, batch["a"] @ batch["b"].T, group[:, None] == group, a.ks)


def searched(value, a: SimpleNamespace) -> bool:
    scores = a.image @ a.text.T
    relevant = a.image_group[:, None] == a.text_group
    forward = plain_ranks(scores, relevant) == value.image_to_text.tolist()
    return forward and plain_ranks(scores.T, relevant.T) == value.text_to_image.tolist()


def unit(x):
    return F.normalize(x.double(), dim=1)


def uniform(value, a: SimpleNamespace) -> bool:
    x = unit(a.x)
    pairs = [((x[i] - x[j]) ** 2).sum() for i in range(len(x)) for j in range(i)]
    return np.isclose(value, np.log(np.mean(np.exp(-a.t * np.array(pairs)))))


def solved(value, a: SimpleNamespace) -> bool:
    for i, ((a0, a1), (b0, b1)) in enumerate(a.scores.tolist()):
        text, image = a0 > a1 and b1 > b0, a0 > b0 and b1 > a1
        if [bool(part[i]) for part in value] != [text, image, text and image]:
            return False
    return True


def polled(value, a: SimpleNamespace) -> bool:
    right = precision_recall_fscore_support(
        a.present, a.said_yes, average="binary", zero_division=0, sample_weight=a.weights
    )[:3]
    accuracy = average((a.present == a.said_yes).double(), a.weights)
    return np.allclose(value, [accuracy, *right, average(a.said_yes.double(), a.weights)])


GROUP = labels("N", make=lambda random, sizes: torch.arange(sizes["N"]) // 2)
GROUP = GROUP.without("too large").but(lonely=lambda random, x: x + 100)

ENTRIES = [
    entry(
        r.alignment,
        one=floats("N D"),
        other=floats("N D"),
        power=number("(0, inf)", 0.5, 3.0),
        holds=lambda value, a: np.isclose(
            value, ((unit(a.one) - unit(a.other)).norm(dim=1) ** a.power).mean()
        ),
    ),
    entry(r.uniformity, x=floats("N D"), t=number("(0, inf)", 0.5, 3.0), holds=uniform),
    entry(
        r.modality_gap,
        one=floats("N D"),
        other=floats("M D"),
        holds=lambda value, a: np.isclose(
            value, (unit(a.one).mean(0) - unit(a.other).mean(0)).norm()
        ),
    ),
    entry(r.winoground, scores=floats("N 2 2"), holds=solved),
    entry(
        r.pope,
        said_yes=masks("N", 0),
        present=masks("N", 0),
        weights=optional(weights("N")),
        holds=polled,
    ),
    entry(r.ranks, **SCORES, holds=lambda value, a: value.tolist() == plain_ranks(**vars(a))),
    entry(
        r.recall_at_k,
        **SCORES,
        ks=KS,
        weights=WEIGHTS,
        holds=lambda value, a: all(
            np.isclose(
                value[k],
                average(np.array(plain_ranks(a.similarity, a.relevant)) <= k, a.weights),
            )
            for k in a.ks
        ),
    ),
    entry(r.mean_average_precision, **SCORES, weights=WEIGHTS, holds=average_precision),
    entry(
        r.retrieval_report,
        similarity=floats("Q Q").but(infinite=lambda random, x: put(random, x, torch.inf)),
        relevant=masks("Q Q", make=lambda random, sizes: torch.eye(sizes["Q"]).bool()),
        ks=KS,
        holds=lambda value, a: reported(value, a.similarity, a.relevant, a.ks),
    ),
    entry(r.evaluate_retrieval, model=MODEL, data=BATCHES, ks=KS, holds=evaluated),
    entry(
        r.embed,
        model=MODEL,
        data=BATCHES,
        holds=lambda value, a: all(
            torch.equal(x, a.data[0][k]) for x, k in zip(value, ("a", "b", "group"), strict=True)
        ),
    ),
    entry(
        r.chance_recall,
        relevant=SCORES["relevant"],
        ks=KS,
        holds=lambda value, a: all(np.isclose(value[k], chance(a.relevant, k)) for k in a.ks),
    ),
    entry(
        hit_rates,
        rank=RANK,
        ks=KS,
        weights=not_to_none(weights("Q")),
        holds=lambda value, a: all(
            np.isclose(value[k], average(a.rank <= k, a.weights)) for k in a.ks
        ),
    ),
    entry(
        hit_rates,
        rank=RANK,
        ks=KS,
        holds=lambda value, a: all(
            np.isclose(value[k], (a.rank <= k).double().mean()) for k in a.ks
        ),
    ),
    entry(median_rank, rank=RANK, holds=lambda value, a: value == np.median(a.rank)),
    entry(
        mean_reciprocal_rank,
        rank=RANK,
        weights=not_to_none(weights("Q")),
        holds=lambda value, a: np.isclose(value, average(1 / a.rank.double(), a.weights)),
    ),
    entry(
        retrieval_ranks,
        image=floats("N D"),
        text=floats("N D"),
        image_group=GROUP,
        text_group=GROUP,
        holds=searched,
    ),
    entry(
        top_k,
        queries=floats("Q D"),
        gallery=floats("G D"),
        k=count(1, 2).but(more=lambda random, x: 1000),
        holds=lambda value, a: torch.allclose(
            value[0], (a.queries @ a.gallery.T).sort(descending=True).values[:, : a.k], atol=1e-5
        ),
    ),
]
