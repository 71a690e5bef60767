"""Whether a map points at what it should: truth known, curves, and the sanity check.

Knows maps (B, H, W), masks and how intervals are made. Knows no method of explanation: those are
`mmtutor.explain`, and any function `(model, batch, target) -> maps` will do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from scipy.stats import rankdata
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch, require
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval
from mmtutor.explain.coalitions import baseline_value
from mmtutor.explain.randomise import randomised
from mmtutor.explain.targets import Probability, Target, scores
from mmtutor.models.modes import evaluating

Method = Callable[[nn.Module, Batch, Target], Tensor]


def pointing_game(maps: Tensor, masks: Tensor, tolerance: int = 0) -> Tensor:
    """Whether the highest point of each map lies on the object: hits (B,) bool.

    Zhang et al. (2018). Of several highest pixels most must lie on it, so that a map
    that is the same everywhere does not hit.

    Args:
        maps: (B, H, W) floating point; higher = more important.
        masks: (B, H, W) bool, or 1 and 0; True on the object.
        tolerance: pixels by which every object is widened to all sides (theirs: 15).

    Raises:
        ValueError: shapes differ, a map is not finite, or a mask is empty.
    """
    masks = _checked(maps, masks)
    checks.at_least(0, tolerance=tolerance)
    if tolerance:
        side = 2 * tolerance + 1
        wide = F.max_pool2d(masks.float().unsqueeze(1), side, stride=1, padding=tolerance)
        masks = wide.squeeze(1) > 0
    highest = maps == maps.amax(dim=(1, 2), keepdim=True)
    inside = (highest & masks).sum(dim=(1, 2))
    return 2 * inside > highest.sum(dim=(1, 2))


def energy_inside(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of a map's positive part that lies on the object: (B,) in [0, 1].

    Wang et al. (2020). A map without a positive part counts as the same everywhere: it
    gets the object's share of the image. Arguments and errors as in `pointing_game`.
    """
    masks = _checked(maps, masks)
    positive = maps.clamp(min=0)
    total = positive.sum(dim=(1, 2))
    share = (positive * masks).sum(dim=(1, 2)) / total.where(total > 0, torch.ones_like(total))
    return share.where(total > 0, masks.to(maps.dtype).mean(dim=(1, 2)))


def random_maps(images: Tensor, seed: int = 0) -> Tensor:
    """Noise (B, H, W) in [0, 1): the control that has seen neither image nor model."""
    checks.shaped(images=(images, "B C H W"))
    checks.at_least(0, seed=seed)
    generator = torch.Generator().manual_seed(int(seed))
    size = (len(images), *images.shape[-2:])
    return torch.rand(size, generator=generator).to(images.device)


def centre_maps(images: Tensor) -> Tensor:
    """A hill in the middle (B, H, W) in (0, 1]: photographers put things there."""
    checks.shaped(images=(images, "B C H W"))
    height, width = images.shape[-2:]
    y = torch.linspace(-1, 1, height, device=images.device)[:, None]
    x = torch.linspace(-1, 1, width, device=images.device)
    return (-(x**2 + y**2)).exp().expand(len(images), -1, -1)


def edge_maps(images: Tensor) -> Tensor:
    """How much neighbouring pixels differ (B, H, W): has seen the image, but no model."""
    checks.shaped(images=(images, "B C H W"))
    checks.floating(images=images)
    checks.finite(images=images)
    grey = F.pad(images.mean(dim=1, keepdim=True), [1, 1, 1, 1], mode="replicate")
    kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]]).to(images)  # Sobel's
    both = F.conv2d(grey, torch.stack([kernel, kernel.T]).unsqueeze(1))
    return both.norm(dim=1)


class _Curves(NamedTuple):
    """The score while pixels leave, and while they come back, the most important first.

    Attributes:
        deletion, insertion: (B, steps + 1), from the first pixel to the last.
        deletion_area, insertion_area: (B,) mean heights. A map that knows what the score needs has
            a small one and a large one.
    """

    deletion: Tensor
    insertion: Tensor
    deletion_area: Tensor
    insertion_area: Tensor


def deletion_insertion(
    model: nn.Module,
    batch: Batch,
    target: Target,
    maps: Tensor,
    steps: int = 16,
    fill: Tensor | float | None = None,
) -> _Curves:
    """Take pixels away in the order of the map, and put them into an empty image in that order.

    Petsiuk et al. (2018), algorithm 1. Class indices as target are scored by their probability.
    Equal pixels go in reading order.

    Args:
        maps: (B, H, W); higher = sooner.
        steps: into so many parts the pixels are cut.
        fill: what a pixel becomes when it is away, see `explain.baseline_value`.

    Raises KeyError for a batch without images, TypeError and ValueError for maps of another shape
    or not finite, and as `explain.scores` does.
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    require(batch, "image")
    checks.at_least(1, steps=steps)
    checks.shaped(maps=(maps, "B H W"), **{"batch['image']": (batch["image"], "B C H W")})
    checks.finite(maps=maps, **{"batch['image']": batch["image"]})
    target = Probability(target) if isinstance(target, Tensor) else target
    images = batch["image"]
    ground = baseline_value(images, fill)
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    order = order.view_as(maps).unsqueeze(1)  # 0 = the most important pixel
    curves = []
    with evaluating(model), torch.no_grad():
        for first, then in ((ground, images), (images, ground)):
            points = []
            for step in range(steps + 1):
                changed = order < step * maps[0].numel() / steps
                mixed = torch.where(changed, first, then)
                points.append(scores(model, {**batch, "image": mixed}, target))
            curves.append(torch.stack(points, dim=1))
    areas = [torch.trapezoid(curve, dim=1) / steps for curve in curves]
    return _Curves(*curves, *areas)


class _SanityCheck(NamedTuple):
    """How alike an explanation is before and after the weights were drawn anew.

    Attributes:
        similarity: mean rank correlation of the two maps, 1 = the same, with its interval.
        per_example: (B,) the mean over the random networks.
        passes: whether the whole interval lies below the threshold.
    """

    similarity: Interval
    per_example: Tensor
    passes: bool


def sanity_check(
    method: Method,
    model: nn.Module,
    batch: Batch,
    target: Target,
    seeds: Sequence[int] = (0, 1, 2),
    threshold: float = 0.5,
    absolute: bool = False,
    only: str = "",
) -> _SanityCheck:
    """Does the explanation change when the model forgets all it has learned?

    The parameter randomisation test of Adebayo et al. (2018), section 3: one that stays the same
    cannot be about the model. A map without any relief before and after has stayed the same.

    Args:
        method: `(model, batch, target) -> maps` (B, H, W) or (B, L).
        seeds: one randomised network each.
        threshold: the similarity that is still taken for "changed".
        absolute: compare sizes only. A map that multiplies by the input keeps its size where the
            image is flat, whatever the weights, and then fails.
        only: the part of the model that forgets, by name; "head" asks least, for all maps of what
            was answered should change with it.

    Raises TypeError and ValueError for no seed, a part that the model does not have, or maps that
    are not finite.
    """
    checks.instance(Callable, method=method)
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    seeds = checks.listed(int, seeds=seeds)
    checks.same_length(seeds=seeds)
    checks.within("[-1, 1]", threshold=threshold)
    checks.one_of(dict(model.named_modules()), only=only)
    maps = method(model, batch, target)
    others = [method(randomised(model, seed, only), batch, target) for seed in seeds]
    if absolute:
        maps, others = maps.abs(), [other.abs() for other in others]
    per_example = torch.stack([_alike(maps, other) for other in others]).mean(dim=0)
    similarity = bootstrap_interval(per_example)
    return _SanityCheck(similarity, per_example, similarity.high < float(threshold))


def _alike(x: Tensor, y: Tensor) -> Tensor:
    """`rank_correlation`, but 1 where both maps are flat."""
    flat = [maps.flatten(1).amax(1) == maps.flatten(1).amin(1) for maps in (x, y)]
    return rank_correlation(x, y).masked_fill(flat[0] & flat[1], 1)


def rank_correlation(x: Tensor, y: Tensor) -> Tensor:
    """Spearman's correlation of each row of x (B, ...) with that of y: (B,) in [-1, 1].

    Ties share their mean rank. A row that is the same everywhere has rank correlation 0 with any.
    Raises TypeError and ValueError for maps of two shapes, or not finite.
    """
    checks.instance(Tensor, x=x, y=y)
    if x.shape != y.shape or x.ndim < 2 or not x.numel():
        raise ValueError(
            f"x and y must have one shape (B, ...), got {tuple(x.shape)} and {tuple(y.shape)}"
        )
    checks.finite(x=x, y=y)
    a, b = (torch.from_numpy(rankdata(maps.detach().flatten(1).cpu(), axis=1)) for maps in (x, y))
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    return F.cosine_similarity(a, b, dim=1)


def _checked(maps: Tensor, masks: Tensor) -> Tensor:
    masks = checks.as_mask(masks=masks)
    checks.shaped(maps=(maps, "B H W"), masks=(masks, "B H W"))
    checks.floating(maps=maps)
    checks.finite(maps=maps)
    empty = (~masks.flatten(1).any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"masks must be True somewhere, got an empty one of example {empty[0]}")
    return masks
