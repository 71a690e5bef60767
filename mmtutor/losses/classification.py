"""Losses for choosing one of several classes, written from their definitions.

Knows logits and labels; knows nothing of models, of modalities or of training. Every loss starts
from log-probabilities, never from the logarithm of a probability that may have become 0, and
computes in float32 at least. All are in nats. A label that is no class, the -100 of other libraries
included, is refused, and so is a batch without an example.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import wide

NONE_IGNORED = torch.iinfo(torch.int64).min  # PyTorch would leave the label -100 out silently


def cross_entropy(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Mean negative log-probability, in nats, of each example's true class: a scalar.

    The objective for `fit`; `categorical_cross_entropy` is the same from its definition.

    Args:
        output: a model's output with `logits` (B, C) floating point, such as `ClassifierOutput`.
        batch: has `label` (B,) int64, each in [0, C).

    Raises:
        KeyError: the batch has no `label`.
        TypeError, ValueError: the shapes or types do not fit, or a label is no class.
    """
    require(batch, "label")
    return class_loss(output.logits, batch["label"])


def class_loss(
    logits: Tensor,
    label: Tensor,
    reduction: str = "mean",
    names: tuple[str, str] = ("logits", "label"),
) -> Tensor:
    """PyTorch's cross-entropy, in float32 at least, behind checks: the one that all losses use.

    Args:
        logits: (B, C) floating point.
        label: (B,) integers in [0, C).
        reduction: "mean" for a scalar, "none" for one loss an example (B,).
        names: what a refusal calls the two.
    """
    label = _checked(logits, label, names=names)
    return F.cross_entropy(wide(logits), label, ignore_index=NONE_IGNORED, reduction=reduction)


def log_softmax(logits: Tensor) -> Tensor:
    """Logarithms of the softmax over the last dimension, (..., C) -> (..., C).

    The largest logit is subtracted first: that changes no probability, and no exponential is then
    above 1 (the log-sum-exp trick).
    """
    _check_scores(logits)
    logits = wide(logits)
    shifted = logits - logits.detach().amax(dim=-1, keepdim=True)
    return shifted - shifted.exp().sum(dim=-1, keepdim=True).log()


def softmax(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Probabilities proportional to exp(logit / temperature) over the last dimension.

    Args:
        logits: (..., C) floating point.
        temperature: positive; towards 0 the largest logit takes all, towards infinity all share.

    Raises:
        ValueError: the temperature is not positive.
    """
    checks.within("(0, inf)", temperature=temperature)
    _check_scores(logits)
    return log_softmax(wide(logits) / temperature).exp()


def categorical_cross_entropy(
    logits: Tensor, label: Tensor, weight: Tensor | None = None, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy between a target over C classes and the softmax of the logits: a scalar.

    The target gives 1 - `smoothing` to the label and spreads `smoothing` evenly over all classes
    (Szegedy et al. 2016, section 7). With class weights it is the weighted mean: divided by the
    sum of the labels' weights, as `torch.nn.functional.cross_entropy` does it.

    Args:
        logits: (B, C) floating point.
        label: (B,) int64, each in [0, C).
        weight: (C,) a positive weight for each class.
        smoothing: in [0, 1].

    Raises:
        ValueError: the shapes do not fit, or a number is out of range.
    """
    label = _checked(logits, label, weight=weight)
    checks.within("[0, 1]", smoothing=smoothing)
    log_p = log_softmax(logits)
    weight = log_p.new_ones(log_p.shape[1]) if weight is None else weight.to(log_p)
    own = weight[label]
    loss = -own * log_p.gather(1, label[:, None]).squeeze(1)  # [B]
    if smoothing:
        loss = (1 - smoothing) * loss - smoothing * (weight * log_p).mean(dim=1)
    return loss.sum() / own.sum()


def binary_cross_entropy(
    logits: Tensor, target: Tensor, positive_weight: Tensor | float = 1.0
) -> Tensor:
    """Mean cross-entropy of yes-or-no questions, each with one logit: a scalar.

    -y log p - (1 - y) log(1 - p) with p = sigmoid(logit) and -log p = log(exp(0) + exp(-logit)).

    Args:
        logits: any shape, floating point.
        target: of the same shape, in [0, 1]; floating point, integer or bool.
        positive_weight: factor on the first term, at least 0, broadcast to the logits' shape.

    Raises:
        ValueError: the shapes do not fit, or there is nothing to average.
    """
    same_shape(logits=logits, target=target)
    checks.floating(logits=logits)
    in_range("[0, inf)", positive_weight=positive_weight)
    _broadcasts_to(logits, positive_weight=positive_weight)
    logits = wide(logits)
    target, zero = target.to(logits.dtype), torch.zeros_like(logits)
    in_range("[0, 1]", target=target)
    yes, no = torch.logaddexp(zero, -logits), torch.logaddexp(zero, logits)
    return (positive_weight * target * yes + (1 - target) * no).mean()


def focal(
    logits: Tensor, label: Tensor, gamma: float = 2.0, weight: Tensor | None = None
) -> Tensor:
    """Focal loss (Lin et al. 2017, eq. 4 and 5): mean of -w (1 - p)^gamma log p, a scalar.

    p is the probability of the label: what is already right counts little. 1 - p comes from the
    other classes' log-probabilities, so that it keeps its digits, and the loss its gradient, when p
    is nearly 1.

    Args:
        logits: (B, C) floating point, C >= 2.
        label: (B,) int64, each in [0, C).
        gamma: at least 0; 0 gives cross-entropy.
        weight: (C,) a weight for each class, the alpha of eq. 5. The mean is over examples.

    Raises:
        ValueError: the shapes do not fit, there is one class only, or `gamma` is negative.
    """
    label = _checked(logits, label, weight=weight)
    checks.within("[0, inf)", gamma=gamma)
    if logits.shape[1] < 2:
        raise ValueError("logits must be of at least 2 classes, got 1")
    log_p = log_softmax(logits)
    own = F.one_hot(label, logits.shape[1]).bool()
    log_rest = log_p.masked_fill(own, -torch.inf).logsumexp(dim=1)  # log(1 - p), [B]
    loss = -(gamma * log_rest).exp() * log_p.gather(1, label[:, None]).squeeze(1)  # [B]
    return (loss if weight is None else weight.to(loss)[label] * loss).mean()


def same_shape(**arguments: Tensor) -> None:
    """ValueError unless the tensors have one shape, and hold something: nothing is broadcast."""
    checks.instance(Tensor, **arguments)
    for name, x in arguments.items():
        if x.is_complex():
            raise TypeError(f"{name} must be real numbers, got {x.dtype}")
    shapes = {name: tuple(x.shape) for name, x in arguments.items()}
    if len(set(shapes.values())) > 1 or not all(x.numel() for x in arguments.values()):
        found = " and ".join(map(str, shapes.values()))
        raise ValueError(f"{' and '.join(shapes)} must have one shape, not empty, got {found}")


def in_range(interval: str, **arguments: Tensor | float) -> None:
    """`checks.within` for numbers and for tensors on a CPU: a GPU would have to be waited for."""
    for name, value in arguments.items():
        if not (isinstance(value, Tensor) and value.device.type != "cpu"):
            checks.within(interval, **{name: value})


def _check_scores(logits: Tensor) -> None:
    checks.shaped(logits=(logits, "... C"))
    same_shape(logits=logits)
    checks.floating(logits=logits)


def _broadcasts_to(x: Tensor, **argument: Tensor | float) -> None:
    [(name, value)] = argument.items()
    shape = tuple(value.shape) if isinstance(value, Tensor) else ()
    sizes = zip(reversed(shape), reversed(x.shape), strict=False)
    if len(shape) > x.ndim or any(size not in (1, full) for size, full in sizes):
        raise ValueError(f"{name} must broadcast to {tuple(x.shape)}, got {shape}")


def _checked(
    logits: Tensor,
    label: Tensor,
    weight: Tensor | None = None,
    names: tuple[str, str] = ("logits", "label"),
) -> Tensor:
    """The labels as int64; the weights, one a class, are looked at too."""
    shapes = {names[0]: (logits, "B C"), names[1]: (label, "B"), "weight": (weight, "C | None")}
    classes = checks.shaped(**shapes)["C"]
    checks.floating(**{names[0]: logits}, weight=weight)
    on_cpu = label.device.type == "cpu"  # a GPU would have to be waited for, and refuses by itself
    checks.indices(classes, **{names[1]: label if on_cpu else label[:0]})
    if weight is not None:
        in_range("(0, inf)", weight=weight)
    return label.long()
