"""Losses of question answering: answers under a known bias, where to look, what is in each cell.

Knows the outputs of models and columns of batches. Knows nothing of pictures or words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import wide
from mmtutor.losses.classification import class_loss, cross_entropy, in_range, same_shape


def product_of_experts(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy of softmax(logits + log p), p what the question alone says of the answer.

    What the question gives away is already in p, so the logits have to say the rest; alone, they
    are used for testing. Source: Clark et al. 2019, bias product.

    Args:
        output: `logits` (B, C).
        batch: `label` (B,) int64 and `bias` (B, C), log p.

    Raises:
        KeyError: the batch lacks one of the two.
    """
    require(batch, "label", "bias")
    same_shape(logits=output.logits, bias=batch["bias"])
    return class_loss(output.logits + batch["bias"], batch["label"])


def reweighted(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy in which an answer that the question alone gives away counts for little.

    The weight of an example is 1 - p(answer | question) (Clark et al. 2019, reweight), and
    the loss is the weighted mean. Arguments and errors as in `product_of_experts`.
    """
    require(batch, "label", "bias")
    label, bias = batch["label"], batch["bias"]
    losses = class_loss(output.logits, label, reduction="none")
    same_shape(logits=output.logits, bias=bias)
    in_range("(-inf, 0]", bias=bias)
    weight = 1 - bias.gather(1, label.long().unsqueeze(1)).squeeze(1).exp()
    return (weight * losses).sum() / weight.sum().clamp(min=1e-6)


def grounded(
    output: NamedTuple,
    batch: dict[str, Tensor],
    weight: float,
    answer_loss: Callable[[NamedTuple, dict[str, Tensor]], Tensor] = cross_entropy,
) -> Tensor:
    """The loss of the answer, and `weight` times that of where to look: supervised grounding.

    Every gate of the first heads is a yes-or-no question, so the second loss is the mean binary
    cross-entropy. A batch without `attention_target` is judged by its answers alone.

    Args:
        output: `logits` (B, C) and `gates` (B, heads, N), logits.
        batch: `label` (B,) int64 and `attention_target` (B, up to heads, N), 1 or 0.
        weight: at least 0.
    """
    checks.within("[0, inf)", weight=weight)
    loss = answer_loss(output, batch)
    if "attention_target" not in batch:
        return loss
    target = batch["attention_target"]
    checks.shaped(gates=(output.gates, "B H N"), attention_target=(target, "B K N"))
    gates = output.gates[:, : target.shape[1]]
    return loss + weight * _yes_or_no(gates, attention_target=target)


def cell_cross_entropy(output: tuple[Tensor, ...], batch: dict[str, Tensor]) -> Tensor:
    """Sum of one cross-entropy for each attribute, each a mean over all cells of all pictures.

    Args:
        output: for each of K attributes logits (B, N, classes of it), as those of `GridDetector`.
        batch: `cells` (B, N, K) int64.
    """
    require(batch, "cells")
    checks.shaped(cells=(batch["cells"], f"B N {len(output)}"))
    truth = batch["cells"].unbind(dim=2)  # K of [B, N]
    named = output._asdict() if hasattr(output, "_asdict") else dict(enumerate(output))
    losses = []
    for (name, z), t in zip(named.items(), truth, strict=True):
        checks.shaped(cells=(batch["cells"], "B N K"), **{f"output[{name!r}]": (z, "B N C")})
        names = (f"output[{name!r}]", "cells")
        losses.append(class_loss(z.flatten(0, 1), t.flatten(), names=names))
    return sum(losses)


def attribute_cross_entropy(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Sum over attributes of the yes-or-no cross-entropy, a mean over pictures.

    Args:
        logits: (B, K).
        batch: `kinds` (B, K) float, 1 where the picture has it.
    """
    require(batch, "kinds")
    checks.shaped(logits=(logits, "B K"))
    return logits.shape[1] * _yes_or_no(logits, kinds=batch["kinds"])


def _yes_or_no(logits: Tensor, **target: Tensor) -> Tensor:
    """Mean cross-entropy of questions with one logit each; the target, in [0, 1], by its name."""
    same_shape(logits=logits, **target)
    checks.floating(logits=logits)
    logits = wide(logits)
    [(name, wanted)] = target.items()
    wanted = wanted.to(logits.dtype)
    in_range("[0, 1]", **{name: wanted})
    return F.binary_cross_entropy_with_logits(logits, wanted)
