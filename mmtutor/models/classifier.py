"""The classifier: any one encoder and a linear layer.

Knows how an encoder's tokens become class scores; knows nothing of a modality, of losses or of
what the classes are.
"""

from typing import NamedTuple

from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import encode


class ClassifierOutput(NamedTuple):
    """`logits` (B, C): one unnormalised score for each class."""

    logits: Tensor


class Classifier(nn.Module):
    """One encoder, the mean of its tokens, and a linear layer.

    Args:
        encoder: an encoder with `modality`, `dim` and an `Encoded` output.
        classes: number C of classes, at least 2.
        dropout: probability of dropping a pooled coordinate.
    """

    def __init__(self, encoder: nn.Module, classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        checks.at_least(2, classes=classes)
        self.encoder = encoder
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(encoder.dim, classes))

    def forward(self, batch: dict[str, Tensor]) -> ClassifierOutput:
        """A batch with the encoder's modality -> logits (B, C). Raises KeyError without it."""
        return ClassifierOutput(self.head(encode(self.encoder, batch).pooled()))
