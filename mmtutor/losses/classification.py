"""Losses for choosing one of several classes, written from their definitions.

Knows logits and labels; knows nothing of models, of modalities or of training. Every loss starts
from log-probabilities, never from the logarithm of a probability that may have become 0, and
computes in float32 at least. All are in nats.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor.data.batch import require


def cross_entropy(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Mean negative log-probability, in nats, of each example's true class: a scalar.

    The objective for `fit`; `categorical_cross_entropy` is the same from its definition.

    Args:
        output: a model's output with `logits` (B, C) floating point, such as `ClassifierOutput`.
        batch: has `label` (B,) int64, each in [0, C).

    Raises:
        KeyError: the batch has no `label`.
        ValueError: the shapes do not fit.
    """
    require(batch, "label")
    logits, label = output.logits, batch["label"]
    _check("cross_entropy", logits, label)
    return F.cross_entropy(logits.float(), label)


def log_softmax(logits: Tensor) -> Tensor:
    """Logarithms of the softmax over the last dimension, (..., C) -> (..., C).

    The largest logit is subtracted first: that changes no probability, and no exponential is then
    above 1 (the log-sum-exp trick).
    """
    logits = _at_least_float32(logits)
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
    if not temperature > 0:
        raise ValueError(f"the temperature must be positive, got {temperature}")
    return log_softmax(_at_least_float32(logits) / temperature).exp()


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
        ValueError: the shapes do not fit, or `smoothing` is out of range.
    """
    _check("categorical_cross_entropy", logits, label, weight)
    if not 0 <= smoothing <= 1:
        raise ValueError(f"smoothing must be in [0, 1], got {smoothing}")
    log_p = log_softmax(logits)
    loss = -_of_label(log_p, label)  # first: it refuses labels that are no classes
    weight = log_p.new_ones(log_p.shape[1]) if weight is None else weight.to(log_p)
    own = weight[label]
    loss = own * loss
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
        positive_weight: factor on the first term, broadcast against the logits.

    Raises:
        ValueError: the shapes do not fit, or there is nothing to average.
    """
    if logits.shape != target.shape or not logits.numel():
        raise ValueError(
            "binary_cross_entropy needs logits and target of one shape that is not empty, got "
            f"{tuple(logits.shape)} and {tuple(target.shape)}"
        )
    logits = _at_least_float32(logits)
    target, zero = target.to(logits.dtype), torch.zeros_like(logits)
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
    _check("focal", logits, label, weight)
    if logits.shape[1] < 2 or gamma < 0:
        raise ValueError(
            f"focal needs at least 2 classes and gamma >= 0, got {logits.shape[1]} and {gamma}"
        )
    log_p = log_softmax(logits)
    own = F.one_hot(label, logits.shape[1]).bool()
    log_rest = log_p.masked_fill(own, -torch.inf).logsumexp(dim=1)  # log(1 - p), [B]
    loss = -(gamma * log_rest).exp() * _of_label(log_p, label)
    return (loss if weight is None else weight.to(loss)[label] * loss).mean()


def _of_label(log_p: Tensor, label: Tensor) -> Tensor:
    return log_p.gather(1, label[:, None]).squeeze(1)  # [B]


def _at_least_float32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _check(name: str, logits: Tensor, label: Tensor, weight: Tensor | None = None) -> None:
    if logits.ndim != 2 or label.shape != logits.shape[:1]:
        raise ValueError(
            f"{name} needs logits (B, C) and label (B,), got {tuple(logits.shape)} "
            f"and {tuple(label.shape)}"
        )
    if weight is not None and weight.shape != logits.shape[1:]:
        raise ValueError(
            f"{name} needs a weight for each of {logits.shape[1]} classes, got shape "
            f"{tuple(weight.shape)}"
        )
