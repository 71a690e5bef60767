"""Losses of question answering: answers under a known bias, where to look, what is in each cell.

Knows the outputs of models and columns of batches. Knows nothing of pictures or words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from mmtutor.data.batch import require
from mmtutor.losses.classification import cross_entropy


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
    return F.cross_entropy(output.logits + batch["bias"], batch["label"])


def reweighted(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Cross-entropy in which an answer that the question alone gives away counts for little.

    The weight of an example is 1 - p(answer | question) (Clark et al. 2019, reweight), and
    the loss is the weighted mean. Arguments and errors as in `product_of_experts`.
    """
    require(batch, "label", "bias")
    label = batch["label"]
    weight = 1 - batch["bias"].gather(1, label.unsqueeze(1)).squeeze(1).exp()
    losses = F.cross_entropy(output.logits, label, reduction="none")
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
    """
    loss = answer_loss(output, batch)
    if "attention_target" not in batch:
        return loss
    target = batch["attention_target"]
    gates = output.gates[:, : target.shape[1]]
    return loss + weight * F.binary_cross_entropy_with_logits(gates, target)


def cell_cross_entropy(output: tuple[Tensor, ...], batch: dict[str, Tensor]) -> Tensor:
    """Sum of one cross-entropy for each attribute, each a mean over all cells of all pictures.

    Args:
        output: for each of K attributes logits (B, N, classes of it), as `CellLogits`.
        batch: `cells` (B, N, K) int64.
    """
    require(batch, "cells")
    truth = batch["cells"].unbind(dim=2)  # K of [B, N]
    return sum(
        F.cross_entropy(z.flatten(0, 1), t.flatten()) for z, t in zip(output, truth, strict=True)
    )


def attribute_cross_entropy(logits: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Sum over attributes of the yes-or-no cross-entropy, a mean over pictures.

    Args:
        logits: (B, K).
        batch: `kinds` (B, K) float, 1 where the picture has it.
    """
    require(batch, "kinds")
    return logits.shape[1] * F.binary_cross_entropy_with_logits(logits, batch["kinds"])
