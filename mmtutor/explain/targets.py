"""What is explained: one number for each example, and the input it is explained by.

Knows how a score is read off a model's output and how words become something one can differentiate.
Knows no method of explanation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
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
        TypeError, ValueError: a shape does not fit, a class does not exist, or a score is not
            finite.
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    if not isinstance(target, Tensor):
        checks.instance(Callable, target=target)
        value = target(model, batch)
        checks.shaped(**{"the score of target": (value, "B")})
    else:
        value = _of_class(model(batch).logits, target)
    checks.finite(**{"the model's score": value})
    return value


def pair_score(model: nn.Module, batch: Batch) -> Tensor:
    """Cosine of each image and its own text (B,): what a dual encoder says of a pair."""
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    output = model(batch)
    return (output.image * output.text).sum(dim=1)


class Probability(NamedTuple):
    """A target: the softmax probability of class `label` (B,), flat where the model is sure."""

    label: Tensor

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        return _of_class(model(batch).logits.softmax(dim=1), self.label)

    def repeat(self, times: int) -> Probability:
        """The same for `times` copies of the batch, one after another."""
        return Probability(self.label.repeat(times))


def encoder_of(model: nn.Module, modality: str) -> nn.Module:
    """The encoder in `model` that reads `modality`; ValueError naming the modalities there are."""
    checks.instance(nn.Module, model=model)
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

    An image is its own x. Words are not numbers one can move a little, so for `tokens` x is what
    the encoder's first `nn.Embedding` gives, (B, L, D).
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    checks.instance(str, modality=modality)
    require(batch, modality)
    checks.finite(**{f"batch[{modality!r}]": batch[modality]})
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


def input_gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Gradient of the scores by x, of the shape of x; examples do not meet in evaluation mode.

    Zeros where the score does not depend on x: a model may be blind.
    """
    checks.instance(Callable, score=score)
    checks.instance(Tensor, x=x)
    checks.floating(x=x)
    checks.finite(x=x)
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        return gradient_by(score(x), x)


def gradient_by(score: Tensor, x: Tensor) -> Tensor:
    """Gradient of the sum of scores (B,) by a tensor that they were computed from, or not."""
    checks.instance(Tensor, score=score, x=x)
    checks.floating(score=score, x=x)
    if not score.requires_grad:  # no way leads from x, or from any weight, to the score
        return torch.zeros_like(x)
    (gradient,) = torch.autograd.grad(score.sum(), x, allow_unused=True, materialize_grads=True)
    return gradient


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block, torch's own random numbers begin at `seed`; afterwards they go on."""
    checks.at_least(0, seed=seed)
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(int(seed))
        yield


def broadcast(x: Tensor, /, **argument: Tensor | float) -> Tensor:
    """A number, or a tensor that broadcasts against x, in the shape of x.

    Raises TypeError and ValueError, with the argument's name, for anything else and for NaN.
    """
    [(name, value)] = argument.items()
    checks.within("(-inf, inf)", **argument)
    value = torch.as_tensor(value).to(x)
    try:
        return value.expand_as(x)
    except RuntimeError:
        raise ValueError(
            f"{name} must broadcast to {tuple(x.shape)}, got {tuple(value.shape)}"
        ) from None


def _of_class(values: Tensor, label: Tensor) -> Tensor:
    """(B,) of the values (B, C) those of the classes (B,)."""
    classes = checks.shaped(**{"the model's logits": (values, "B C")}, target=(label, "B"))["C"]
    checks.indices(classes, target=label)
    return values.gather(1, label.long()[:, None]).squeeze(1)


def _embedding(model: nn.Module, modality: str) -> nn.Embedding:
    for part in encoder_of(model, modality).modules():
        if isinstance(part, nn.Embedding):
            return part
    raise ValueError(f"the encoder of {modality!r} has no nn.Embedding to differentiate by")
