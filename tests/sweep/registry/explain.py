"""Explanations, and how good they are: `mmtutor.explain`, `mmtutor.evaluation.explanations`."""

from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from mmtutor import explain as e
from mmtutor.data.batch import require
from mmtutor.encoders import Encoded
from mmtutor.encoders.transformer import MultiHeadAttention
from mmtutor.evaluation import explanations as q
from mmtutor.explain.targets import broadcast, differentiable, encoder_of, gradient_by, seeded
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    Kind,
    constant,
    count,
    flag,
    floats,
    given,
    labels,
    masks,
    number,
    option,
    optional,
)


class Output(NamedTuple):
    logits: Tensor
    image: Tensor
    text: Tensor


class Pixels(nn.Module):
    """Pictures, with a ReLU and a layer whose output is a map."""

    modality = "image"

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x, mask=None):
        grid = self.relu(self.conv(x))
        return Encoded.of_grid(grid)


class Words(nn.Module):
    """Word vectors, which look at one another."""

    modality = "tokens"

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(9, 4)
        self.attention = MultiHeadAttention(4, 2)

    def forward(self, x, mask):
        return Encoded(self.attention(self.embedding(x), mask), mask)


class Both(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.pixels, self.words = Pixels(), Words()
        self.head = nn.Linear(8, 3)

    def forward(self, batch):
        require(batch, "image", "tokens")
        image = self.pixels(batch["image"]).pooled()
        text = self.words(batch["tokens"], batch["tokens_mask"].bool()).pooled()
        return Output(self.head(torch.cat([image, text], 1)), image, text)


def batch_of(random, sizes):
    return {
        "image": floats("B 3 4 4", 0.0, 1.0).good(random, sizes),
        "tokens": labels("B L", 9).good(random, sizes),
        "tokens_mask": masks("B L").good(random, sizes),
    }


def changed(key: str, how) -> object:
    return lambda random, x: x | {key: how(x[key])}


NO_BATCH = {"no batch": lambda random, x: random.choice([None, "abc", 3, [1]])}
BATCH = Kind(
    batch_of,
    bad=NO_BATCH
    | {
        "no picture": lambda random, x: {k: v for k, v in x.items() if k != "image"},
        "NaN": changed("image", lambda x: x * float("nan")),
    },
)
WHOLE = Kind(batch_of, bad=NO_BATCH)
MODEL = given(lambda random, sizes: Both().eval())
TARGET = Kind(
    labels("B", 3).good,
    bad={
        "too large": lambda random, x: x + 5,
        "minus 100": lambda random, x: torch.full_like(x, -100),
        "floating": lambda random, x: x + 0.5,
        "column": lambda random, x: x[:, None],
        "fewer": lambda random, x: x[:-1],
        "none": lambda random, x: random.choice([None, "abc", [1]]),
        "all logits": lambda random, x: lambda model, batch: model(batch).logits,
        "NaN": lambda random, x: lambda model, batch: model(batch).logits[:, 0] * float("nan"),
    },
    same={"int32": lambda random, x: x.int()},
)
MODALITY = option("image", "tokens")
GRADIENT = {"model": MODEL, "batch": BATCH, "target": TARGET, "modality": MODALITY}


def by_hand(a: SimpleNamespace) -> Tensor:
    """The gradient of the score by the image."""
    x = a.batch["image"].clone().requires_grad_()
    score = a.model(a.batch | {"image": x}).logits.gather(1, a.target[:, None]).sum()
    return torch.autograd.grad(score, x)[0]


def mapped(value, a: SimpleNamespace, pixels=None) -> bool:
    """The shape fits, padding gets 0, and for pictures the equation holds."""
    if getattr(a, "modality", "image") == "image":
        fits = value.shape == a.batch["image"][:, 0].shape
        return fits and (pixels is None or torch.allclose(value, pixels(), atol=1e-5))
    return value.shape == a.batch["tokens"].shape and not value[~a.batch["tokens_mask"]].any()


def complete(value, a: SimpleNamespace) -> bool:
    """Of a function that is nearly linear, parts add up to the whole."""
    if a.modality != "image" or a.steps < 6:
        return mapped(value, a)
    start = a.batch | {"image": torch.full_like(a.batch["image"], a.baseline)}
    ends = [a.model(b).logits.gather(1, a.target[:, None])[:, 0] for b in (a.batch, start)]
    return torch.allclose(value.sum((1, 2)), ends[0] - ends[1], atol=0.1)


WORTH = torch.tensor([1.0, -2.0, 0.5])


def additive(random, sizes):
    """What the players bring adds up."""
    return e.CoalitionGame(
        lambda present: present.double() @ WORTH.double(),
        ("a", "a", "b"),
        torch.ones(2, 3, dtype=torch.bool),
    )


GAME = given(
    additive,
    bad={
        "no such object": lambda random, x: random.choice([None, "abc", 3, x.owners]),
        "pays NaN": lambda random, x: e.CoalitionGame(
            lambda present: present.sum(1) * float("nan"), x.owners, x.real
        ),
    },
)


def worth(value, a: SimpleNamespace) -> bool:
    return torch.allclose(value.double(), WORTH.double().expand(2, 3), atol=1e-4)


def own_part(value, a: SimpleNamespace) -> bool:
    """Everybody's score, and that of nobody, are the model's."""
    score = e.scores(a.model, a.batch, a.target)
    everybody = value.values(torch.ones(1, value.players).bool())
    return torch.allclose(everybody[0], score, atol=1e-5) and value.batch == len(score)


MAPS = {"maps": floats("B H W"), "masks": masks("B H W")}
MAPS["masks"] = MAPS["masks"].but(nowhere=lambda random, x: x & False)
IMAGES = floats("B C H W", 0.0, 1.0)


def pointed(value, a: SimpleNamespace) -> bool:
    if a.tolerance:
        return value.dtype == torch.bool
    place = a.maps.flatten(1).argmax(1, keepdim=True)
    return torch.equal(value, a.masks.flatten(1).gather(1, place)[:, 0])


def inside(value, a: SimpleNamespace) -> bool:
    positive = a.maps.clamp(min=0)
    total = positive.sum((1, 2))
    share = (positive * a.masks).sum((1, 2)) / total
    return torch.allclose(value.where(total > 0, 0), share.where(total > 0, 0), atol=1e-6)


def from_end_to_end(value, a: SimpleNamespace) -> bool:
    whole = a.model(a.batch).logits.softmax(1).gather(1, a.target[:, None])[:, 0]
    ends = torch.stack([value.deletion[:, 0], value.insertion[:, -1]])
    return torch.allclose(ends, whole.expand(2, -1), atol=1e-5)


def checked(value, a: SimpleNamespace) -> bool:
    low, high = value.similarity.low, value.similarity.high
    return -1 <= low <= high <= 1 and value.passes == (high < a.threshold)


def sketch(seed):
    """torch's numbers begin at a seed and go on."""
    with seeded(seed):
        return torch.rand(3)


def path(score, x):
    """`gradient_by` of a score that is computed from x."""
    x = x.requires_grad_()
    return gradient_by((score * x).sum(1), x)


def fill_of(kind) -> Kind:
    return kind.but(
        text=lambda random, x: "grey",
        shape=lambda random, x: torch.zeros(7),
        none_in_it=lambda random, x: [None],
    )


FILL = fill_of(optional(number("(-inf, inf)", 0.0, 1.0)))
GRID = count(1, 2).but(**{"too small": lambda random, x: -random.randint(1, 9)})  # 0 is no patch
GAMES = {"grid": GRID, "words": flag(), "fill": FILL}
LAYERS = given(
    lambda random, sizes: {"relu": nn.ReLU()},
    bad={"no layers": lambda random, x: random.choice([None, "abc", 3, [1], {}, {"a": 1}])},
)


def at_the_input(model, batch, target, modality):
    """The score of `differentiable` where it was made."""
    x, score = differentiable(model, batch, target, modality)
    return score(x)


def recorded(model, batch):
    """`activations` of the model's own layer."""
    return e.activations(model, batch, {"head": getattr(model, "head", nn.ReLU())})


# "" is the whole model
PART = option("head", "pixels").but(
    **{"no option": lambda random, x: random.choice([None, 3, b"head", ["head"]])}
)
SEEDS = Kind(
    lambda random, sizes: [0, 1],
    bad={
        "one": lambda random, x: 0,
        "none": lambda random, x: [],
        "broken": lambda random, x: [0.5],
        "text": lambda random, x: "01",
        "None": lambda random, x: random.choice([None, [None]]),
    },
)

ENTRIES = [
    entry(
        e.gradient, **GRADIENT, holds=lambda v, a: mapped(v, a, lambda: by_hand(a).abs().amax(1))
    ),
    entry(
        e.input_x_gradient,
        **GRADIENT,
        holds=lambda v, a: mapped(v, a, lambda: (by_hand(a) * a.batch["image"]).sum(1)),
    ),
    entry(
        e.integrated_gradients,
        **GRADIENT,
        baseline=fill_of(number("(-inf, inf)", 0.0, 1.0)),
        steps=count(1, 9),
        holds=complete,
    ),
    entry(
        e.smooth_grad,
        **GRADIENT,
        samples=count(1, 3),
        noise=number("[0, inf)", 0.0, 0.2),
        seed=count(0, 9),
        holds=lambda v, a: mapped(v, a) and bool((v >= 0).all()),
    ),
    entry(e.guided_backpropagation, **GRADIENT, holds=mapped),
    entry(
        e.occlusion,
        model=MODEL,
        batch=BATCH,
        target=TARGET,
        patch=count(1, 4).but(wide=lambda random, x: 9),
        stride=optional(count(1, 2)),
        fill=FILL,
        holds=mapped,
    ),
    entry(
        e.lime,
        game=GAME,
        samples=count(4, 60).but(few=lambda random, x: 3),
        width=number("(0, inf)", 0.2, 0.5),
        ridge=number("(0, inf)", 1e-4, 1e-3),
        seed=count(0, 9),
        holds=lambda v, a: v.weights.shape == (2, 3) and bool((v.fidelity <= 1 + 1e-6).all()),
    ),
    entry(e.shapley_values, game=GAME, holds=worth),
    entry(e.sampled_shapley_values, game=GAME, orders=count(1, 4), seed=count(0, 9), holds=worth),
    entry(
        e.kernel_shap,
        game=GAME,
        samples=count(6, 40).but(few=lambda random, x: 5),
        seed=count(0, 9),
        holds=worth,
    ),
    entry(
        e.modality_shares,
        values=floats("B 3"),
        owners=Kind(
            lambda random, sizes: ("a", "a", "b"),
            bad={
                "string": lambda random, x: "aab",
                "fewer": lambda random, x: x[:2],
                "numbers": lambda random, x: (1, 2, 3),
                "none": lambda random, x: random.choice([None, ()]),
            },
            same={"list": lambda random, x: list(x)},
        ),
        holds=lambda v, a: torch.allclose(
            v["b"], a.values[:, 2].abs() / a.values.abs().sum(1), atol=1e-6
        ),
    ),
    entry(
        e.CoalitionGame,
        play=given(lambda random, sizes: lambda present: present.sum(1).float()),
        owners=Kind(
            lambda random, sizes: ["a"] * sizes["n"],
            bad={
                "string": lambda random, x: "a" * len(x),
                "fewer": lambda random, x: x[:-1],
                "none": lambda random, x: random.choice([None, [], [3] * len(x)]),
            },
            same={"tuple": lambda random, x: tuple(x)},
        ),
        real=masks("B n"),
        holds=lambda v, a: v.players == len(a.owners) and torch.equal(v.real, a.real),
    ),
    entry(
        e.coalition_game,
        model=MODEL,
        batch=WHOLE,
        target=TARGET.without(
            # found when the game is played
            "too large",
            "minus 100",
            "floating",
            "column",
            "fewer",
            "all logits",
            "NaN",
        ),
        **GAMES,
        holds=own_part,
    ),
    entry(
        e.baseline_value,
        images=floats("B C H W"),
        fill=FILL,
        holds=lambda v, a: (
            v.expand_as(a.images).isfinite().all()
            and (a.fill is None or bool((v == torch.tensor(a.fill).float()).all()))
        ),
    ),
    entry(
        e.attention_weights,
        model=MODEL,
        batch=WHOLE,
        within=optional(constant(None)),
        holds=lambda v, a: torch.allclose(v[0].weights.sum(-1), torch.ones(1), atol=1e-5),
    ),
    entry(
        recorded,
        of=e.activations,
        model=MODEL,
        batch=WHOLE,
        holds=lambda v, a: torch.equal(v["head"], a.model(a.batch).logits),
    ),
    entry(
        e.grad_cam,
        model=MODEL,
        batch=BATCH,
        target=TARGET,
        layer=Kind(
            lambda random, sizes: random.choice(["pixels", "pixels.conv", None]),
            bad={
                "typo": lambda random, x: "pixles",
                "no layer": lambda random, x: random.choice([3, [1], {"a": 1}]),
            },
        ),
        holds=lambda v, a: mapped(v, a) and bool((v >= 0).all()),
    ),
    entry(
        e.randomised,
        model=MODEL,
        seed=count(0, 9),
        only=PART,
        holds=lambda v, a: torch.equal(v.head.weight, a.model.head.weight) == (a.only != "head"),
    ),
    entry(
        e.cascade,
        model=MODEL,
        seed=count(0, 9),
        holds=lambda v, a: v[0][0] == "head" and len(v) == 5,
    ),
    entry(
        e.scores,
        model=MODEL,
        batch=WHOLE,
        target=TARGET,
        holds=lambda v, a: torch.equal(
            v, a.model(a.batch).logits.gather(1, a.target[:, None])[:, 0]
        ),
    ),
    entry(
        e.pair_score,
        model=MODEL,
        batch=WHOLE,
        holds=lambda v, a: torch.allclose(
            v, (a.model(a.batch).image * a.model(a.batch).text).sum(1)
        ),
    ),
    entry(
        e.input_gradient,
        score=given(lambda random, sizes: lambda x: (x**2).flatten(1).sum(1)),
        # any shape whose rows are examples
        x=floats("B D").without("one axis more", "one axis less", "empty"),
        holds=lambda v, a: torch.allclose(v, 2 * a.x),
    ),
    entry(
        path,
        of=gradient_by,
        score=constant(2.0),
        x=constant(torch.ones(2, 3)),
        holds=lambda v, a: torch.allclose(v, torch.full_like(v, 2.0)),
    ),
    entry(
        encoder_of,
        model=MODEL,
        modality=MODALITY,
        holds=lambda v, a: v.modality == a.modality,
    ),
    entry(
        at_the_input,
        of=differentiable,
        **GRADIENT,
        holds=lambda v, a: torch.allclose(v, e.scores(a.model, a.batch, a.target)),
    ),
    entry(
        sketch,
        of=seeded,
        seed=count(0, 9),
        holds=lambda v, a: torch.equal(
            v, torch.rand(3, generator=torch.Generator().manual_seed(a.seed))
        ),
    ),
    entry(
        lambda x, baseline: broadcast(x, baseline=baseline),
        of=broadcast,
        x=constant(torch.zeros(2, 3)),
        baseline=fill_of(number("(-inf, inf)", 0.0, 1.0)),
        holds=lambda v, a: torch.allclose(v, torch.full((2, 3), a.baseline)),
    ),
    entry(q.pointing_game, **MAPS, tolerance=count(0, 2), holds=pointed),
    entry(q.energy_inside, **MAPS, holds=inside),
    entry(
        q.random_maps,
        images=IMAGES.without("NaN", "infinite", "complex"),  # only its shape counts
        seed=count(0, 9),
        holds=lambda v, a: v.shape == a.images[:, 0].shape and 0 <= v.min() <= v.max() < 1,
    ),
    entry(
        q.centre_maps,
        images=IMAGES.without("NaN", "infinite", "complex"),
        holds=lambda v, a: torch.allclose(v, v.flip(1, 2)) and bool((v > 0).all()),
    ),
    entry(
        q.edge_maps,
        images=IMAGES,
        holds=lambda v, a: torch.allclose(v, q.edge_maps(a.images + 1), atol=1e-4),
    ),
    entry(
        q.deletion_insertion,
        model=MODEL,
        batch=BATCH,
        target=TARGET,
        maps=floats("B 4 4"),
        steps=count(1, 4),
        fill=FILL,
        holds=from_end_to_end,
    ),
    entry(
        q.sanity_check,
        method=given(lambda random, sizes: e.gradient),
        model=MODEL,
        batch=BATCH,
        target=TARGET,
        seeds=SEEDS,
        threshold=number("[-1, 1]"),
        absolute=flag(),
        only=PART,
        holds=checked,
    ),
    entry(
        q.rank_correlation,
        x=floats("B D"),
        y=floats("B D"),
        holds=lambda v, a: np.allclose(
            v, [spearmanr(*row).statistic for row in zip(a.x, a.y, strict=True)], atol=1e-6
        ),
    ),
]
