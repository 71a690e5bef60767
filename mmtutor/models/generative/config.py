"""The options of a GPT: what changed from GPT-1 to Llama.

Knows which options there are and which fit each other; does not know what they do.
"""

from __future__ import annotations

from dataclasses import dataclass

from mmtutor import checks
from mmtutor.encoders.transformer import check_heads


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a GPT and its place in history; the defaults are those of GPT-2.

    Attributes:
        vocab_size: number V of token ids.
        dim: size D of a token.
        depth: number of blocks.
        heads: heads of queries; must divide `dim`.
        kv_heads: heads of keys and values, each read by `heads / kv_heads` heads of queries
            (grouped-query attention, Ainslie et al. 2023); None for one a head of queries.
        hidden: size between the two layers of a perceptron; None for 4 D, or 8/3 D with "swiglu",
            whose three matrices then have as many numbers as two.
        max_length: the longest text, in tokens.
        positions: "learned", a vector for each place, or "rotary" (Su et al. 2021).
        norm: "layer", or "rms", which only divides by the root of the mean square (Zhang and
            Sennrich 2019).
        norm_first: normalise what a branch reads (GPT-2), or else each sum (GPT-1).
        activation: "gelu", or "swiglu", a gate times a value (Shazeer 2020).
        bias: whether the linear layers add one.
        tied: whether the vectors that tokens are read by also score them.
        dropout: probability of dropping a coordinate of the embeddings and of each branch.
        rotary_base, eps: of the rotary positions and of the normalisations.
    """

    vocab_size: int
    dim: int = 128
    depth: int = 4
    heads: int = 4
    kv_heads: int | None = None
    hidden: int | None = None
    max_length: int = 256
    positions: str = "learned"
    norm: str = "layer"
    norm_first: bool = True
    activation: str = "gelu"
    bias: bool = True
    tied: bool = True
    dropout: float = 0.0
    rotary_base: float = 10_000.0
    eps: float = 1e-5

    def __post_init__(self) -> None:
        checks.at_least(1, vocab_size=self.vocab_size, depth=self.depth, max_length=self.max_length)
        checks.at_least(1, kv_heads=self.groups, hidden=self.inner)
        check_heads(self.dim, self.heads)
        checks.one_of(("learned", "rotary"), positions=self.positions)
        checks.one_of(("layer", "rms"), norm=self.norm)
        checks.one_of(("gelu", "swiglu"), activation=self.activation)
        checks.within("[0, 1]", dropout=self.dropout)
        checks.within("(0, inf)", rotary_base=self.rotary_base, eps=self.eps)
        if self.heads % self.groups:
            raise ValueError(f"kv_heads must divide heads = {self.heads}, got {self.kv_heads}")
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(f"rotary needs heads of an even size, got {self.dim} / {self.heads}")

    @property
    def head_dim(self) -> int:
        """Size d of a head."""
        return self.dim // self.heads

    @property
    def groups(self) -> int:
        """Number G of heads of keys and values."""
        return self.heads if self.kv_heads is None else self.kv_heads

    @property
    def inner(self) -> int:
        """Size between the two layers of a perceptron."""
        usual = 4 * self.dim if self.activation == "gelu" else max(8 * self.dim // 3, 1)
        return usual if self.hidden is None else self.hidden
