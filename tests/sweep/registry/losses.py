"""`mmtutor.losses`: each against its formula, written as a plain loop or taken from a library."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from torch import Tensor

from mmtutor.losses.answering import (
    attribute_cross_entropy,
    cell_cross_entropy,
    grounded,
    product_of_experts,
    reweighted,
)
from mmtutor.losses.balance import BranchLosses, GradientModulation, code_gradients
from mmtutor.losses.chunked import (
    ChunkedContrastive,
    chunked_info_nce,
    chunked_sigmoid_contrastive,
)
from mmtutor.losses.classification import (
    binary_cross_entropy,
    categorical_cross_entropy,
    class_loss,
    cross_entropy,
    focal,
    in_range,
    log_softmax,
    same_shape,
    softmax,
)
from mmtutor.losses.contrastive import (
    ContrastiveObjective,
    hinge,
    info_nce,
    sigmoid_contrastive,
    triplet,
)
from mmtutor.losses.gather import gather_with_grad, row_counts
from mmtutor.losses.heatmaps import heatmap_cross_entropy
from mmtutor.losses.language import next_token
from mmtutor.losses.multitask import (
    CombinedGradients,
    GradNorm,
    UncertaintyWeighting,
    WeightedSum,
    equal_norms,
    gradient_cosines,
    pcgrad,
    task_gradients,
    task_losses,
)
from mmtutor.losses.noisy_labels import (
    CoTeaching,
    GeneralisedCrossEntropy,
    SmallLoss,
    inverse_frequency,
    weighted_cross_entropy,
)
from mmtutor.losses.preferences import answer_log_probability, bradley_terry, dpo
from mmtutor.losses.quantisation import quantised
from mmtutor.losses.regression import least_squares, mean_squared_error
from mmtutor.losses.self_supervised import first_among, hidden_patches
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
    weights,
)


class Output(NamedTuple):
    """Whatever a loss reads of a model's output."""

    logits: Tensor | None = None
    gates: Tensor | None = None
    branches: dict[str, Tensor] | None = None
    codes: dict[str, Tensor] | None = None
    tasks: dict[str, Tensor] | None = None
    pair: Tensor | None = None
    image: Tensor | None = None
    text: Tensor | None = None
    heatmaps: Tensor | None = None
    stride: int = 2


# Minus infinity for another class than the label is a probability of 0, and the loss is right.
LOGITS = floats("B C", nan="propagates").without("infinite")
LABEL = labels("B")
CLASS_WEIGHT = floats("C", 0.2, 2.0, nan="propagates").but(
    negative=lambda random, x: -x,
    zeros=lambda random, x: x * 0,
    **{"no tensor": constantly("abc", 3, [None], {"a": 1})},
)
ROWS = floats("B D", nan="propagates")
SCALE = number("(0, inf)", 0.5, 20)
RELEVANT = masks(
    "B B",
    least=0,
    make=lambda random, sizes: torch.rand(sizes.shape("B B"), generator=generator(random)) < 0.2,
)
# any numbers that can be equal may name a group
GROUP = labels("B", below=3).without("negative", "too large", "floating", "NaN")


def nll(logits: Tensor, label: Tensor) -> list[float]:
    """-log p of each label, in float64, one row after the other."""
    rows = logits.double().tolist()
    return [
        math.log(sum(math.exp(z - row[c]) for z in row))
        for row, c in zip(rows, label.tolist(), strict=True)
    ]


def mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


def binary(logits: Tensor, target: Tensor) -> float:
    """Mean yes-or-no cross-entropy, in float64."""
    pairs = zip(logits.double().flatten().tolist(), target.double().flatten().tolist(), strict=True)
    return mean([-y * math.log(sigmoid(z)) - (1 - y) * math.log(sigmoid(-z)) for z, y in pairs])


def close(expected: float) -> object:
    return pytest.approx(expected, rel=1e-4, abs=1e-5)


# classification


def _cross_entropy(logits, label):
    return cross_entropy(Output(logits), {"label": label})


def _categorical(a):
    return F.cross_entropy(a.logits, a.label, a.weight, label_smoothing=a.smoothing)


def _focal(a):
    p = [math.exp(-loss) for loss in nll(a.logits, a.label)]
    w = a.weight[a.label].tolist()
    return mean([w * (1 - p) ** a.gamma * -math.log(p) for w, p in zip(w, p, strict=True)])


def _in_range(target):
    in_range("[0, 1]", target=target)
    return target


def _same_shape(prediction, target):
    same_shape(prediction=prediction, target=target)
    return prediction.shape


CLASSIFICATION = [
    entry(
        _cross_entropy,
        of=cross_entropy,
        logits=LOGITS,
        label=LABEL,
        holds=lambda value, a: value.item() == close(mean(nll(a.logits, a.label))),
    ),
    entry(
        lambda logits, label, reduction: class_loss(logits, label, reduction),
        of=class_loss,
        logits=LOGITS,
        label=LABEL,
        reduction=constant("none"),
        holds=lambda value, a: value.tolist() == close(nll(a.logits, a.label)),
    ),
    entry(
        log_softmax,
        logits=floats("B C", nan="propagates").without("one axis more", "one axis less"),
        holds=lambda value, a: torch.allclose(value, a.logits.log_softmax(-1), atol=1e-5),
    ),
    entry(
        softmax,
        logits=LOGITS.without("one axis more", "one axis less"),
        temperature=number("(0, inf)", 0.2, 5),
        holds=lambda value, a: torch.allclose(
            value, (a.logits / a.temperature).softmax(-1), atol=1e-5
        ),
    ),
    entry(
        categorical_cross_entropy,
        logits=LOGITS,
        label=LABEL,
        weight=CLASS_WEIGHT,
        smoothing=number("[0, 1]"),
        holds=lambda value, a: value.item() == close(_categorical(a).item()),
    ),
    entry(
        binary_cross_entropy,
        logits=floats("B C", nan="propagates"),
        target=floats("B C", 0, 1, nan="propagates").but(
            outside=lambda random, x: x + 2, below=lambda random, x: x - 2
        ),
        positive_weight=number("[0, inf)", 0.2, 3).but(
            shape=lambda random, x: torch.full((3, 1, 1), x)
        ),
        holds=lambda value, a: (
            value.item()
            == close(
                F.binary_cross_entropy_with_logits(
                    a.logits, a.target, pos_weight=torch.tensor(a.positive_weight)
                ).item()
            )
        ),
    ),
    entry(
        focal,
        logits=LOGITS,
        label=LABEL,
        gamma=number("[0, inf)", 0, 3),
        weight=CLASS_WEIGHT,
        holds=lambda value, a: value.item() == close(_focal(a)),
    ),
    entry(
        _same_shape,
        of=same_shape,
        prediction=floats("N D", nan="propagates").without("NaN", "infinite", "complex"),
        target=floats("N D", nan="propagates").without("NaN", "infinite", "complex"),
        holds=lambda value, a: value == a.prediction.shape,
    ),
    entry(
        _in_range,
        of=in_range,
        target=floats("N D", 0, 1)
        .but(above=lambda random, x: x + 1.5)
        .without("one axis more", "one axis less", "empty", "no tensor"),
        holds=lambda value, a: torch.equal(value, a.target),
    ),
]


# answering


def log_p(random, sizes):
    """(B, C) logarithms of probabilities."""
    return torch.randn(sizes.shape("B C"), generator=generator(random)).log_softmax(1)


def _product_of_experts(logits, bias, label):
    return product_of_experts(Output(logits), {"label": label, "bias": bias})


def _reweighted(logits, bias, label):
    return reweighted(Output(logits), {"label": label, "bias": bias})


def _reweighted_by_hand(a):
    weight = [1 - math.exp(a.bias[i, c]) for i, c in enumerate(a.label.tolist())]
    losses = nll(a.logits, a.label)
    return sum(w * x for w, x in zip(weight, losses, strict=True)) / sum(weight)


def _grounded(logits, label, gates, attention_target, weight):
    batch = {"label": label, "attention_target": attention_target}
    return grounded(Output(logits, gates), batch, weight)


class Cells(NamedTuple):
    """Two attributes of each cell."""

    shape: Tensor
    colour: Tensor


def _cells(shape, colour, cells):
    return cell_cross_entropy(Cells(shape, colour), {"cells": cells})


def _attributes(logits, kinds):
    return attribute_cross_entropy(logits, {"kinds": kinds})


ANSWERING = [
    entry(
        _product_of_experts,
        of=product_of_experts,
        logits=LOGITS,
        bias=floats("B C", nan="propagates", make=log_p).without("infinite"),
        label=LABEL,
        holds=lambda value, a: value.item() == close(mean(nll(a.logits + a.bias, a.label))),
    ),
    entry(
        _reweighted,
        of=reweighted,
        logits=LOGITS,
        # a NaN beside the label is not read
        bias=floats("B C", nan="propagates", make=log_p).but(
            positive=lambda random, x: x + 9, NaN=lambda random, x: x * torch.nan
        ),
        label=LABEL,
        holds=lambda value, a: value.item() == close(_reweighted_by_hand(a)),
    ),
    entry(
        _grounded,
        of=grounded,
        logits=LOGITS,
        label=LABEL,
        # the gates of a head without a target are not read
        gates=floats("B H N").without("NaN", "infinite"),
        attention_target=floats("B K N", 0, 1, nan="propagates").but(
            outside=lambda random, x: x + 2
        ),
        weight=number("[0, inf)"),
        holds=lambda value, a: (
            value.item()
            == close(
                mean(nll(a.logits, a.label)) + a.weight * binary(a.gates[:, :1], a.attention_target)
            )
        ),
        with_sizes={"K": 1, "H": 2},
    ),
    entry(
        _cells,
        of=cell_cross_entropy,
        shape=floats("B N S", nan="propagates").without("infinite"),
        colour=floats("B N C", nan="propagates").without("infinite"),
        cells=labels("B N 2", below=2),
        holds=lambda value, a: (
            value.item()
            == close(
                sum(
                    mean(nll(z.flatten(0, 1), a.cells[..., k].flatten()))
                    for k, z in enumerate((a.shape, a.colour))
                )
            )
        ),
    ),
    entry(
        _attributes,
        of=attribute_cross_entropy,
        logits=floats("B K", nan="propagates"),
        kinds=floats("B K", 0, 1, nan="propagates").but(outside=lambda random, x: x - 2),
        holds=lambda value, a: value.item() == close(a.logits.shape[1] * binary(a.logits, a.kinds)),
    ),
]


# balance


def _branch_losses(weight, logits, one, other, label):
    output = Output(logits, branches={"one": one, "other": other})
    return BranchLosses(weight)(output, {"label": label})


def times(x, factor: Tensor):
    """The product, where x is a tensor of numbers; what is spoiled stays as it is."""
    return x * factor if isinstance(x, Tensor) else x


def _modulate(alpha, logits, one, other, label):
    """The loss, and the gradient of each encoder, a single number that multiplies its scores."""
    codes = {name: torch.ones((), requires_grad=True) for name in ("one", "other")}
    branches = {"one": times(one, codes["one"]), "other": times(other, codes["other"])}
    output = Output(times(logits, codes["one"] * codes["other"]), None, branches, codes)
    loss = GradientModulation(alpha)(output, {"label": label})
    return torch.stack([loss, *torch.autograd.grad(loss, codes.values())])


def _modulated(a):
    """The paper's factors on the gradient that both have alike."""
    w = torch.ones((), requires_grad=True)
    loss = F.cross_entropy(a.logits * w, a.label)
    (gradient,) = torch.autograd.grad(loss, w)
    one, other = (sum(math.exp(-x) for x in nll(z, a.label)) for z in (a.one, a.other))
    ratios = (one / other, other / one)
    factors = [1 - math.tanh(a.alpha * ratio) if ratio > 1 else 1 for ratio in ratios]
    return [loss.item(), *(factor * gradient.item() for factor in factors)]


def _code_gradients(loss, code):
    code = code.detach().requires_grad_() if isinstance(code, Tensor) else code
    codes = {
        "code": code,
        "frozen": torch.ones(*code.shape[:1], 3) if isinstance(code, Tensor) else code,
    }
    return code_gradients(loss(code) if isinstance(code, Tensor) else loss, codes)


BALANCE = [
    entry(
        _branch_losses,
        of=BranchLosses,
        weight=number("[0, inf)"),
        logits=LOGITS,
        one=LOGITS,
        other=LOGITS,
        label=LABEL,
        holds=lambda value, a: (
            value.item()
            == close(
                mean(nll(a.logits, a.label))
                + a.weight * (mean(nll(a.one, a.label)) + mean(nll(a.other, a.label)))
            )
        ),
    ),
    entry(
        _modulate,
        of=GradientModulation,
        alpha=number("[0, inf)"),
        logits=LOGITS,
        # NaN in a branch makes a factor NaN, and so the gradients
        one=LOGITS,
        other=LOGITS,
        label=LABEL,
        holds=lambda value, a: value.tolist() == close(_modulated(a)),
    ),
    entry(
        _code_gradients,
        of=code_gradients,
        loss=given(
            lambda random, sizes: lambda code: code.square().sum() / len(code),
            {
                "vector": constantly(lambda code: code.sum(1)),
                "number": constantly(lambda code: 1.0),
                "none": constantly(lambda code: None),
                "column": constantly(lambda code: code.sum().view(1)),
                "constant": constantly(lambda code: torch.zeros(())),
            },
        ),
        code=floats("B D", nan="propagates").without("array", "list"),
        holds=lambda value, a: (
            [value["code"], value["frozen"]] == close([2 * a.code.norm(dim=1).mean().item(), 0.0])
        ),
    ),
]


# contrastive


def _pairs(score: Tensor, relevant: Tensor | None) -> tuple[np.ndarray, np.ndarray]:
    positive = np.eye(len(score), dtype=bool)
    return score.double().numpy(), positive | (False if relevant is None else relevant.numpy())


def _info_nce(a):
    score, positive = _pairs(a.logit_scale * a.image.double() @ a.text.double().T, a.relevant)
    total = []
    for s, p in ((score, positive), (score.T, positive.T)):
        for row, own in zip(s, p, strict=True):
            log_z = math.log(np.exp(row - row.max()).sum()) + row.max()
            total.append(mean([log_z - z for z in row[own]]))
    return mean(total)


def _sigmoid(a):
    score, positive = _pairs(a.logit_scale * a.image.double() @ a.text.double().T, a.relevant)
    z = np.where(positive, 1, -1) * (score + a.bias)
    return np.logaddexp(0, -z).sum() / len(score)


def _hinge(score: np.ndarray, negative: np.ndarray, margin: float, hardest: bool) -> float:
    costs = [
        [max(0.0, margin + row[j] - row[i]) for j in range(len(row)) if negative[i, j]]
        for i, row in enumerate(score)
    ]
    if hardest:
        return mean([max(each, default=0.0) for each in costs])
    flat = [cost for each in costs for cost in each]
    return mean(flat) if flat else 0.0


def _triplet(a):
    score, positive = _pairs(a.image.double() @ a.text.double().T, a.relevant)
    both = ((score, ~positive), (score.T, ~positive.T))
    return mean([_hinge(s, n, a.margin, a.hardest) for s, n in both])


def _same_group(function: Callable, a: Any) -> float:
    """A loss of `contrastive` by hand, with the pairs of equal `group` relevant."""
    relevant = None if a.group is None else a.group[:, None] == a.group
    return function(SimpleNamespace(**{**vars(a), "relevant": relevant}))


def _chunked(kind, init_scale, max_scale, chunk, image, text, group):
    objective = ChunkedContrastive(kind, init_scale, max_scale, chunk)
    return objective(Output(image=image, text=text), {"group": group})


def _contrastive(kind, init_scale, max_scale, image, text, group):
    objective = ContrastiveObjective(kind, init_scale, max_scale)
    return objective(Output(image=image, text=text), {"group": group})


def _contrastive_by_hand(a):
    default = 10.0 if a.kind == "sigmoid" else 1 / 0.07
    scale = default if a.init_scale is None else a.init_scale
    same = a.group[:, None] == a.group
    if a.kind == "sigmoid":
        return sigmoid_contrastive(a.image, a.text, scale, -10.0, same)
    return info_nce(a.image, a.text, scale, same)


SIGMOID = {  # minus infinity is a good score for a negative
    "image": ROWS.without("infinite"),
    "text": ROWS.without("infinite"),
    "logit_scale": SCALE,
    "bias": number("(-inf, inf)", -10, 1),
}
CONTRASTIVE = [
    entry(
        info_nce,
        image=ROWS,
        text=ROWS,
        logit_scale=SCALE,
        relevant=optional(RELEVANT),
        holds=lambda value, a: value.item() == close(_info_nce(a)),
    ),
    entry(
        sigmoid_contrastive,
        **SIGMOID,
        relevant=optional(RELEVANT),
        holds=lambda value, a: value.item() == close(_sigmoid(a)),
    ),
    entry(
        triplet,
        # an infinite score may lead, and then costs nothing; that of what is relevant is not read
        image=ROWS.without("infinite", "NaN"),
        text=ROWS.without("infinite", "NaN"),
        margin=number("[0, inf)"),
        hardest=flag(),
        relevant=optional(RELEVANT),
        holds=lambda value, a: value.item() == close(_triplet(a)),
    ),
    entry(
        hinge,
        # a score that is masked out is not read
        score=floats("B B").without("NaN", "infinite"),
        negative=RELEVANT,
        margin=number("[0, inf)"),
        hardest=flag(),
        holds=lambda value, a: (
            value.item()
            == close(_hinge(a.score.double().numpy(), a.negative.numpy(), a.margin, a.hardest))
        ),
    ),
    entry(
        _contrastive,
        of=ContrastiveObjective,
        kind=option("info_nce", "sigmoid"),
        init_scale=optional(number("(0, 100]", 1, 20)),
        max_scale=number("(0, inf)", 30, 100).but(outside=constantly(0, -1, -100.0)),
        image=ROWS,
        text=ROWS,
        group=GROUP,
        holds=lambda value, a: torch.allclose(value, _contrastive_by_hand(a), atol=1e-4),
    ),
    entry(
        chunked_info_nce,
        image=ROWS,
        text=ROWS,
        logit_scale=SCALE,
        group=optional(GROUP),
        chunk=count(),
        holds=lambda value, a: value.item() == close(_same_group(_info_nce, a)),
    ),
    entry(
        chunked_sigmoid_contrastive,
        **SIGMOID,
        group=optional(GROUP),
        chunk=count(),
        holds=lambda value, a: value.item() == close(_same_group(_sigmoid, a)),
    ),
    entry(
        _chunked,
        of=ChunkedContrastive,
        kind=option("info_nce", "sigmoid"),
        init_scale=optional(number("(0, 100]", 1, 20)),
        max_scale=number("(0, inf)", 30, 100).but(outside=constantly(0, -1, -100.0)),
        chunk=count(),
        image=ROWS,
        text=ROWS,
        group=GROUP,
        holds=lambda value, a: torch.allclose(value, _contrastive_by_hand(a), atol=1e-4),
    ),
    entry(
        row_counts,
        # one process alone looks at nothing but the type
        x=floats("B D").without(
            "NaN", "infinite", "complex", "empty", "one axis more", "one axis less"
        ),
        holds=lambda value, a: value == ([len(a.x)], 0),
    ),
    entry(
        gather_with_grad,
        # one process alone looks at nothing but the type
        x=floats("B D").without(
            "NaN", "infinite", "complex", "empty", "one axis more", "one axis less"
        ),
        holds=lambda value, a: value is a.x,
    ),
]


# heat maps


def _heatmaps(heatmaps, joints, stride):
    return heatmap_cross_entropy(Output(heatmaps=heatmaps, stride=stride), {"joints": joints})


def _heatmaps_by_hand(a):
    losses = []
    for maps, joints in zip(a.heatmaps.double(), a.joints.double().tolist(), strict=True):
        for field, (x, y) in zip(maps, joints, strict=True):
            x, y = ((place - (a.stride - 1) / 2) / a.stride for place in (x, y))
            hill = torch.tensor(
                [
                    [math.exp(-((r - y) ** 2 + (c - x) ** 2) / 2) for c in range(field.shape[1])]
                    for r in range(field.shape[0])
                ]
            ).double()
            log_q = field.flatten().log_softmax(0)
            losses.append(-(hill.flatten() / hill.sum() * log_q).sum().item())
    return mean(losses)


HEATMAPS = [
    entry(
        _heatmaps,
        of=heatmap_cross_entropy,
        heatmaps=floats("B J h w", nan="propagates"),
        joints=floats("B J 2", 0, 5, nan="propagates"),
        stride=count(1, 3).without("broken"),  # half a pixel a cell would be a stride, too
        holds=lambda value, a: value.item() == close(_heatmaps_by_hand(a)),
    ),
]


# several tasks


def _tasks(kind, size, label, target):
    return Output(tasks={"kind": kind, "size": size}), {"kind": label, "size": target}


TASKS = {
    "kind": LOGITS,
    "size": floats("B D", nan="propagates"),
    "label": LABEL,
    "target": floats("B D", nan="propagates"),
}


def by_hand(a) -> list[float]:
    """The losses of both tasks."""
    squares = (a.size.double() - a.target.double()).square()
    return [mean(nll(a.kind, a.label)), squares.mean().item()]


def _task_losses(kind, size, label, target):
    return task_losses(*_tasks(kind, size, label, target))


def _weighted_sum(weights, kind, size, label, target):
    return WeightedSum(weights)(*_tasks(kind, size, label, target))


def _uncertainty(tasks, speed, kind, size, label, target):
    return UncertaintyWeighting(tasks, speed)(*_tasks(kind, size, label, target))


def _combined(shared, combine, kind, size, label, target):
    """The loss, and what reaches a number that both tasks share."""
    good = isinstance(shared, list) and len(shared) == 1 and isinstance(shared[0], Tensor)
    weights = shared[0] if good else torch.ones(2)
    moved = (times(x, w) for x, w in zip((kind, size), weights, strict=True))
    loss = CombinedGradients(shared, combine)(*_tasks(*moved, label, target))
    return torch.cat([loss.view(1), torch.autograd.grad(loss, shared)[0]])


def _combined_by_hand(a):
    """Both tasks have a coordinate of their own; `equal_norms` makes both as long as the mean."""
    w = torch.ones(2, requires_grad=True)
    losses = task_losses(*_tasks(a.kind * w[0], a.size * w[1], a.label, a.target))
    slopes = torch.autograd.grad(losses.sum(), w)[0]
    return [losses.sum().item(), *(slopes.sign() * slopes.abs().mean()).tolist()]


def _grad_norm(tasks, alpha, speed, kind, size, label, target):
    shared = [torch.ones((), requires_grad=True)]
    moved = (times(kind, shared[0]), times(size, shared[0]))
    return GradNorm(tasks, shared, alpha, speed)(*_tasks(*moved, label, target))


NAMED = {"kind": 2.0, "size": 0.5}
GRADIENTS = floats("T P", nan="propagates")


def _pcgrad_of_two(g):
    """Algorithm 1 for two tasks, where the order cannot matter."""
    total = np.zeros(g.shape[1])
    for i in range(2):
        one, other = g[i].copy(), g[1 - i]
        if one @ other < 0:
            one -= one @ other / (other @ other) * other
        total += one
    return total


def _task_gradients(losses):
    """Gradients of linear losses: their weights."""
    linear = isinstance(losses, Tensor) and losses.ndim == 2
    at = torch.zeros(losses.shape[1] if linear else 1, dtype=losses.dtype if linear else None)
    at.requires_grad_()
    return task_gradients(losses @ at if linear else losses, [at])


MULTITASK = [
    entry(
        _task_losses,
        of=task_losses,
        **TASKS,
        holds=lambda value, a: value.tolist() == close(by_hand(a)),
    ),
    entry(
        _weighted_sum,
        of=WeightedSum,
        weights=given(
            lambda random, sizes: dict(NAMED),
            {
                "no mapping": constantly("abc", 3, [1, 2], 0.5),
                "negative": constantly(NAMED | {"size": -1.0}),
                "NaN": constantly(NAMED | {"size": math.nan}),
                "None in it": constantly(NAMED | {"size": None}),
                "words": constantly(NAMED | {"size": "1"}),
                "one less": constantly({"kind": 1.0}, {"other": 1.0}),
            },
        ),
        **TASKS,
        holds=lambda value, a: value.item() == close(np.dot(by_hand(a), list(a.weights.values()))),
    ),
    entry(
        _uncertainty,
        of=UncertaintyWeighting,
        tasks=count(2, 2).but(**{"too small": constantly(0, -1, 1), "too many": constantly(3)}),
        speed=number("(0, inf)"),
        **TASKS,
        holds=lambda value, a: value.item() == close(sum(by_hand(a)) / 2),  # s starts at 0
    ),
    entry(
        _grad_norm,
        of=GradNorm,
        tasks=count(2, 2).but(**{"too small": constantly(0, -1, 1), "too many": constantly(3)}),
        alpha=number("[0, inf)"),
        speed=number("(0, inf)"),
        **TASKS,
        holds=lambda value, a: value.item() == close(sum(by_hand(a))),  # w starts at 1
    ),
    entry(
        _combined,
        of=CombinedGradients,
        shared=given(
            lambda random, sizes: [torch.ones(2, requires_grad=True)],
            {"no list": constantly(None, 3, "abc", {"a": 1}), "no tensor": constantly([], [1])},
        ),
        combine=given(
            lambda random, sizes: equal_norms,
            {
                "no function": constantly(None, 3, "abc"),
                "column": constantly(lambda gradients: gradients.sum(0)[:, None]),
                "short": constantly(lambda gradients: gradients.sum()),
            },
        ),
        **TASKS,
        holds=lambda value, a: value.tolist() == close(_combined_by_hand(a)),
    ),
    entry(
        _task_gradients,
        of=task_gradients,
        losses=floats("T P", nan="propagates"),
        holds=lambda value, a: torch.equal(value, a.losses),
    ),
    entry(
        gradient_cosines,
        gradients=GRADIENTS,
        holds=lambda value, a: torch.allclose(
            value, torch.tensor(np.corrcoef(_centred(a.gradients))).float(), atol=1e-4
        ),
    ),
    entry(
        pcgrad,
        gradients=GRADIENTS,
        with_sizes={"T": 2},
        holds=lambda value, a: (
            value.tolist() == close(_pcgrad_of_two(a.gradients.double().numpy()).tolist())
        ),
    ),
    entry(
        equal_norms,
        gradients=GRADIENTS,
        holds=lambda value, a: torch.allclose(
            value,
            sum(g / g.norm() for g in a.gradients) * a.gradients.norm(dim=1).mean(),
            atol=1e-4,
        ),
    ),
]


def _centred(gradients: Tensor) -> np.ndarray:
    """Each row beside its negative: a correlation of mean 0 is a cosine."""
    return torch.cat([gradients, -gradients], dim=1).double().numpy()


# wrong labels, unequal weights


def _generalised(q, logits, label):
    return GeneralisedCrossEntropy(q)(Output(logits), {"label": label})


def _small(keep, warmup, logits, label):
    return SmallLoss(keep, warmup)(Output(logits), {"label": label})


def _smallest(losses, judge, a) -> float:
    """One step of `warmup` has been made."""
    share = 1 - (1 - a.keep) / a.warmup
    order = sorted(range(len(losses)), key=lambda i: judge[i])
    return mean([losses[i] for i in order[: max(1, round(share * len(losses)))]])


def _co_teaching(keep, warmup, pair, label):
    return CoTeaching(keep, warmup)(Output(pair=pair), {"label": label})


def _co_taught(a):
    one, two = (nll(logits, a.label) for logits in a.pair)
    return (_smallest(one, two, a) + _smallest(two, one, a)) / 2


def _weighted(logits, label, weight):
    return weighted_cross_entropy(Output(logits), {"label": label, "weight": weight})


NOISY = [
    entry(
        _generalised,
        of=GeneralisedCrossEntropy,
        q=number("(0, 1]"),
        logits=LOGITS,
        label=LABEL,
        holds=lambda value, a: (
            value.item()
            == close(mean([(1 - math.exp(-x) ** a.q) / a.q for x in nll(a.logits, a.label)]))
        ),
    ),
    entry(
        _small,
        of=SmallLoss,
        keep=number("(0, 1]"),
        warmup=count(1),
        # half precision may choose another of near equals; an infinite logit may be the label's
        logits=LOGITS.without("infinite"),
        label=LABEL,
        holds=lambda value, a: (
            value.item() == close(_smallest(nll(a.logits, a.label), nll(a.logits, a.label), a))
        ),
    ),
    entry(
        _co_teaching,
        of=CoTeaching,
        keep=number("(0, 1]"),
        warmup=count(1),
        pair=floats("2 B C", nan="propagates").without("infinite", "half"),
        label=LABEL,
        holds=lambda value, a: value.item() == close(_co_taught(a)),
    ),
    entry(
        _weighted,
        of=weighted_cross_entropy,
        logits=LOGITS,
        label=LABEL,
        # all weights 0 is a loss of 0
        weight=weights("B").without("nothing").but(NaN=None, infinite=None),
        holds=lambda value, a: (
            value.item() == close(np.dot(nll(a.logits, a.label), a.weight.numpy()) / len(a.label))
        ),
    ),
    entry(
        inverse_frequency,
        # any whole number may be a kind
        kind=labels("N", below=3).without("negative", "too large"),
        holds=lambda value, a: (
            value.tolist()
            == close(
                [
                    len(a.kind) / (len(set(a.kind.tolist())) * a.kind.tolist().count(k))
                    for k in a.kind.tolist()
                ]
            )
        ),
    ),
]


# language


def _next_token(logits, tokens, tokens_mask):
    masked = {} if tokens_mask is None else {"tokens_mask": tokens_mask}
    return next_token(Output(logits), {"tokens": tokens, **masked})


def _next_token_by_hand(a):
    losses = []
    mask = torch.ones_like(a.tokens).bool() if a.tokens_mask is None else a.tokens_mask
    for logits, tokens, real in zip(a.logits, a.tokens, mask, strict=True):
        judged = real[1:] & real[:-1]
        losses += nll(logits[:-1][judged], tokens[1:][judged])
    return mean(losses)


def _left_or_right(random, sizes):
    """Texts of two tokens at least, padded on one side or the other."""
    rows, longest = sizes.shape("B L")
    lengths = torch.tensor([random.randint(2, longest) for _ in range(rows)])
    mask = torch.arange(longest) < lengths[:, None]
    return mask.flip(1) if random.random() < 0.5 else mask


LANGUAGE = [
    entry(
        _next_token,
        of=next_token,
        logits=floats("B L V", nan="propagates").without("infinite", "NaN"),
        tokens=labels("B L", below=2),
        tokens_mask=optional(masks("B L", make=_left_or_right)),
        with_sizes={"V": 2},
        holds=lambda value, a: value.item() == close(_next_token_by_hand(a)),
    ),
]


# preferences


def _answer_by_hand(a):
    found = []
    for logits, tokens, answer in zip(a.logits, a.tokens, a.answer, strict=True):
        judged = answer[1:].bool()
        found.append(-sum(nll(logits[:-1][judged], tokens[1:][judged])))
    return found


def _bradley_terry_by_hand(better, worse, margin):
    margin = [0.0] * len(better) if margin is None else margin.tolist()
    leads = [b - w + m for b, w, m in zip(better.tolist(), worse.tolist(), margin, strict=True)]
    return mean([float(np.logaddexp(0, -lead)) for lead in leads])


PREFERENCES = [
    entry(
        answer_log_probability,
        logits=floats("B L V", nan="propagates").without("infinite", "NaN"),
        tokens=labels("B L", below="V"),
        answer=masks("B L"),
        holds=lambda value, a: value.tolist() == close(_answer_by_hand(a)),
    ),
    entry(
        bradley_terry,
        better=floats("N", nan="propagates").without("infinite"),
        worse=floats("N", nan="propagates").without("infinite"),
        margin=optional(floats("N", nan="propagates").without("infinite")),
        holds=lambda value, a: (
            value.item() == close(_bradley_terry_by_hand(a.better, a.worse, a.margin))
        ),
    ),
    entry(
        dpo,
        policy=floats("N two", nan="propagates").without("infinite"),
        reference=floats("N two", nan="propagates").without("infinite"),
        beta=number("(0, inf)"),
        margin=optional(floats("N", nan="propagates").without("infinite")),
        with_sizes={"two": 2},
        holds=lambda value, a: (
            value.item()
            == close(_bradley_terry_by_hand(*(a.beta * (a.policy - a.reference)).T, a.margin))
        ),
    ),
]


# regression


def _ridge(value, a):
    model = Ridge(alpha=a.ridge * len(a.x)).fit(a.x.double().numpy(), a.y.double().numpy())
    expected = (torch.tensor(model.coef_), torch.tensor(model.intercept_))
    found = (value[0].movedim(-1, 0).double(), value[1].double())
    pairs = zip(found, expected, strict=True)
    return all(torch.allclose(x, y, rtol=1e-2, atol=1e-3) for x, y in pairs)


REGRESSION = [
    entry(
        mean_squared_error,
        prediction=floats("N D", nan="propagates").without("one axis less"),
        target=floats("N D", nan="propagates"),
        holds=lambda value, a: (
            value.item()
            == close((a.prediction.double() - a.target.double()).square().mean().item())
        ),
    ),
    entry(
        least_squares,
        x=floats("N D", nan="propagates"),
        y=floats("N", nan="propagates").without("one axis more"),
        ridge=number("[0, inf)", 0.5, 2),
        holds=_ridge,
    ),
    entry(
        lambda x, y, ridge: least_squares(x, y, ridge),
        of=least_squares,
        x=floats("N D", nan="propagates"),
        y=floats("N E", nan="propagates").without("one axis less"),
        ridge=number("[0, inf)", 0.5, 2),
        holds=_ridge,
    ),
]

# self-supervised


def _hidden_by_hand(a):
    """Mean of the squared errors of the hidden patches' numbers, one after another."""
    rows = zip(a.drawn.tolist(), a.target.tolist(), a.hidden.tolist(), strict=True)
    found = [
        (x - y) ** 2
        for drawn, target, hidden in rows
        for one, other, asked in zip(drawn, target, hidden, strict=True)
        for x, y in zip(one, other, strict=True)
        if asked
    ]
    return mean(found)


def _quantised_by_hand(a):
    """Both squared distances, summed number by number, over the number of squares."""
    pairs = (a.drawn, a.target, 1), (a.read, a.code, 1 + a.commitment)
    found = [
        weight * (x - y) ** 2
        for one, other, weight in pairs
        for x, y in zip(
            one.double().flatten().tolist(), other.double().flatten().tolist(), strict=True
        )
    ]
    return sum(found) / (len(a.read) * a.read.shape[1])


SELF_SUPERVISED = [
    entry(
        lambda drawn, target, hidden: hidden_patches(
            SimpleNamespace(drawn=drawn, target=target, hidden=hidden)
        ),
        of=hidden_patches,
        drawn=floats("B N P", nan="propagates").without("infinite", "NaN"),
        target=floats("B N P", nan="propagates").without("infinite", "NaN"),
        hidden=masks("B N"),
        holds=lambda value, a: value.item() == close(_hidden_by_hand(a)),
    ),
    entry(
        lambda logits: first_among(Output(logits)),
        of=first_among,
        logits=floats("B K", nan="propagates"),
        holds=lambda value, a: (
            value.item() == close(mean(nll(a.logits, torch.zeros(len(a.logits)).long())))
        ),
    ),
    entry(
        lambda drawn, target, read, code, commitment: quantised(
            SimpleNamespace(drawn=drawn, target=target, read=read, code=code), commitment=commitment
        ),
        of=quantised,
        drawn=floats("B C H W", nan="propagates").without("infinite", "NaN"),
        target=floats("B C H W", nan="propagates").without("infinite", "NaN"),
        read=floats("B N D", nan="propagates").without("infinite", "NaN"),
        code=floats("B N D", nan="propagates").without("infinite", "NaN"),
        commitment=number("[0, inf)", 0.25, 1),
        holds=lambda value, a: value.item() == close(_quantised_by_hand(a)),
    ),
]


ENTRIES = [
    *CLASSIFICATION,
    *ANSWERING,
    *BALANCE,
    *CONTRASTIVE,
    *HEATMAPS,
    *LANGUAGE,
    *MULTITASK,
    *NOISY,
    *PREFERENCES,
    *REGRESSION,
    *SELF_SUPERVISED,
]
EXEMPT: dict[str, str] = {}
