"""Is a model robust, or are only its gradients broken?

Knows attacks and how their strengths must compare if the gradients mean anything. A defence that
hides the gradient (rounding the input, saturating the output, drawing at random) defeats attacks
that follow it and nobody else; such a defence fails here (Athalye, Carlini and Wagner 2018,
section 3.1; Carlini et al. 2019, section 5). To pass is necessary, not sufficient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data.batch import Batch
from mmtutor.evaluation.robustness.attacks import (
    cross_entropy,
    fgsm,
    input_gradient,
    margin,
    margins,
    on_device_of,
    pgd,
    random_noise,
)
from mmtutor.models.modes import evaluating


class Check(NamedTuple):
    """One thing that must hold of a model whose gradients can be trusted: `value` <= `limit`."""

    name: str
    value: float
    limit: float

    @property
    def passed(self) -> bool:
        return self.value <= self.limit


def gradient_masking_checks(
    model: nn.Module,
    batch: Batch,
    radius: float,
    *,
    steps: int = 10,
    surrogate: nn.Module | None = None,
    slack: float = 0.01,
    key: str = "image",
    bounds: tuple[float, float] = (0.0, 1.0),
) -> list[Check]:
    """The checks by name, on one batch of a few hundred examples; all values are shares in [0, 1].

    Accuracies may exceed their limits by `slack`, for attacks start at random.

    Args:
        radius: in the largest-change norm; one at which the model still gets something right.
        steps: of PGD. The unbounded attack takes five times as many.
        surrogate: another model of the same task, whose attacks are tried on this one.
    """
    options = {"key": key, "bounds": bounds}

    def accuracy(attack: Callable[..., Batch], radius: float, **more) -> float:
        with evaluating(model):
            attacked = attack(model, batch, radius, **more, **options)
            return (margins(model, attacked) <= 0).double().mean().item()

    whole = bounds[1] - bounds[0]
    strong = accuracy(pgd, radius, steps=steps)
    wider = accuracy(pgd, 2 * radius, steps=steps)
    unbounded = accuracy(pgd, whole, steps=5 * steps, step=whole / 10)
    single, blind = accuracy(fgsm, radius), accuracy(random_noise, radius, tries=steps)
    checks = [
        Check("PGD leaves no more than FGSM", strong, single + slack),
        Check("PGD leaves no more than noise", strong, blind + slack),
        Check("twice the radius leaves no more", wider, strong + slack),
        Check("an unbounded attack leaves nothing", unbounded, slack),
        Check("examples without a gradient", _without_gradient(model, batch, key), slack),
        Check("examples whose margin does not rise", _stubborn(model, batch, radius / 8, key), 0.1),
    ]
    if surrogate is not None:
        lent = accuracy(pgd, radius, steps=steps, surrogate=surrogate)
        checks.append(Check("PGD leaves no more than a transferred one", strong, lent + slack))
    return checks


def passes(checks: list[Check]) -> bool:
    """Whether every check passed."""
    return all(check.passed for check in checks)


def loss_surface(
    model: nn.Module,
    batch: Batch,
    radius: float,
    size: int = 21,
    key: str = "image",
    seed: int = 0,
) -> Tensor:
    """(B, size, size) cross-entropy around each example, in nats.

    Rows go along the sign of its gradient, columns along random signs, both from -radius to
    radius; the example is in the middle. A smooth slope is what a gradient can follow; steps, a
    plain or noise are not.
    """
    generator = torch.Generator().manual_seed(seed)
    with evaluating(model), torch.no_grad():
        batch = on_device_of(model, batch)
        clean = batch[key]
        up = input_gradient(model, batch, key)[0].sign()
        aside = torch.randn(clean.shape, generator=generator).sign().to(clean)
        place = torch.linspace(-radius, radius, size).tolist()
        grid = [
            cross_entropy(model({**batch, key: clean + a * up + b * aside}).logits, batch["label"])
            for a in place
            for b in place
        ]
    return torch.stack(grid, dim=1).view(-1, size, size)


def _without_gradient(model: nn.Module, batch: Batch, key: str) -> float:
    """Share of the examples whose loss has gradient 0 everywhere."""
    with evaluating(model):
        gradient, _ = input_gradient(model, on_device_of(model, batch), key)
    return (gradient.flatten(1).abs().amax(dim=1) == 0).double().mean().item()


def _stubborn(model: nn.Module, batch: Batch, step: float, key: str) -> float:
    """Share of the examples whose margin does not rise on a short step along the gradient's sign.

    The margin, because a sure model's cross-entropy is too near 0 for float32 to show a change.
    """
    with evaluating(model), torch.no_grad():
        batch = on_device_of(model, batch)
        gradient, logits = input_gradient(model, batch, key)
        moved = {**batch, key: batch[key] + step * gradient.sign()}
        rises = margins(model, moved) > margin(logits, batch["label"])
    return (~rises).double().mean().item()
