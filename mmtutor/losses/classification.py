"""Losses for choosing one of several classes.

Knows logits and labels; knows nothing of models, of modalities or of training.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from mmtutor.data.batch import require


def cross_entropy(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Mean negative log-probability, in nats, of each example's true class: a scalar.

    Args:
        output: a model's output with `logits` (B, C) floating point, such as `ClassifierOutput`.
        batch: has `label` (B,) int64, each in [0, C).

    Raises:
        KeyError: the batch has no `label`.
        ValueError: the shapes do not fit.
    """
    require(batch, "label")
    logits, label = output.logits, batch["label"]
    if logits.ndim != 2 or label.shape != logits.shape[:1]:
        raise ValueError(
            f"cross_entropy needs logits (B, C) and label (B,), got {tuple(logits.shape)} "
            f"and {tuple(label.shape)}"
        )
    return F.cross_entropy(logits.float(), label)
