"""Attacks: the smallest change of the input that a model gets wrong, within a budget.

Knows classifiers (`model(batch).logits`, `batch["label"]`) and images, floating point in [0, 1].
Gradients are taken of the input alone: no parameter's `.grad` is touched, and every module is left
in the mode it came in. Words are in `word_attacks.py`; whether an attack
failed because its gradients did is in `gradient_masking.py`.

An attack gives a batch, so an attacked loader is `(attack(model, batch) for batch in loader)`. A
batch that was made with one model may be given to another: a transferred attack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch, require
from mmtutor.evaluation.predict import on_device_of
from mmtutor.explain.targets import gradient_by
from mmtutor.models.modes import evaluating

Loss = Callable[[Tensor, Tensor], Tensor]  # logits (B, C), label (B,) -> (B,)
NORMS = ("linf", "l2")
LABEL = "batch['label']"  # what a refusal calls it


def cross_entropy(logits: Tensor, label: Tensor) -> Tensor:
    """(B,) in nats. Where the right class has all of the probability, its gradient is 0.

    Raises TypeError and ValueError for what is no (B, C) logits and (B,) labels below C; NaN in
    gives NaN out, so that one broken step does not end an attack.
    """
    label = _label(logits, label)
    return F.cross_entropy(logits.float(), label, reduction="none")


def margin(logits: Tensor, label: Tensor) -> Tensor:
    """(B,) the best wrong logit less the right one: above 0 where the model errs.

    As a loss it never saturates (Carlini and Wagner 2017, f_6 of section V). Errors as in
    `cross_entropy`; one class alone has no margin.
    """
    label = _label(logits, label)
    checks.finite(logits=logits)
    return _margin(logits, label)


def fgsm(
    model: nn.Module, batch: Batch, radius: float, norm: str = "linf", loss: Loss = cross_entropy
) -> Batch:
    """The fast gradient sign method: one step of length `radius` uphill (Goodfellow et al. 2015).

    In norm "l2" the step goes along the gradient itself. For a linear model, and where 0 and 1 are
    not reached, it is the worst change there is. Arguments as in `pgd`.
    """
    _check(model, batch, radius, norm)
    with evaluating(model):
        batch = on_device_of(model, batch)
        gradient, _ = input_gradient(model, batch, loss=loss)
        step = radius * _uphill(gradient, norm)
        return {**batch, "image": (batch["image"] + step).clamp(0, 1)}


def pgd(
    model: nn.Module,
    batch: Batch,
    radius: float,
    *,
    steps: int = 10,
    step: float | None = None,
    restarts: int = 1,
    norm: str = "linf",
    loss: Loss = cross_entropy,
    generator: torch.Generator | None = None,
) -> Batch:
    """Projected gradient descent on the loss's negative (Madry et al. 2018, section 2.1).

    Each restart begins at a random point of the ball around the clean input, walks uphill and is
    put back into the ball and into [0, 1] after every step. Of all points visited, the clean one
    included, each example keeps the one with the largest `margin`: the result is never weaker than
    nothing.

    Args:
        batch: has `label` (B,) and `image` (B, ...), floating point in [0, 1].
        radius: of the ball: 8 / 255 are eight grey levels.
        step: length of one; None is 2.5 * radius / steps, which can reach the ball's other side.
        norm: "linf" bounds every number's change, "l2" the length of the whole change.
        loss: what is made large, from logits and labels to (B,).
        generator: of the random starts, on the CPU; None starts one with seed 0.

    Returns the batch on the model's device, with the images replaced. Raises KeyError if it lacks
    `image` or `label`, TypeError for another kind of argument, and ValueError for images beyond
    [0, 1], which normalised ones are, and for a radius, step or number that makes no sense.
    """
    _check(model, batch, radius, norm)
    checks.at_least(1, steps=steps, restarts=restarts)
    generator = generator or torch.Generator().manual_seed(0)
    step = 2.5 * radius / steps if step is None else step
    checks.within("[0, inf)", step=step)
    with evaluating(model):
        batch = on_device_of(model, batch)
        clean = batch["image"]
        worst = clean, margins(model, batch)
        for _ in range(restarts):
            x = (clean + _in_ball(clean, radius, norm, generator)).clamp(0, 1)
            for _ in range(steps):
                gradient, logits = input_gradient(model, {**batch, "image": x}, loss=loss)
                worst = keep_worse(worst, x, _margin(logits, batch["label"].long()))
                x = _project(x + step * _uphill(gradient, norm), clean, radius, norm).clamp(0, 1)
            worst = keep_worse(worst, x, _margins(model, {**batch, "image": x}))
    return {**batch, "image": worst[0]}


def random_noise(model: nn.Module, batch: Batch, radius: float, norm: str = "linf") -> Batch:
    """The worst of ten random changes: an attack that needs no gradient.

    In norm "linf" every number moves by the whole radius, up or down; in "l2" the change lies on
    the sphere. Arguments as in `pgd`.
    """
    _check(model, batch, radius, norm)
    generator = torch.Generator().manual_seed(0)
    with evaluating(model):
        batch = on_device_of(model, batch)
        worst = batch["image"], margins(model, batch)
        for _ in range(10):
            noise = torch.randn(batch["image"].shape, generator=generator).to(batch["image"])
            x = (batch["image"] + radius * _uphill(noise, norm)).clamp(0, 1)
            worst = keep_worse(worst, x, _margins(model, {**batch, "image": x}))
    return {**batch, "image": worst[0]}


def input_gradient(
    model: nn.Module, batch: Batch, loss: Loss = cross_entropy
) -> tuple[Tensor, Tensor]:
    """Gradient (B, ...) of each example's loss by its own image, and the logits (B, C).

    In evaluation mode examples do not meet, so one backward pass gives all B gradients. It is zeros
    where the model cuts the path from input to output. Raises as `pgd` does.
    """
    _check_batch(model, batch)
    x = batch["image"].detach().requires_grad_()
    with torch.enable_grad():
        logits = model({**batch, "image": x}).logits
        label = _label(logits, batch["label"], LABEL)
        return gradient_by(loss(logits, label), x), logits.detach()


def _uphill(gradient: Tensor, norm: str) -> Tensor:
    """The step of length 1 in `norm` along which a linear loss rises most; zeros stay zeros."""
    if norm == "linf":
        return gradient.sign()
    wide = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
    # a sure model's gradient is so small that its square is 0: bring it to size first
    wide = wide / wide.abs().amax(tuple(range(1, wide.ndim)), keepdim=True).clamp(min=1e-38)
    return (wide / _lengths(wide).clamp(min=1e-30)).to(gradient.dtype)


def _project(x: Tensor, clean: Tensor, radius: float, norm: str) -> Tensor:
    """The point nearest to x in the ball around `clean`; both (B, ...)."""
    change = x - clean
    if norm == "linf":
        return clean + change.clamp(-radius, radius)
    return clean + change * (radius / _lengths(change).clamp(min=1e-30)).clamp(max=1)


@torch.no_grad()
def margins(model: nn.Module, batch: Batch) -> Tensor:
    """`margin` (B,) of each example; raises as `pgd` does, but looks at no image."""
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    require(batch, "label")
    logits = model(batch).logits
    label = _label(logits, batch["label"], LABEL)
    checks.finite(**{"the model's logits": logits})
    return _margin(logits, label)


def keep_worse(worst: tuple[Tensor, Tensor], x: Tensor, new: Tensor) -> tuple[Tensor, Tensor]:
    """Of two inputs (B, ...) with their margins (B,), example by example, the worse for the model.

    Args:
        worst: input and margin so far.
        x, new: another input and its margin.

    Raises TypeError and ValueError where these differ in shape.
    """
    checks.instance(tuple, worst=worst)
    checks.instance(Tensor, x=x)
    checks.floating(new=new)
    kept, height = worst
    checks.same_length(worst=kept, x=x, new=new)
    checks.shaped(new=(new, "B"), worst=(height, "B"))
    if x.shape != kept.shape:
        raise ValueError(f"x must be {tuple(kept.shape)} as worst is, got {tuple(x.shape)}")
    worse = new > height
    return x.where(worse.view(-1, *[1] * (x.ndim - 1)), kept), new.where(worse, height)


def _in_ball(clean: Tensor, radius: float, norm: str, generator: torch.Generator) -> Tensor:
    """Uniform in the ball, of the shape of `clean` (B, ...)."""
    if norm == "linf":
        return radius * (2 * torch.rand(clean.shape, generator=generator) - 1).to(clean)
    direction = _uphill(torch.randn(clean.shape, generator=generator), norm)
    share = torch.rand(len(clean), generator=generator) ** (1 / clean[0].numel())
    return radius * (direction * share.view(-1, *[1] * (clean.ndim - 1))).to(clean)


def _lengths(x: Tensor) -> Tensor:
    """Euclidean length of each example, (B, ...) -> (B, 1, ..., 1)."""
    return x.flatten(1).norm(dim=1).view(-1, *[1] * (x.ndim - 1))


def _label(logits: Tensor, label: Tensor, name: str = "label") -> Tensor:
    """The label, int64, after a look at both; a refusal calls it by `name`."""
    classes = checks.shaped(logits=(logits, "B C"), **{name: (label, "B")})["C"]
    checks.floating(logits=logits)
    checks.indices(classes, **{name: label})
    if classes < 2:
        raise ValueError("logits must be of at least two classes, got one")
    return label.long()


def _margin(logits: Tensor, label: Tensor) -> Tensor:
    own = F.one_hot(label, logits.shape[1]).bool()
    return logits.masked_fill(own, -torch.inf).amax(dim=1) - logits.gather(1, label[:, None])[:, 0]


@torch.no_grad()
def _margins(model: nn.Module, batch: Batch) -> Tensor:
    logits = model(batch).logits
    return _margin(logits, _label(logits, batch["label"], LABEL))


def _check_batch(model: nn.Module, batch: Batch) -> None:
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    require(batch, "image", "label")
    image, label = {"batch['image']": batch["image"]}, {LABEL: batch["label"]}
    checks.floating(**image)
    checks.same_length(**image, **label)
    checks.shaped(**{name: (value, "B") for name, value in label.items()})
    checks.finite(**image)


def _check(model: nn.Module, batch: Batch, radius: float, norm: str) -> None:
    _check_batch(model, batch)
    checks.within("[0, 1]", **{"batch['image']": batch["image"]})
    checks.within("[0, inf)", radius=radius)
    checks.one_of(NORMS, norm=norm)
