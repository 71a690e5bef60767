"""Explanations by gradients: which inputs move the score, and which carry it.

All take `(model, batch, target)` and give one number a pixel, (B, H, W), or a word, (B, L); padding
gets 0. Knows nothing of how good an explanation is: that is `evaluation.explanations`. The model is
run in evaluation mode and keeps its own; no gradient of a parameter is touched. All raise KeyError
for a batch without the modality, TypeError and ValueError for what does not fit or is not finite.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch
from mmtutor.encoders.base import real
from mmtutor.explain.targets import Target, broadcast, differentiable, input_gradient, seeded
from mmtutor.models.modes import evaluating


def gradient(model: nn.Module, batch: Batch, target: Target, modality: str = "image") -> Tensor:
    """How fast the score changes with each pixel: the largest |gradient| over the channels.

    Simonyan et al. (2014), section 3.1. For words it is the length of the gradient by their vector.
    """
    with _ready(model, batch, target, modality) as (x, score):
        return _largest(input_gradient(score, x), modality, batch)


def input_x_gradient(
    model: nn.Module, batch: Batch, target: Target, modality: str = "image"
) -> Tensor:
    """Gradient times input, summed over channels: with a sign (Shrikumar et al. 2016).

    Of a linear model without a bias it is each pixel's part of the score.
    """
    with _ready(model, batch, target, modality) as (x, score):
        return _sum(x * input_gradient(score, x), modality, batch)


def integrated_gradients(
    model: nn.Module,
    batch: Batch,
    target: Target,
    modality: str = "image",
    baseline: Tensor | float = 0.0,
    steps: int = 32,
) -> Tensor:
    """Input minus baseline, times the mean gradient on the straight line between them, with a sign.

    Sundararajan et al. (2017), eq. 1, by the midpoint rule. Completeness: a row of the result sums
    to score(input) - score(baseline), up to the error of the rule. Where the input equals the
    baseline the result is 0, whatever the model thinks of the place.

    Args:
        baseline: what stands for "nothing": a number, or a tensor that broadcasts against the input
            (B, 3, H, W), or (B, L, D) for words.
    """
    checks.at_least(1, steps=steps)
    with _ready(model, batch, target, modality) as (x, score):
        start = broadcast(x, baseline=baseline)
        total = torch.zeros_like(x)
        for step in range(steps):
            total += input_gradient(score, start + (step + 0.5) / steps * (x - start))
        return _sum((x - start) * total / steps, modality, batch)


def smooth_grad(
    model: nn.Module,
    batch: Batch,
    target: Target,
    modality: str = "image",
    samples: int = 16,
    noise: float = 0.1,
    seed: int = 0,
) -> Tensor:
    """`gradient` of the mean gradient around the input (Smilkov et al. 2017), by `captum`.

    Args:
        samples: how many noisy copies.
        noise: standard deviation of the noise, in units of the input.
    """
    from captum.attr import NoiseTunnel, Saliency

    checks.at_least(1, samples=samples)
    checks.within("[0, inf)", noise=noise)
    with seeded(seed), _ready(model, batch, target, modality) as (x, score):
        # captum wants a gradient of everything: that of a blind model is 0
        saliency = Saliency(lambda x: score(x) + 0 * x.flatten(1).sum(dim=1))
        mean = NoiseTunnel(saliency).attribute(
            x.requires_grad_(),
            nt_samples=int(samples),
            nt_samples_batch_size=1,
            stdevs=float(noise),
            abs=False,
        )
    return _largest(mean.detach(), modality, batch)


def guided_backpropagation(
    model: nn.Module, batch: Batch, target: Target, modality: str = "image"
) -> Tensor:
    """`gradient`, but every ReLU lets only positive gradients pass (Springenberg et al. 2015).

    Its maps are crisp, and nearly the same for a network with random weights (Adebayo et al.
    2018; Nie et al. 2018). It stands here to be seen failing; do not use it. Only `nn.ReLU` modules
    are changed.

    Raises:
        ValueError: the model has no `nn.ReLU`.
    """
    checks.instance(nn.Module, model=model)
    layers = [part for part in model.modules() if isinstance(part, nn.ReLU)]
    if not layers:
        raise ValueError("guided backpropagation needs an nn.ReLU in the model; there is none")
    handles = [layer.register_forward_hook(_positive_gradients) for layer in layers]
    try:
        return gradient(model, batch, target, modality)
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def _ready(
    model: nn.Module, batch: Batch, target: Target, modality: str
) -> Iterator[tuple[Tensor, Callable[[Tensor], Tensor]]]:
    """`differentiable`, the model in evaluation mode."""
    checks.instance(nn.Module, model=model)
    with evaluating(model):
        yield differentiable(model, batch, target, modality)


def _positive_gradients(module: nn.Module, inputs: tuple, output: Tensor) -> None:
    if output.requires_grad:
        output.register_hook(lambda g: g.clamp(min=0))


def _largest(x: Tensor, modality: str, batch: Batch) -> Tensor:
    return _reduce(x, modality, batch, lambda x, dim: x.norm(dim=dim), lambda x, d: x.abs().amax(d))


def _sum(x: Tensor, modality: str, batch: Batch) -> Tensor:
    return _reduce(x, modality, batch, torch.sum, torch.sum)


def _reduce(x: Tensor, modality: str, batch: Batch, words: Callable, pixels: Callable) -> Tensor:
    """(B, 3, H, W) -> (B, H, W) by `pixels`; words (B, L, D), or a sound (B, T), by `words`.

    Padding gets 0. Raises ValueError for another shape, such as that of a video.
    """
    if x.ndim == 4:
        return pixels(x, 1)
    if x.ndim not in (2, 3):
        raise ValueError(f"{modality!r} of shape {tuple(x.shape)} has no map: expected 2 to 4 axes")
    out = words(x if x.ndim == 3 else x.unsqueeze(-1), -1)
    name = f"{modality}_mask"
    return out.masked_fill(~real(x, batch.get(name), f"batch[{name!r}]"), 0)
