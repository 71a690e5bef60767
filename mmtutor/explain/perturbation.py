"""Explanations by trying out: cover a part, and see what the score does.

Knows occlusion, and LIME's local linear model. They need the model's scores alone, no gradient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from sklearn.linear_model import Ridge
from torch import Tensor, nn

from mmtutor.data.batch import Batch
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
    """
    from captum.attr import Occlusion

    images = batch["image"]
    height, width = images.shape[-2:]
    if not 0 < patch <= min(height, width):
        raise ValueError(f"a patch of {patch} does not fit into pictures of {height} x {width}")
    stride = stride or max(1, patch // 2)
    ground = baseline_value(images, fill).expand_as(images)
    occluded = Occlusion(lambda x: scores(model, {**batch, "image": x}, target))
    with evaluating(model):
        window, steps = (3, patch, patch), (3, stride, stride)
        return occluded.attribute(images, window, steps, ground)[:, 0]


class Lime(NamedTuple):
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
) -> Lime:
    """Ridge regression of the score on who is present (Ribeiro et al. 2016, section 3.3 and 3.4).

    Coalitions are drawn by a fair coin for each player, and weigh exp(-d^2 / width^2), d = 1 - cos
    the cosine distance from everybody: near neighbours count most.

    Args:
        samples: K coalitions; everybody is always one of them.
        width: of the kernel.
        ridge: penalty on the weights, not on the intercept.

    Raises:
        ValueError: fewer than two samples.
    """
    if samples < 2:
        raise ValueError(f"lime needs at least 2 samples, got {samples}")
    generator = torch.Generator().manual_seed(seed)
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
    return Lime(weights.float(), intercept.float(), (1 - weight @ residual**2 / spread).float())
