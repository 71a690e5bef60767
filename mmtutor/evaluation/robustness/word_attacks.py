"""Attacks on words: which synonym does a model not survive?

Knows classifiers that read token ids, and which ids may stand for which. Does not know what words
mean: that a substitute keeps the meaning is the promise of whoever writes the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmtutor.data.batch import Batch, require
from mmtutor.data.tokenizer import UNKNOWN, WordTokenizer
from mmtutor.evaluation.inference import on_device_of
from mmtutor.evaluation.robustness.attacks import cross_entropy, keep_worse, margins
from mmtutor.explain.targets import slope_by
from mmtutor.models.modes import evaluating


def substitutes(tokenizer: WordTokenizer, table: Mapping[str, Sequence[str]]) -> Tensor:
    """(V, S) int64: the ids that may stand for each id; 0 where there are no more.

    Words that the tokenizer does not know become its unknown id: that is what the model would read.
    Raises ValueError if no entry of the table is in the vocabulary, or an entry is not one word.
    """
    rows: dict[int, list[int]] = {}
    for word, news in table.items():
        own = _single(tokenizer, word)
        if own != UNKNOWN:  # "red" and "Red" may be one word
            rows[own] = rows.get(own, []) + [_single(tokenizer, new) for new in news]
    if not rows:
        raise ValueError("no word of the table is in the tokenizer's vocabulary")
    candidates = torch.zeros(tokenizer.size, max(map(len, rows.values())), dtype=torch.int64)
    for own, new in rows.items():
        candidates[own, : len(new)] = torch.tensor(new)
    return candidates


def hotflip(
    model: nn.Module, batch: Batch, candidates: Tensor, embedding: nn.Embedding, flips: int = 1
) -> Batch:
    """Substitute up to `flips` words, each chosen by the gradient (Ebrahimi et al. 2018, eq. 2).

    To first order the loss changes by gradient . (new vector - old vector), so one backward pass
    ranks all substitutes at all places. Each example keeps the worst of the texts visited.

    Args:
        batch: has `tokens` (B, L), their mask, and `label` (B,).
        candidates: (V, S) as `substitutes` gives it.
        embedding: the model's own table of word vectors, which it looks up once in `forward`.
        flips: words changed at most; no place is changed twice.

    Raises:
        KeyError: the batch lacks the tokens or labels. ValueError: `flips` is below 1.
    """
    vectors = embedding.weight.detach()

    def gain(batch: Batch, options: Tensor) -> Tensor:
        gradient = _embedding_gradient(model, batch, embedding)  # [B, L, D]
        change = vectors[options] - vectors[batch["tokens"]].unsqueeze(2)  # [B, L, S, D]
        return (gradient.unsqueeze(2) * change).sum(dim=-1)

    return _flipped(model, batch, candidates, flips, gain)


def greedy(model: nn.Module, batch: Batch, candidates: Tensor, flips: int = 1) -> Batch:
    """The same, each word chosen by trying all: L * S forward passes for a flip, no gradient.

    With one flip nothing that `candidates` allow is worse for the model. Arguments as in `hotflip`.
    """

    def gain(batch: Batch, options: Tensor) -> Tensor:
        gains = torch.empty(options.shape, device=options.device)
        for place in range(options.shape[1]):
            for choice in range(options.shape[2]):
                tried = batch["tokens"].clone()
                tried[:, place] = options[:, place, choice]
                gains[:, place, choice] = margins(model, {**batch, "tokens": tried})
        return gains

    return _flipped(model, batch, candidates, flips, gain)


def random_words(model: nn.Module, batch: Batch, candidates: Tensor, flips: int = 1) -> Batch:
    """The control: substitutes drawn at random, never mind the model. Arguments as in `hotflip`."""
    generator = torch.Generator().manual_seed(0)

    def gain(batch: Batch, options: Tensor) -> Tensor:
        return torch.rand(options.shape, generator=generator).to(options.device)

    return _flipped(model, batch, candidates, flips, gain, keep_worst=False)


def _embedding_gradient(model: nn.Module, batch: Batch, embedding: nn.Embedding) -> Tensor:
    """Gradient (B, L, D) of each example's cross-entropy by the word vectors it reads."""
    found: list[Tensor] = []

    def cut(module: nn.Module, ids: tuple, vectors: Tensor) -> Tensor:
        found.append(vectors.detach().requires_grad_())
        return found[-1]

    handle = embedding.register_forward_hook(cut)
    try:
        with torch.enable_grad():
            loss = cross_entropy(model(batch).logits, batch["label"])
            if not found:
                raise ValueError("the model does not read the embedding: it has no use for words")
            return slope_by(loss, found[-1])
    finally:
        handle.remove()


def _flipped(
    model: nn.Module,
    batch: Batch,
    candidates: Tensor,
    flips: int,
    gain: Callable[[Batch, Tensor], Tensor],
    keep_worst: bool = True,
) -> Batch:
    """The batch with `flips` words substituted, one after the other, by the highest gain.

    Args:
        gain: from the batch so far and the options (B, L, S) at every place to how much each is
            worth (B, L, S).
        keep_worst: return the worst text visited, and not the last.
    """
    require(batch, "tokens", "label")
    if flips < 1:
        raise ValueError(f"flips is {flips}: expected at least 1")
    with evaluating(model):
        batch = on_device_of(model, batch)
        x, candidates = batch["tokens"], candidates.to(batch["tokens"].device)
        free = batch.get("tokens_mask", torch.ones_like(x)).bool()  # places that may change
        worst = x, margins(model, batch)
        for _ in range(flips):
            options = candidates[x]  # [B, L, S]
            allowed = (options != 0) & free.unsqueeze(-1)
            gains = gain({**batch, "tokens": x}, options).masked_fill(~allowed, -torch.inf)
            x, free = _substitute(x, free, options, gains)
            worst = keep_worse(worst, x, margins(model, {**batch, "tokens": x}))
    return {**batch, "tokens": worst[0] if keep_worst else x}


def _substitute(x: Tensor, free: Tensor, options: Tensor, gain: Tensor) -> tuple[Tensor, Tensor]:
    """The substitute with the highest gain (B, L, S) put in; rows that have none stay."""
    highest, chosen = gain.flatten(1).max(dim=1)  # [B]
    rows = torch.arange(len(x), device=x.device)
    place = chosen // options.shape[2]
    able = highest > -torch.inf
    x, free = x.clone(), free.clone()
    x[rows, place] = torch.where(able, options.flatten(1)[rows, chosen], x[rows, place])
    free[rows, place] &= ~able
    return x, free


def _single(tokenizer: WordTokenizer, word: str) -> int:
    ids = tokenizer.encode(word)
    if len(ids) != 1:
        raise ValueError(f"{word!r} is {len(ids)} words: only one word can stand for one")
    return ids[0]
