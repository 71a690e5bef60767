"""GPT: a Transformer that reads from left to right and scores what may come next.

Knows what changed from GPT-1 to Llama, each change an option, and how to keep what it has read.
Knows nothing of words, of losses, or of how a next token is chosen (that is `generate`).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import Encoded, check_ids, real
from mmtutor.encoders.transformer import attention_weights, turned, turns
from mmtutor.models.generative.config import GPTConfig
from mmtutor.models.generative.pretrained import config_of, weights_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class GPTOutput(NamedTuple):
    """`logits` (B, L, V): at each token, a score for every token that may come next."""

    logits: Tensor


class Prompt(NamedTuple):
    """What a model that writes begins with.

    Attributes:
        vectors: (B, L, D), a text's, and where it stands there a picture's.
        mask: (B, L) bool, True = real; None if all are.
        seen: what is looked at beside the text, if anything.
    """

    vectors: Tensor
    mask: Tensor | None
    seen: Encoded | None = None


class GPT(nn.Module):
    """Token vectors, blocks that look only to the left, and scores for the next token.

    Radford et al. (2018, 2019); with other options Llama (Touvron et al. 2023).
    """

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        checks.instance(GPTConfig, config=config)
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        if config.positions == "learned":
            self.position = nn.Embedding(config.max_length, config.dim)
        else:
            places = torch.arange(config.max_length)
            table = turns(places, config.head_dim, config.rotary_base)
            self.register_buffer("turns", table, persistent=False)  # [2, L, d / 2]
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = normalisation(config) if config.norm_first else nn.Identity()
        if not config.tied:
            self.head = nn.Linear(config.dim, config.vocab_size, bias=False)
        self._initialise()

    def forward(self, batch: dict[str, Tensor]) -> GPTOutput:
        """A batch with `tokens` (B, L), and `tokens_mask` where some pad -> logits (B, L, V).

        Padding, on whichever side, changes nothing of what is real; its own logits mean nothing.

        Raises:
            KeyError: the batch has no `tokens`.
            ValueError: the text is too long, or an id has no vector (looked at on a CPU only).
        """
        vectors, mask, _ = self.prompt(batch)
        return GPTOutput(self.logits(self.states(vectors, mask)))

    def prompt(self, batch: dict[str, Tensor]) -> Prompt:
        """The vectors of the texts; arguments and errors as `forward`."""
        require(batch, "tokens")
        check_ids(batch["tokens"], self.config.vocab_size)
        mask = batch.get("tokens_mask")
        mask = None if mask is None else real(batch["tokens"], mask, "tokens_mask")
        return Prompt(self.embedding(batch["tokens"]), mask)

    def states(
        self, x: Tensor, mask: Tensor | None = None, caches: list[Cache] | None = None
    ) -> Tensor:
        """What each of the vectors x (B, L, D) has become, knowing all to its left: (B, L, D).

        Args:
            mask: (B, S) bool, True = real, of the S vectors read so far, the new L at its end.
            caches: one for each block; x is read after what they hold, and added to it.
        """
        start = caches[0].length if caches else 0
        places, keep = self._view(start, start + x.shape[1], mask)
        if self.config.positions == "learned":
            x, turn = x + self.position.weight[places], None
        else:
            turn = self.turns[:, places].unsqueeze(-2)
        x = self.dropout(x)
        for block, cache in zip(self.blocks, caches or [None] * len(self.blocks), strict=True):
            x = block(x, View(turn, keep), cache)
        return self.norm(x)

    def logits(self, states: Tensor) -> Tensor:
        """Scores (..., V) of the next token, from states (..., D)."""
        table = self.embedding if self.config.tied else self.head
        return F.linear(states, table.weight)

    def caches(self, rows: int, length: int) -> list[Cache]:
        """Room for what each block is to remember of `rows` texts of at most `length` tokens."""
        shape = rows, self.config.groups, length, self.config.head_dim
        return [Cache(self.embedding.weight.new_zeros(2, *shape)) for _ in self.blocks]

    def attention(self, batch: dict[str, Tensor]) -> list[Tensor]:
        """What each block looks at: weights (B, heads, L, L), row = who looks, column = at whom."""
        seen = []
        with ExitStack() as hooks:
            for block in self.blocks:
                see = block.attention.register_forward_hook(
                    lambda part, given, _: seen.append(part.weights(*given))
                )
                hooks.callback(see.remove)
            self(batch)
        return seen

    def _view(
        self, start: int, end: int, mask: Tensor | None
    ) -> tuple[slice | Tensor, Tensor | None]:
        """Places of the tokens from `start` to `end`, counted from the first real one; `View.keep`.

        Padding sees itself, so that it has something to see.
        """
        if end > self.config.max_length:
            longest = self.config.max_length
            raise ValueError(f"tokens must be at most max_length = {longest} long, got {end}")
        if mask is None and (start == 0 or end - start == 1):
            return slice(start, end), None
        causal = torch.ones(end, end, dtype=torch.bool, device=self.embedding.weight.device).tril()
        if mask is None:
            return slice(start, end), causal[start:]
        places = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, start:]  # [B, L]
        keep = (causal & mask.unsqueeze(1)) | causal.triu()  # [B, S, S]
        return places, keep[:, start:].unsqueeze(1)  # [B, 1, L, S]

    def _initialise(self) -> None:
        """As GPT-2: small numbers, smaller still where a branch is added (section 2.3)."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                added = name.endswith(("out.weight", "down.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * len(self.blocks)) ** (added / 2))
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    @classmethod
    def from_transformers(cls, model: PreTrainedModel) -> GPT:
        """A copy of a `GPT2LMHeadModel` or a `LlamaForCausalLM`, without dropout.

        Raises ValueError for another kind of model, and for options that ours has not.
        """
        settings = model.config.to_dict()
        ours = cls(config_of(settings))
        ours.load_state_dict(weights_of(settings, model.state_dict()))
        return ours.to(model.dtype)


class View(NamedTuple):
    """What attention is told of the places of tokens.

    Attributes:
        turn: cosines and sines of the places, (2, L, 1, d/2) or (2, B, L, 1, d/2); None turns none.
        keep: bool, broadcastable to (B, heads, L, S), which keys to look at; None is all up to
            oneself.
    """

    turn: Tensor | None
    keep: Tensor | None


class Block(nn.Module):
    """Attention, then a perceptron, each added to what it read."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.norm_first = config.norm_first
        self.norm1, self.norm2 = normalisation(config), normalisation(config)
        self.attention = CausalAttention(config)
        self.mlp = MLP(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, view: View, cache: Cache | None) -> Tensor:
        """x (B, L, D) -> (B, L, D)."""
        if not self.norm_first:
            x = self.norm1(x + self.dropout(self.attention(x, view, cache)))
            return self.norm2(x + self.dropout(self.mlp(x)))
        x = x + self.dropout(self.attention(self.norm1(x), view, cache))
        return x + self.dropout(self.mlp(self.norm2(x)))


class CausalAttention(nn.Module):
    """Attention to what stands to the left; several heads of queries may share keys and values."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.heads, self.groups, self.head_dim = config.heads, config.groups, config.head_dim
        width = (config.heads + 2 * config.groups) * config.head_dim
        self.qkv = nn.Linear(config.dim, width, bias=config.bias)
        self.out = nn.Linear(config.dim, config.dim, bias=config.bias)

    def forward(self, x: Tensor, view: View, cache: Cache | None) -> Tensor:
        """x (B, L, D) -> (B, L, D); the cache holds what was read before, and x afterwards."""
        query, key, value = self._heads(x, view.turn)
        if cache is not None:
            key, value = cache.add(key, value)
        causal = view.keep is None and x.shape[1] > 1  # a single token is the last: it sees all
        grouped = self.heads != self.groups
        read = F.scaled_dot_product_attention(
            query, key, value, view.keep, is_causal=causal, enable_gqa=grouped
        )
        return self.out(read.transpose(1, 2).flatten(2))  # [B, heads, L, d] -> [B, L, D]

    def weights(self, x: Tensor, view: View, cache: None) -> Tensor:
        """The weights (B, heads, L, L) with which `forward` looks, written out."""
        query, key, _ = self._heads(x, view.turn)
        causal = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool, device=x.device).tril()
        keep = causal if view.keep is None else view.keep
        return attention_weights(query, key.repeat_interleave(self.heads // self.groups, 1), keep)

    def _heads(self, x: Tensor, turn: Tensor | None) -> list[Tensor]:
        """Query (B, heads, L, d), key and value (B, groups, L, d)."""
        x = self.qkv(x).unflatten(-1, (-1, self.head_dim))  # [B, L, heads + 2 groups, d]
        both, value = x.split([self.heads + self.groups, self.groups], dim=2)
        both = both if turn is None else turned(both, *turn)
        query, key = both.split([self.heads, self.groups], dim=2)
        return [part.transpose(1, 2) for part in (query, key, value)]


class MLP(nn.Module):
    """Two layers; with "swiglu" the first makes a gate too, by which the rest is multiplied."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.gated = config.activation == "swiglu"
        self.up = nn.Linear(config.dim, (1 + self.gated) * config.inner, bias=config.bias)
        self.down = nn.Linear(config.inner, config.dim, bias=config.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x (..., D) -> (..., D)."""
        x = self.up(x)
        if not self.gated:
            return self.down(F.gelu(x, approximate="tanh"))
        gate, value = x.chunk(2, dim=-1)
        return self.down(F.silu(gate) * value)


def normalisation(config: GPTConfig) -> nn.Module:
    """The layer that `config.norm` names."""
    kind = nn.LayerNorm if config.norm == "layer" else nn.RMSNorm
    return kind(config.dim, eps=config.eps)


class Cache:
    """The keys and values that one block has made so far, in room set aside beforehand."""

    def __init__(self, room: Tensor) -> None:
        self.room, self.length = room, 0  # [2, B, groups, longest, d]

    def add(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keep those of new tokens (B, groups, L, d); all so far (B, groups, S, d)."""
        start, self.length = self.length, self.length + key.shape[2]
        self.room[0, :, :, start : self.length] = key
        self.room[1, :, :, start : self.length] = value
        return tuple(self.room[:, :, :, : self.length])

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, of which some may stand more than once."""
        self.room = self.room[:, rows]
