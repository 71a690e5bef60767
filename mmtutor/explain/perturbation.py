"""Explanations by trying out: cover a part, and see what the score does.

Knows occlusion, and LIME's local linear model. They need the model's scores alone, no gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch, require
from mmtutor.explain.coalitions import CoalitionGame, baseline_value
from mmtutor.explain.targets import Target, scores
from mmtutor.models.modes import evaluating

ROUNDING = 1e-20  # share of the score's square that is not taken for a change of it


def occlusion(
    model: nn.Module,
    batch: Batch,
    target: Target,
    patch: int = 8,
    stride: int | None = None,
    fill: Tensor | float | None = None,
) -> Tensor:
    """How much the score drops when a square is covered: (B, H, W), with a sign.

    Zeiler and Fergus (2014), by `captum`. A pixel gets the mean drop over the squares that cover
    it; squares that would end outside are cut at the border.

    Args:
        patch: side of the square in pixels.
        stride: step between squares; half a patch if not given.
        fill: see `baseline_value`.

    Raises KeyError for a batch without images, TypeError and ValueError for a square that does
    not fit or makes no step, and as `scores` does.
    """
    from captum.attr import Occlusion

    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    require(batch, "image")
    images = batch["image"]
    size = checks.shaped(**{"batch['image']": (images, "B 3 H W")})
    checks.floating(**{"batch['image']": images})
    checks.finite(**{"batch['image']": images})
    checks.at_least(1, patch=patch)
    stride = max(1, patch // 2) if stride is None else stride
    checks.at_least(1, stride=stride)
    if stride > patch:
        raise ValueError(
            f"stride must be at most patch {patch}, or pixels are left out, got {stride}"
        )
    if patch > min(size["H"], size["W"]):
        raise ValueError(f"patch must fit into images of {size['H']} x {size['W']}, got {patch}")
    ground = baseline_value(images, fill).expand_as(images)
    occluded = Occlusion(lambda x: scores(model, {**batch, "image": x}, target))
    with evaluating(model):
        window, steps = (3, patch, patch), (3, stride, stride)
        return occluded.attribute(images, window, steps, ground)[:, 0]


class _Lime(NamedTuple):
    """A linear model of the score near one example.

    Attributes:
        weights: (B, n) what each player adds; 0 for padding.
        intercept: (B,) the linear model's score of nothing.
        fidelity: (B,) the weighted share of the score's variance that the linear model explains;
            at most 1. Weights of a poor fit explain nothing. NaN where the score never changes.
    """

    weights: Tensor
    intercept: Tensor
    fidelity: Tensor


def lime(
    game: CoalitionGame, samples: int = 256, width: float = 0.25, ridge: float = 1e-3, seed: int = 0
) -> _Lime:
    """Ridge regression of the score on who is present (Ribeiro et al. 2016, section 3.3 and 3.4).

    Coalitions are drawn by a fair coin for each player, and weigh exp(-d^2 / width^2), d = 1 - cos
    the cosine distance from everybody: near neighbours count most.

    Args:
        samples: K coalitions, more than there are players; everybody is always one of them.
        width: of the kernel.
        ridge: penalty on the weights, not on the intercept.

    Raises:
        TypeError, ValueError: as few samples as players, whose weights would be invented, or a
            width or ridge that is not above 0.
    """
    checks.instance(CoalitionGame, game=game)
    checks.at_least(game.players + 1, samples=samples)
    checks.within("(0, inf)", width=width, ridge=ridge)
    checks.at_least(0, seed=seed)
    generator = torch.Generator().manual_seed(int(seed))
    present = torch.randint(2, (samples, game.players), generator=generator).bool()
    present[0] = True
    value = game.values(present).double().cpu()  # [K, B]
    x = present.double()
    cosine = (x.sum(dim=1) / game.players).sqrt()  # of 0/1 rows with the row of ones
    weight = (-((1 - cosine) ** 2) / width**2).exp()
    fitted = Ridge(alpha=ridge).fit(x, value, sample_weight=weight)
    residual = value - torch.from_numpy(fitted.predict(x)).view_as(value)
    centred = value - (weight @ value) / weight.sum()
    spread = weight @ centred**2
    spread = spread.masked_fill(spread <= ROUNDING * (weight @ value**2), torch.nan)
    weights = torch.from_numpy(fitted.coef_).view(game.real.shape).masked_fill(~game.real.cpu(), 0)
    intercept = torch.as_tensor(fitted.intercept_).view(-1)
    return _Lime(weights.float(), intercept.float(), (1 - weight @ residual**2 / spread).float())
