"""Text encoders trained from scratch: a bag of words and a small Transformer.

Knows token ids, their positions and padding; knows nothing of words (that is
`mmtutor.data.tokenizer`), of images or of losses.
"""

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, check_ids, real
from mmtutor.encoders.transformer import TransformerEncoder, sinusoidal_positions

POSITIONS = ("learned", "sinusoidal", "rotary", "none")


class BagOfWords(nn.Module):
    """One learned vector for each token id; pooled, it equals `nn.EmbeddingBag(mode="mean")`.

    Args:
        vocab_size: number of token ids; ids lie in [0, vocab_size).
        dim: size D of a token.
    """

    modality = "tokens"

    def __init__(self, vocab_size: int, dim: int = 128) -> None:
        super().__init__()
        checks.at_least(1, vocab_size=vocab_size, dim=dim)
        self.dim, self.vocab_size = dim, vocab_size
        self.embedding = nn.Embedding(vocab_size, dim)
        nn.init.normal_(self.embedding.weight, std=dim**-0.5)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Token ids (B, L) int64 and mask (B, L) bool, True = real -> tokens (B, L, D).

        Raises:
            ValueError: an id has no embedding (looked at on a CPU only).
        """
        check_ids(x, self.vocab_size)
        return Encoded(self.embedding(x), real(x, mask))


class SmallTransformer(nn.Module):
    """Token and position embeddings, then the blocks of a `TransformerEncoder`.

    Padding never changes the tokens that are real, and comes out as zeros.

    Args:
        vocab_size: number of token ids; ids lie in [0, vocab_size).
        dim: size D of a token.
        depth: number of blocks.
        heads: attention heads; must divide `dim`.
        max_length: longest sequence there is a position for.
        dropout: probability of dropping a coordinate of each block's two branches.
        positions: "learned", one vector for each place; "sinusoidal", fixed waves; "rotary", which
            turns queries and keys; or "none", and then the order of the tokens is lost.
        norm_first: False for BERT, which normalises after each addition.
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
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        checks.at_least(1, vocab_size=vocab_size, dim=dim, max_length=max_length)
        checks.one_of(POSITIONS, positions=positions)
        self.dim, self.vocab_size = dim, vocab_size
        self.embedding = nn.Embedding(vocab_size, dim)
        if positions == "learned":
            self.position = nn.Parameter(torch.randn(max_length, dim) * 0.02)
        else:  # scaled to the size that the embeddings start with
            size = 0.02 if positions == "sinusoidal" else 0
            waves = size * sinusoidal_positions(max_length, dim)
            self.register_buffer("position", waves, persistent=False)
        blocks = dim, depth, heads, dropout, norm_first, positions == "rotary"
        self.transformer = TransformerEncoder(*blocks)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """Token ids (B, L) int64 and mask (B, L) bool, True = real -> tokens (B, L, D).

        Raises:
            ValueError: a sequence is longer than `max_length`, or an id has no embedding (looked at
                on a CPU only, for a GPU would have to be waited for).
        """
        hidden = self.embed(x)
        mask = real(x, mask)
        return Encoded(self.transformer(hidden, mask), mask)

    def embed(self, x: Tensor) -> Tensor:
        """Token ids (B, L) -> what the first block reads (B, L, D): words plus places."""
        check_ids(x, self.vocab_size)
        if x.shape[1] > len(self.position):
            longest = len(self.position)
            raise ValueError(f"sequence of {x.shape[1]} tokens; max_length is {longest}")
        return self.embedding(x) + self.position[: x.shape[1]]
