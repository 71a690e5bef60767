"""What is explained: one number for each example, and the input it is explained by.

Knows how a score is read off a model's output and how words become something one can differentiate.
Knows no method of explanation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor.data.batch import Batch, require

Score = Callable[[nn.Module, Batch], Tensor]
Target = Tensor | Score


def scores(model: nn.Module, batch: Batch, target: Target) -> Tensor:
    """The number (B,) to explain.

    Args:
        target: class indices (B,) int64, whose logits are taken; or a function of the model and the
            batch that gives (B,), row i from example i alone, such as `pair_score`. One that holds
            a tensor of B rows needs a method `repeat(times)`, as `Probability` has.

    Raises:
        ValueError: a shape does not fit.
    """
    if not isinstance(target, Tensor):
        value = target(model, batch)
        if value.ndim != 1:
            raise ValueError(f"a score must have shape (B,), got {tuple(value.shape)}")
        return value
    logits = model(batch).logits
    if target.shape != logits.shape[:1]:
        raise ValueError(f"target is {tuple(target.shape)}: expected {tuple(logits.shape[:1])}")
    return logits.gather(1, target[:, None]).squeeze(1)


def pair_score(model: nn.Module, batch: Batch) -> Tensor:
    """Cosine of each picture and its own text (B,): what a dual encoder says of a pair."""
    output = model(batch)
    return (output.image * output.text).sum(dim=1)


class Probability(NamedTuple):
    """A target: the softmax probability of class `label` (B,), flat where the model is sure."""

    label: Tensor

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return model(batch).logits.softmax(dim=1).gather(1, self.label[:, None]).squeeze(1)

    def repeat(self, times: int) -> Probability:
        """The same for `times` copies of the batch, one after another."""
        return Probability(self.label.repeat(times))


def encoder_of(model: nn.Module, modality: str) -> nn.Module:
    """The encoder in `model` that reads `modality`; ValueError naming the modalities there are."""
    found = [part for part in model.modules() if hasattr(part, "modality")]
    for part in found:
        if part.modality == modality:
            return part
    known = ", ".join(sorted({part.modality for part in found})) or "none"
    raise ValueError(f"the model has no encoder of {modality!r}; it has {known}")


def differentiable(
    model: nn.Module, batch: Batch, target: Target, modality: str
) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The input x of one modality, and the score (B,) as a function of it.

    A picture is its own x. Words are not numbers one can move a little, so for `tokens` x is what
    the encoder's first `nn.Embedding` gives, (B, L, D).
    """
    require(batch, modality)
    if batch[modality].is_floating_point():
        x = batch[modality].detach()
        return x, lambda value: scores(model, {**batch, modality: value}, target)
    layer = _embedding(model, modality)
    x = layer(batch[modality]).detach()

    def score(value: Tensor) -> Tensor:
        handle = layer.register_forward_hook(lambda *_: value)
        try:
            return scores(model, batch, target)
        finally:
            handle.remove()

    return x, score


def slope(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of the scores by x, of the shape of x; examples do not meet in evaluation mode.

    Zeros where the score does not depend on x: a model may be blind.
    """
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return slope_by(score(x), x)


def slope_by(score: Tensor, x: Tensor) -> Tensor:
    """Gradient of the sum of scores (B,) by a tensor that they were computed from, or not."""
    if not score.requires_grad:  # no way leads from x, or from any weight, to the score
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(score.sum(), x, allow_unused=True, materialize_grads=True)
    return gradient


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, torch's own random numbers begin at `seed`; afterwards they go on."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _embedding(model: nn.Module, modality: str) -> nn.Embedding:
    for part in encoder_of(model, modality).modules():
        if isinstance(part, nn.Embedding):
            return part
    raise ValueError(f"the encoder of {modality!r} has no nn.Embedding to differentiate by")
