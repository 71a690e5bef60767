"""Heads that know something before training: ConSE, and a correction learned on top of it.

Knows a frozen classifier, the words of its classes, and how to start from their answer. Knows
nothing of losses, of training or of retrieval.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.models.dual_encoder import l2_normalize


class ConSE(nn.Module):
    """An image as the mean of its class names' word vectors, weighted by the classifier's belief.

    Convex combination of semantic embeddings (Norouzi et al., "Zero-Shot Learning by Convex
    Combination of Semantic Embeddings", ICLR 2014, eq. 2, over all classes). It needs no pair of
    image and text at all, and so has nothing to learn.

    Args:
        classifier: a linear layer from features (F) to class logits (C); it is used, not trained.
        class_vectors: (C, D) floating point, the word vector of every class name.
        temperature: divides the logits; above 1 it spreads the belief over more classes.

    Raises:
        ValueError: the number of classes differs, or the temperature is not positive.
    """

    def __init__(
        self, classifier: nn.Linear, class_vectors: Tensor, temperature: float = 1.0
    ) -> None:
        super().__init__()
        checks.shaped(class_vectors=(class_vectors, f"{classifier.out_features} D"))
        checks.within("(0, inf)", temperature=temperature)
        self.register_buffer("weight", classifier.weight.detach().clone())
        self.register_buffer("bias", classifier.bias.detach().clone())
        self.register_buffer("class_vectors", class_vectors.detach().clone())
        self.temperature = temperature

    def probabilities(self, features: Tensor) -> Tensor:
        """Features (B, F) -> class probabilities (B, C)."""
        return (F.linear(features, self.weight, self.bias) / self.temperature).softmax(dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F) -> word vectors (B, D)."""
        return self.probabilities(features) @ self.class_vectors


class ResidualHead(nn.Module):
    """A head that begins as `start` and learns only what to add to it.

    The correction is linear, sees its input at unit length, and is zero before the first step, so
    that training begins at the quality of `start` instead of at chance.

    Args:
        start: module from (B, in_dim) to (B, out_dim); not trained here.
        in_dim: size of the tower's pooled features.
        out_dim: size of the shared space.
        dropout: probability of dropping an input coordinate of the correction.
    """

    def __init__(self, start: nn.Module, in_dim: int, out_dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        checks.at_least(1, in_dim=in_dim, out_dim=out_dim)
        self.start = start
        self.dropout = nn.Dropout(dropout)
        self.correction = nn.Linear(in_dim, out_dim)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_dim) -> (B, out_dim)."""
        return l2_normalize(self.start(x)) + self.correction(self.dropout(l2_normalize(x)))
