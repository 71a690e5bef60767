"""`mmtutor.training.few_labels`: each against its formula, written as a plain loop."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from mmtutor.training.few_labels.active import KINDS, k_centre, uncertainty
from mmtutor.training.few_labels.knowledge import rule_loss, shared_word_graph, spread_labels
from mmtutor.training.few_labels.pseudo_labels import Cutout, FixMatch, TwoViews, pseudo_labels
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    constant,
    count,
    floats,
    generator,
    labels,
    masks,
    number,
    option,
    references,
)
from tests.sweep.registry.losses import nll

LOGITS = floats("B C", nan="propagates").without("infinite", "half")


class Views(NamedTuple):
    """What `TwoViews` gives in training."""

    logits: Tensor
    weak: Tensor
    strong: Tensor


class Green(nn.Module):
    """Two logits of a picture."""

    def forward(self, batch: dict[str, Tensor]) -> Views:
        both = batch["image"].mean(dim=(2, 3))[:, :2]
        return Views(both, both, both)


def _fixmatch(threshold, weight, warmup, logits, label):
    return FixMatch(threshold, weight, warmup)(Views(logits, logits, logits), {"label": label})


def _by_hand(a) -> float:
    guessed = a.logits.argmax(dim=1)
    others = nll(a.logits, guessed)
    sure = a.logits.double().softmax(dim=1).amax(dim=1) >= a.threshold
    second = sum(x for x, s in zip(others, sure.tolist(), strict=True) if s) / len(others)
    return sum(nll(a.logits, a.label)) / len(others) + a.weight * second / max(a.warmup, 1)


def _looks(image):
    unlabelled = torch.full((len(image), 2, *image.shape[1:]), 255, dtype=torch.uint8)
    model = TwoViews(Green(), lambda x: x / 2, lambda x: x / 4)
    return model({"image": image, "unlabelled": unlabelled})


def _probability(random, sizes) -> Tensor:
    return torch.rand(sizes.shape("N C"), generator=generator(random)).softmax(dim=1)


def _graph(random, sizes) -> Tensor:
    weights = torch.rand(sizes.shape("N N"), generator=generator(random))
    return weights + weights.T


def _spread(value, a) -> bool:
    graph, start = a.graph.double(), a.start.double()
    size = graph.sum(dim=1).sqrt()
    left = value - a.alpha * (graph / size[:, None] / size) @ value
    return torch.allclose(left, (1 - a.alpha) * start, atol=1e-6)


def _doubted(value, a) -> bool:
    rows = [sorted(row, reverse=True) for row in a.probability.double().tolist()]
    by_hand = {
        "least confident": [1 - row[0] for row in rows],
        "margin": [1 - row[0] + row[1] for row in rows],
        "entropy": [-sum(p * math.log(p) for p in row if p) for row in rows],
    }
    return value.tolist() == pytest.approx(by_hand[a.kind], abs=1e-4)


ENTRIES = [
    entry(
        Cutout,
        side=count(1, 3),
        then={"image": floats("B C H W", 0, 1).but(NaN=None, infinite=None).without("half")},
        holds=lambda v, a: ((v == a.image) | (v == 0.5)).all().item(),
    ),
    entry(
        _looks,
        of=TwoViews,
        image=constant(torch.full((2, 3, 4, 4), 0.5)),
        holds=lambda v, a: (
            torch.allclose(v.strong, torch.full((4, 2), 0.25)) and len(v.weak) == 2 * len(a.image)
        ),
    ),
    entry(
        pseudo_labels,
        logits=LOGITS.without("NaN"),  # NaN is no probability, so that label is not sure
        threshold=number("[0, 1]"),
        holds=lambda v, a: torch.equal(v[0], a.logits.argmax(dim=1)),
    ),
    entry(
        _fixmatch,
        of=FixMatch,
        threshold=number("[0, 1]"),
        weight=number("[0, inf)"),
        warmup=count(0),
        logits=LOGITS,
        label=labels("B"),
        holds=lambda v, a: v.item() == pytest.approx(_by_hand(a), rel=1e-4, abs=1e-5),
    ),
    entry(
        uncertainty,
        probability=floats("N C", make=_probability).without("half"),
        kind=option(*KINDS),
        holds=_doubted,
    ),
    entry(
        k_centre,
        with_sizes={"N": 6},
        points=floats("N D").without("half"),
        count=count(1, 1),
        centres=constant(torch.tensor([0, 1])),
        holds=lambda v, a: len(v) == a.count and v.min() > 1,
    ),
    entry(
        lambda logits, allowed: rule_loss([logits, logits], allowed),
        of=rule_loss,
        logits=floats("B C", nan="propagates").without("infinite", "half"),
        allowed=masks("C C").without("one axis more", "empty"),
        holds=lambda v, a: v.item() == pytest.approx(_allowed(a), rel=1e-4, abs=1e-5),
    ),
    entry(
        shared_word_graph,
        words=references("N").without("one without"),
        holds=lambda v, a: torch.equal(v, v.T) and v.shape == (len(a.words),) * 2,
    ),
    entry(
        spread_labels,
        graph=floats("N N", make=_graph).without("half"),
        start=floats("N C", 0, 1).without("half"),
        alpha=number("[0, 1)"),
        holds=_spread,
    ),
]


def _allowed(a) -> float:
    p = a.logits.double().softmax(dim=1)
    joint = p[:, :, None] * p[:, None]
    return -joint[:, a.allowed.bool()].sum(dim=1).log().mean().item()
