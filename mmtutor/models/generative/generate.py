"""How a GPT writes: a token is chosen, read, and the next one scored.

Knows greedy choice, sampling, beam search, and texts of unequal length in one batch. Knows nothing
of words, nor what the model is made of.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import Encoded, real, wide
from mmtutor.models.generative.gpt import GPT, Prompt
from mmtutor.models.generative.vision_language import VisionLanguageModel
from mmtutor.models.modes import evaluating


class Generated(NamedTuple):
    """What was written after each prompt.

    Attributes:
        tokens: (B, N) int64; N is less than was asked for where every text stopped before.
        mask: (B, N) bool, True up to the stop token, itself included.
    """

    tokens: Tensor
    mask: Tensor


def generate(
    model: GPT | VisionLanguageModel,
    batch: dict[str, Tensor],
    length: int,
    *,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float | None = None,
    beams: int = 1,
    stop: int | None = None,
    generator: torch.Generator | None = None,
    cached: bool = True,
) -> Generated:
    """Continue each text of a batch, token by token; the model is in eval mode meanwhile.

    Args:
        batch: `tokens` (B, L), and `tokens_mask` where some pad, on either side; `image` for a
            model that sees.
        length: how many tokens to write at most.
        temperature: 0 takes the likeliest token (greedy); above 0, tokens are drawn.
        top_k, top_p: as in `next_probabilities`; for drawing.
        beams: how many texts to keep while looking for one of the highest probability (beam
            search); 1 looks for none.
        stop: the token that ends a text.
        generator: draws the tokens.
        cached: False reads the whole text anew for each token: slower, with the same result.

    Raises:
        ValueError: prompt and text would be longer than the model's `max_length`, a prompt is
            empty, or settings do not fit each other.
    """
    _check(model, temperature, beams, top_k is not None or top_p is not None)
    with (
        evaluating(model),
        torch.inference_mode(),
    ):  # much lighter than no_grad, at one token a call
        texts = _Texts(model, batch, length, stop, cached)
        draws = generator, temperature, top_k, top_p
        found = _search(texts, beams) if beams > 1 else _write(texts, *draws)
    return Generated(*(part.clone() for part in found))  # copies that training may read


def next_probabilities(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """The probabilities that a next token is drawn with, (..., V), from logits (..., V).

    Args:
        temperature: what logits are divided by; below 1 the likely becomes likelier.
        top_k: keep the k likeliest tokens (Fan et al. 2018).
        top_p: of these, keep the fewest that together have a probability of at least p (nucleus
            sampling, Holtzman et al. 2020).
    """
    checks.shaped(logits=(logits, "... V"))
    checks.floating(logits=logits)
    checks.within("(0, inf)", temperature=temperature)
    logits = wide(logits) / temperature
    if top_k is None and top_p is None:
        return logits.softmax(dim=-1)
    checks.at_least(1, top_k=1 if top_k is None else top_k)
    checks.within("(0, 1]", top_p=1.0 if top_p is None else top_p)
    size = logits.shape[-1]
    likeliest, tokens = logits.topk(min(top_k or size, size))  # in falling order
    p = likeliest.softmax(dim=-1)
    before = p.cumsum(dim=-1) - p
    p = p.masked_fill(before >= (top_p or 1.0), 0)
    return torch.zeros_like(logits).scatter(-1, tokens, p / p.sum(dim=-1, keepdim=True))


class _Texts:
    """Texts that grow by a token at a time, and the scores of what may come next.

    Padding is moved to the left, so that all texts end, and go on, at the same place.
    """

    def __init__(
        self,
        model: GPT | VisionLanguageModel,
        batch: dict[str, Tensor],
        length: int,
        stop: int | None,
        cached: bool,
    ) -> None:
        self.gpt = model.gpt if isinstance(model, VisionLanguageModel) else model
        self.model, self.length = model, length
        self.vectors, mask, self.seen = _prompt(model, self.gpt, batch, length, stop)
        self.stop = -1 if stop is None else stop  # -1 is no token
        rows, self.start = mask.shape
        self.end = 0  # tokens written
        self.read = 0  # vectors that the caches hold
        self.tokens = torch.zeros(rows, length, dtype=torch.int64, device=mask.device)
        written = mask.new_ones(rows, length)
        self.mask = None if mask.all() else torch.cat([mask, written], dim=1)
        self.caches = self.gpt.caches(rows, self.start + length) if cached else None

    def logits(self) -> Tensor:
        """(rows, V) in float32 at least."""
        new = self.gpt.embedding(self.tokens[:, max(self.read - self.start, 0) : self.end])
        new = new if self.read else torch.cat([self.vectors, new], dim=1)
        length = self.start + self.end
        mask = None if self.mask is None else self.mask[:, :length]
        aside = () if self.seen is None else (self.seen,)
        states = self.model.states(new, mask, self.caches, *aside)
        self.read = length if self.caches else 0
        return wide(self.gpt.logits(states[:, -1]))

    def append(self, tokens: Tensor) -> None:
        """Tokens (rows,) int64."""
        self.tokens[:, self.end] = tokens
        self.end += 1

    def select(self, rows: Tensor) -> None:
        """Go on with these rows, of which some may stand more than once."""
        self.tokens = self.tokens[rows]
        self.vectors = self.vectors[rows] if self.read == 0 else self.vectors
        self.mask = None if self.mask is None else self.mask[rows]
        self.seen = None if self.seen is None else Encoded(*(x[rows] for x in self.seen))
        for cache in self.caches or []:
            cache.select(rows)

    def result(self) -> Generated:
        """What was written; 0 after the stop token."""
        written = self.tokens[:, : self.end]
        stops = (written == self.stop).long()
        mask = stops.cumsum(dim=1) - stops == 0  # no stop token before
        return Generated(written.masked_fill(~mask, 0), mask)


def _write(
    texts: _Texts, generator: torch.Generator | None, temperature: float, *kept
) -> Generated:
    """One token after another, each the likeliest or drawn; `kept` are top_k and top_p."""
    done = torch.zeros(len(texts.tokens), dtype=torch.bool, device=texts.tokens.device)
    for _ in range(texts.length):
        logits = texts.logits()
        if temperature == 0:
            token = logits.argmax(dim=-1)
        else:
            p = next_probabilities(logits, temperature, *kept)
            token = torch.multinomial(p, 1, generator=generator).squeeze(1)
        texts.append(token)
        done |= token == texts.stop
        if done.all():
            break
    return texts.result()


def _search(texts: _Texts, beams: int) -> Generated:
    """Beam search: of all continuations by one token of `beams` texts, keep the `beams` best.

    A text is as good as the sum of its tokens' log-probabilities, up to the stop token.
    """
    rows, device = len(texts.tokens), texts.tokens.device
    first = (
        torch.arange(rows, device=device).unsqueeze(1) * beams
    )  # where each prompt's beams begin
    texts.select(torch.arange(rows, device=device).repeat_interleave(beams))
    score = torch.full((rows, beams), -torch.inf, device=device)
    score[:, 0] = 0  # all beams are alike yet: only one may go on
    done = torch.zeros(rows, beams, dtype=torch.bool, device=device)
    for _ in range(texts.length):
        log_p = texts.logits().log_softmax(dim=-1).unflatten(0, (rows, beams))  # [B, beams, V]
        log_p[done] = -torch.inf  # what has ended can only stay as it is
        log_p[..., texts.stop].masked_fill_(done, 0)
        score, best = (score.unsqueeze(-1) + log_p).flatten(1).topk(beams)  # [B, beams]
        origin, token = best // log_p.shape[-1], best % log_p.shape[-1]
        texts.select((first + origin).flatten())
        texts.append(token.flatten())
        done = token == texts.stop
        if done.all():
            break
    texts.select(first.squeeze(1))  # the best beam of each prompt stands first
    return texts.result()


def _prompt(
    model: GPT | VisionLanguageModel,
    gpt: GPT,
    batch: dict[str, Tensor],
    length: int,
    stop: int | None,
) -> Prompt:
    """What the texts begin with, padding moved to the left, and where it is real."""
    vectors, mask, seen = model.prompt(batch)
    mask, longest = real(vectors, mask), gpt.config.max_length
    checks.at_least(1, length=length)
    checks.indices(gpt.config.vocab_size, stop=None if stop is None else torch.tensor(stop))
    if not mask.any(dim=1).all():
        raise ValueError("tokens must hold at least one token a text, got a text of padding alone")
    if length > longest - mask.shape[1]:
        room = f"{longest - mask.shape[1]}, for {mask.shape[1]} tokens of prompt"
        raise ValueError(f"length must be at most {room} (max_length is {longest}), got {length}")
    order = mask.int().argsort(dim=1, stable=True)
    moved = vectors.gather(1, order.unsqueeze(-1).expand_as(vectors))
    return Prompt(moved, mask.gather(1, order), seen)


def _check(model: nn.Module, temperature: float, beams: int, chosen: bool) -> None:
    """That the settings of `generate` fit each other."""
    checks.instance((GPT, VisionLanguageModel), model=model)
    checks.within("[0, inf)", temperature=temperature)
    checks.at_least(1, beams=beams)
    if beams > 1 and temperature > 0:
        raise ValueError(f"beams must be 1 where temperature is above 0, got {beams}")
    if chosen and temperature == 0:
        raise ValueError("temperature must be above 0 for top_k or top_p, got 0")
