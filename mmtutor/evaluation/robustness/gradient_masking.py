"""Is a model robust, or are only its gradients broken?

Knows attacks and how their strengths must compare if the gradients mean anything. A defence that
hides the gradient (rounding the input, saturating the output, drawing at random) defeats attacks
that follow it and nobody else; such a defence fails here (Athalye, Carlini and Wagner 2018,
section 3.1; Carlini et al. 2019, section 5). To pass is necessary, not sufficient.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch
from mmtutor.evaluation.predict import on_device_of
from mmtutor.evaluation.robustness.attacks import (
    cross_entropy,
    fgsm,
    input_gradient,
    margin,
    margins,
    pgd,
    random_noise,
)
from mmtutor.models.modes import evaluating

SLACK = 0.01


class _Check(NamedTuple):
    """One thing that must hold of a model whose gradients can be trusted: `value` <= `limit`."""

    name: str
    value: float
    limit: float

    @property
    def passed(self) -> bool:
        """Whether the value stays within its limit."""
        return self.value <= self.limit


def gradient_masking_checks(
    model: nn.Module, batch: Batch, radius: float, surrogate: nn.Module | None = None
) -> list[_Check]:
    """The checks by name, on a batch of a few hundred images in [0, 1]; all values are shares.

    Accuracies may exceed their limits by 0.01, for attacks start at random. PGD takes ten steps,
    the unbounded attack fifty.

    Args:
        radius: in the largest-change norm; one at which the model still gets something right.
        surrogate: another model of the same task, whose attacks are tried on this one.

    Raises TypeError and ValueError as `pgd` does, and for a radius of 0.
    """
    if surrogate is not None:
        checks.instance(nn.Module, surrogate=surrogate)
    checks.within("(0, inf)", radius=radius)

    def accuracy(attacked: Batch) -> float:
        with evaluating(model):
            return (margins(model, on_device_of(model, attacked)) <= 0).double().mean().item()

    strong = accuracy(pgd(model, batch, radius))
    wider = accuracy(pgd(model, batch, 2 * radius))
    unbounded = accuracy(pgd(model, batch, 1.0, steps=50))
    single = accuracy(fgsm(model, batch, radius))
    blind = accuracy(random_noise(model, batch, radius))
    flat, falling = _steepness(model, batch, radius / 8)
    found = [
        _Check("PGD leaves no more than FGSM", strong, single + SLACK),
        _Check("PGD leaves no more than noise", strong, blind + SLACK),
        _Check("twice the radius leaves no more", wider, strong + SLACK),
        _Check("an unbounded attack leaves nothing", unbounded, SLACK),
        _Check("examples without a gradient", flat, SLACK),
        _Check("examples whose margin does not rise", falling, 0.1),
    ]
    if surrogate is not None:
        lent = accuracy(pgd(surrogate, batch, radius))
        found.append(_Check("PGD leaves no more than a transferred one", strong, lent + SLACK))
    return found


def loss_surface(model: nn.Module, batch: Batch, radius: float, size: int = 21) -> Tensor:
    """(B, size, size) cross-entropy around each image of `batch`, in nats.

    Rows go along the sign of its gradient, columns along random signs, both from -radius to
    radius; the example is in the middle. A smooth surface is what a gradient can follow; steps, a
    plain or noise are not. Raises TypeError and ValueError as `pgd` does, and for an even size,
    which has no middle.
    """
    checks.instance(nn.Module, model=model)
    checks.within("[0, inf)", radius=radius)
    checks.at_least(3, size=size)
    if size % 2 == 0:
        raise ValueError(f"size must be odd, for the example is in the middle, got {size}")
    generator = torch.Generator().manual_seed(0)
    with evaluating(model), torch.no_grad():
        batch = on_device_of(model, batch)
        clean = batch["image"]
        up = input_gradient(model, batch)[0].sign()
        aside = torch.randn(clean.shape, generator=generator).sign().to(clean)
        place = torch.linspace(-radius, radius, size).tolist()
        moved = (clean + a * up + b * aside for a in place for b in place)
        grid = [cross_entropy(model({**batch, "image": x}).logits, batch["label"]) for x in moved]
    return torch.stack(grid, dim=1).view(-1, size, size)


def _steepness(model: nn.Module, batch: Batch, step: float) -> tuple[float, float]:
    """Shares of the examples whose gradient is 0, and whose margin does not rise along its sign.

    The margin, because a sure model's cross-entropy is too near 0 for float32 to show a change.
    """
    with evaluating(model):
        batch = on_device_of(model, batch)
        gradient, logits = input_gradient(model, batch)
        moved = {**batch, "image": batch["image"] + step * gradient.sign()}
        rises = margins(model, moved) > margin(logits, batch["label"])
    flat = gradient.flatten(1).abs().amax(dim=1) == 0
    return flat.double().mean().item(), (~rises).double().mean().item()
