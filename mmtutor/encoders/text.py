"""A small Transformer text encoder, trained from scratch.

Knows token ids and padding; knows nothing of words (that is `mmtutor.data.tokenizer`), of images or
of losses.
"""

import torch
from torch import Tensor, nn

from mmtutor.encoders.base import Encoded
from mmtutor.encoders.transformer import TransformerEncoder


class SmallTransformer(nn.Module):
    """Token and learned position embeddings, then pre-norm blocks and a last normalisation.

    Padding never changes the tokens that are real, and comes out as zeros.

    Args:
        vocab_size: number of token ids; ids lie in [0, vocab_size).
        dim: size D of a token.
        depth: number of blocks.
        heads: attention heads; must divide `dim`.
        max_length: longest sequence there is a position for.
        dropout: probability of dropping a coordinate of each block's two branches.
    """

    modality = "tokens"

    def __init__(
        self,
        vocab_size: int,
        dim: int = 128,
        depth: int = 2,
        heads: int = 4,
        max_length: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.embedding = nn.Embedding(vocab_size, dim)
        self.position = nn.Parameter(torch.randn(max_length, dim) * 0.02)
        self.transformer = TransformerEncoder(dim, depth, heads, dropout)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Token ids (B, L) int64 and mask (B, L) bool, True = real -> tokens (B, L, D).

        Raises:
            ValueError: a sequence is longer than `max_length`, or an id has no embedding (looked at
                on a CPU only, for a GPU would have to be waited for).
        """
        self._check(x)
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        hidden = self.embedding(x) + self.position[: x.shape[1]]  # [B, L, D]
        return Encoded(self.transformer(hidden, mask), mask)

    def _check(self, ids: Tensor) -> None:
        longest, size = len(self.position), self.embedding.num_embeddings
        if ids.shape[1] > longest:
            raise ValueError(f"sequence of {ids.shape[1]} tokens; max_length is {longest}")
        if ids.device.type == "cpu" and ids.numel() and int(ids.max()) >= size:
            raise ValueError(f"token id {int(ids.max())} is outside the vocabulary of {size}")
