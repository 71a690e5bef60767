"""The bag of words: an encoder that looks words up and does nothing else.

Knows token ids; knows nothing of their order, for the mean that follows forgets it.
"""

import torch
from torch import Tensor, nn

from mmtutor.encoders.base import Encoded
from mmtutor.encoders.text import check_ids


class BagOfWords(nn.Module):
    """One learned vector for each token id; pooled, it equals `nn.EmbeddingBag(mode="mean")`.

    Args:
        vocab_size: number of token ids; ids lie in [0, vocab_size).
        dim: size D of a token.
    """

    modality = "tokens"

    def __init__(self, vocab_size: int, dim: int = 128) -> None:
        super().__init__()
        self.dim = dim
        self.embedding = nn.Embedding(vocab_size, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Token ids (B, L) int64 and mask (B, L) bool, True = real -> tokens (B, L, D).

        Raises:
            ValueError: an id has no embedding (looked at on a CPU only).
        """
        check_ids(x, self.embedding)
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        return Encoded(self.embedding(x), mask)
