"""A language model that sees: four ways for a picture to enter a GPT.

Knows a GPT, an encoder of pictures (or of anything else that becomes tokens) and what stands
between them. Knows nothing of words, of losses, or of how a next token is chosen (`generate`).

- "linear", "two-layer": each token of the picture becomes a vector like a word's, and stands where
  the text has its placeholder (LLaVA, Liu et al. 2023). With `Patches`, which are not encoded at
  all, this is one stream of patches and words (Fuyu, Bavishi et al. 2023).
- "queries": a few learned queries look at the picture, and what they found stands there (the
  Perceiver Resampler of Flamingo; the Q-Former of BLIP-2, Li et al. 2023).
- "gated": nothing stands there; before its blocks, the text looks at the picture, through a gate
  that is shut at first (Flamingo, Alayrac et al. 2022).
"""

from __future__ import annotations

from contextlib import ExitStack

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import Encoded, check_ids, check_pictures, encode, real
from mmtutor.encoders.vision_transformer import patches
from mmtutor.fusion.attention import CrossAttentionBlock, MultiHeadCrossAttention
from mmtutor.models.generative.gpt import GPT, Cache, GPTOutput, Prompt

WAYS = ("linear", "two-layer", "queries", "gated")


class VisionLanguageModel(nn.Module):
    """A GPT, an image encoder, and one of the four ways from the one to the other.

    A text holds the token `placeholder` once, where the picture stands; as a token it is never
    read. Where a picture has no vector, or none that is real, the text is read as if it had none.
    A frozen GPT or encoder stays frozen: what is new alone is then trained.

    Args:
        gpt: the language model; its own weights and its texts without pictures stay as they are.
        image_encoder: gives `Encoded` tokens of size `image_encoder.dim`, of the modality that it
            names.
        placeholder: the id of a token that texts do not use otherwise.
        way: one of WAYS.
        queries: how many, for "queries".
        every: for "gated", before each so-many-th block the text looks.

    Raises ValueError for a placeholder that is no token, and where no block would look.
    """

    def __init__(
        self,
        gpt: GPT,
        image_encoder: nn.Module,
        placeholder: int,
        way: str = "two-layer",
        queries: int = 8,
        every: int = 1,
    ) -> None:
        super().__init__()
        checks.instance(GPT, gpt=gpt)
        checks.instance(nn.Module, image_encoder=image_encoder)
        checks.indices(gpt.config.vocab_size, placeholder=torch.tensor(placeholder))
        checks.one_of(WAYS, way=way)
        checks.at_least(1, queries=queries, every=every)
        if way == "gated" and every > gpt.config.depth:
            raise ValueError(f"every must be at most {gpt.config.depth}, the depth, got {every}")
        self.gpt, self.image_encoder = gpt, image_encoder
        self.placeholder, self.every = placeholder, every
        size, dim, heads = image_encoder.dim, gpt.config.dim, gpt.config.heads
        self.project = nn.Linear(size, dim)
        if way == "two-layer":
            self.project = nn.Sequential(self.project, nn.GELU(), nn.Linear(dim, dim))
        self.resampler = Resampler(dim, heads, queries) if way == "queries" else None
        looking = gpt.config.depth // every if way == "gated" else 0
        self.looks = nn.ModuleList(GatedLook(dim, heads) for _ in range(looking))

    def forward(self, batch: dict[str, Tensor]) -> GPTOutput:
        """A batch with `image` (or what else the encoder reads), `tokens` (B, L), and `tokens_mask`
        where some pad -> logits (B, L, V): at each token, scores for the next one.

        Those at the placeholder are for the token after it, and know the picture; what stands
        before it knows the picture with "gated" alone, where nothing stands at the placeholder and
        its logits mean nothing. To a loss the placeholder is no token to foresee: say with `answer`
        which are (`next_token`).

        Raises:
            KeyError: the batch lacks one of the two.
            ValueError: a text has no placeholder, or several; or as `GPT.forward`.
        """
        start = self._where(batch)
        vectors, mask, seen = self._prompt(batch, start)
        states = self.states(vectors, mask, seen=seen)
        tokens = batch["tokens"]
        longer = states.shape[1] - tokens.shape[1]  # by how much, for the picture
        place = torch.arange(tokens.shape[1], device=tokens.device)
        place = place + longer * (place >= start)
        return GPTOutput(self.gpt.logits(states.gather(1, _wide(place, states))))

    def prompt(self, batch: dict[str, Tensor]) -> Prompt:
        """The texts as vectors, with what is shown of the picture where the placeholder was, or
        beside them. Arguments and errors as `forward`.
        """
        return self._prompt(batch, self._where(batch))

    def _prompt(self, batch: dict[str, Tensor], start: Tensor) -> Prompt:
        tokens = batch["tokens"]
        mask = real(tokens, batch.get("tokens_mask"), "tokens_mask")
        vectors, seen = self.gpt.embedding(tokens), self.look(batch)
        if self.looks:
            return Prompt(vectors, mask & (tokens != self.placeholder), seen)
        order = _order(start, tokens.shape[1], seen.mask)
        vectors = torch.cat([vectors, seen.tokens], dim=1)
        mask = torch.cat([mask, seen.mask], dim=1)
        return Prompt(vectors.gather(1, _wide(order, vectors)), mask.gather(1, order), None)

    def look(self, batch: dict[str, Tensor]) -> Encoded:
        """What the GPT is shown of the picture: vectors (B, N, D), at least one, if of padding."""
        tokens, mask = encode(self.image_encoder, batch)
        if not mask.shape[1]:
            tokens, mask = F.pad(tokens, (0, 0, 0, 1)), F.pad(mask, (0, 1))
        seen = Encoded(self.project(tokens), mask)
        return seen if self.resampler is None else self.resampler(seen)

    def states(
        self,
        x: Tensor,
        mask: Tensor | None = None,
        caches: list[Cache] | None = None,
        seen: Encoded | None = None,
    ) -> Tensor:
        """`GPT.states`, with a look at what is `seen` before the blocks that have one."""
        with ExitStack() as hooks:
            for i, look in enumerate(self.looks if seen is not None else ()):
                before = self.gpt.blocks[(i + 1) * self.every - 1].register_forward_pre_hook(
                    lambda _, given, look=look: (look(given[0], seen), *given[1:])
                )
                hooks.callback(before.remove)
            return self.gpt.states(x, mask, caches)

    def _where(self, batch: dict[str, Tensor]) -> Tensor:
        """The place of the placeholder in each text, (B, 1); ValueError unless it has one."""
        require(batch, self.image_encoder.modality, "tokens")
        check_ids(batch["tokens"], self.gpt.config.vocab_size)
        found = batch["tokens"] == self.placeholder
        found &= real(found, batch.get("tokens_mask"), "tokens_mask")
        count = found.sum(dim=1)
        if wrong := (count != 1).nonzero().flatten().tolist():
            row, once = wrong[0], f"the placeholder {self.placeholder} once a text"
            raise ValueError(f"tokens must hold {once}, got {int(count[row])} in text {row}")
        return found.int().argmax(dim=1, keepdim=True)


class Resampler(nn.Module):
    """Learned queries that look at the vectors of a picture, twice: always so many come out."""

    def __init__(self, dim: int, heads: int, queries: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(queries, dim) * 0.02)
        self.blocks = nn.ModuleList(CrossAttentionBlock(dim, heads) for _ in range(2))

    def forward(self, seen: Encoded) -> Encoded:
        """Vectors (B, N, D) -> (B, queries, D), real where one of the N is."""
        x = self.queries.expand(len(seen.tokens), -1, -1)
        for block in self.blocks:
            x = block(x, seen.tokens, seen.mask)
        return Encoded(x, seen.mask.any(dim=1, keepdim=True).expand(x.shape[:2]))


class GatedLook(nn.Module):
    """Words look at a picture, then think; each branch through a gate, shut at first.

    x + tanh(a) attention(x, picture), then x + tanh(b) perceptron(x), with a = b = 0 in the
    beginning: the language model is at first as it was (Alayrac et al. 2022, section 2.2). Where
    there is nothing to look at, x stays as it is.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = MultiHeadCrossAttention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        self.gates = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor, seen: Encoded) -> Tensor:
        """x (B, L, D), vectors of the picture (B, N, D) -> (B, L, D)."""
        there = seen.mask.any(dim=1)[:, None, None]
        attention, perceptron = (there * gate for gate in self.gates.tanh())
        x = x + attention * self.attention(self.norm1(x), seen.tokens, seen.mask)
        return x + perceptron * self.mlp(self.norm2(x))


class Patches(nn.Module):
    """Pictures cut into squares, and nothing else: the encoder of one stream of patches and words.

    Args:
        patch: side of a square in pixels.
    """

    modality = "image"

    def __init__(self, patch: int) -> None:
        super().__init__()
        checks.at_least(1, patch=patch)
        self.patch, self.dim = patch, 3 * patch**2

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Encoded:
        """(B, 3, H, W) in [0, 1], sides multiples of `patch` -> (B, N, 3 patch^2), row by row."""
        check_pictures(x, self.patch)
        tokens = patches(2 * x - 1, self.patch).flatten(2)
        return Encoded(tokens, real(tokens, mask))


def _order(start: Tensor, length: int, seen: Tensor) -> Tensor:
    """Which of L tokens and then N vectors stands where, (B, L - 1 + N), if the vectors, of which
    `seen` (B, N) are real, take the place of the token at `start` (B, 1).

    Vectors that are padding come first, so that the last one is real.
    """
    place = torch.arange(length, device=seen.device).expand(len(seen), -1)
    place = place.masked_fill(place == start, length)  # behind all others, where it is cut off
    return torch.cat([2 * place, 2 * start + seen], dim=1).argsort(dim=1, stable=True)[:, :-1]


def _wide(place: Tensor, vectors: Tensor) -> Tensor:
    """Places (B, N) as `gather` wants them for vectors (B, M, D)."""
    return place.unsqueeze(-1).expand(-1, -1, vectors.shape[-1])
