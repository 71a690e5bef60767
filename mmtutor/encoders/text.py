"""Text encoders trained from scratch: a bag of words and a small Transformer.

Knows token ids, their positions and padding; knows nothing of words (that is
`mmtutor.data.tokenizer`), of images or of losses.
"""

import torch
from torch import Tensor, nn

from mmtutor.encoders.base import Encoded
from mmtutor.encoders.transformer import TransformerEncoder, sinusoidal_positions

POSITIONS = ("learned", "sinusoidal", "none")


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


class SmallTransformer(nn.Module):
    """Token and position embeddings, then pre-norm blocks and a last normalisation.

    Padding never changes the tokens that are real, and comes out as zeros.

    Args:
        vocab_size: number of token ids; ids lie in [0, vocab_size).
        dim: size D of a token.
        depth: number of blocks.
        heads: attention heads; must divide `dim`.
        max_length: longest sequence there is a position for.
        dropout: probability of dropping a coordinate of each block's two branches.
        positions: "learned", one vector for each place; "sinusoidal", fixed waves; or "none", and
            then the order of the tokens is lost.
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
        positions: str = "learned",
    ) -> None:
        super().__init__()
        if positions not in POSITIONS:
            known = ", ".join(POSITIONS)
            raise ValueError(f"unknown positions {positions!r}: expected one of {known}")
        self.dim = dim
        self.embedding = nn.Embedding(vocab_size, dim)
        if positions == "learned":
            self.position = nn.Parameter(torch.randn(max_length, dim) * 0.02)
        else:  # scaled to the size that the embeddings start with
            waves = sinusoidal_positions(max_length, dim) * (0.02 if positions != "none" else 0)
            self.register_buffer("position", waves, persistent=False)
        self.transformer = TransformerEncoder(dim, depth, heads, dropout)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Token ids (B, L) int64 and mask (B, L) bool, True = real -> tokens (B, L, D).

        Raises:
            ValueError: a sequence is longer than `max_length`, or an id has no embedding (looked at
                on a CPU only, for a GPU would have to be waited for).
        """
        mask = torch.ones_like(x, dtype=torch.bool) if mask is None else mask
        return Encoded(self.transformer(self.embed(x), mask), mask)

    def embed(self, x: Tensor) -> Tensor:
        """Token ids (B, L) -> what the first block reads (B, L, D): words plus places."""
        if x.shape[1] > len(self.position):
            longest = len(self.position)
            raise ValueError(f"sequence of {x.shape[1]} tokens; max_length is {longest}")
        check_ids(x, self.embedding)
        return self.embedding(x) + self.position[: x.shape[1]]


def check_ids(ids: Tensor, embedding: nn.Embedding) -> None:
    """Raise ValueError, on a CPU, if an id has no row in `embedding`."""
    size = embedding.num_embeddings
    if ids.device.type == "cpu" and ids.numel() and int(ids.max()) >= size:
        raise ValueError(f"token id {int(ids.max())} is outside the vocabulary of {size}")
