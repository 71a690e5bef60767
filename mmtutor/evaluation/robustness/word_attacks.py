"""Attacks on words: which synonym does a model not survive?

Knows classifiers that read token ids, and which ids may stand for which. Does not know what words
mean: that a substitute keeps the meaning is the promise of whoever writes the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import Batch, require
from mmtutor.data.tokenizer import UNKNOWN, WordTokenizer
from mmtutor.encoders.base import real
from mmtutor.evaluation.predict import on_device_of
from mmtutor.evaluation.robustness.attacks import LABEL, cross_entropy, keep_worse, margins
from mmtutor.explain.targets import gradient_by
from mmtutor.models.modes import evaluating


def substitutes(tokenizer: WordTokenizer, table: Mapping[str, Sequence[str]]) -> Tensor:
    """(V, S) int64: the ids that may stand for each id; 0 where there are no more.

    Words that the tokenizer does not know become its unknown id: that is what the model would read.
    Raises ValueError if no entry of the table is in the vocabulary, or an entry is not one word.
    """
    checks.instance(WordTokenizer, tokenizer=tokenizer)
    checks.instance(Mapping, table=table)
    rows: dict[int, list[int]] = {}
    for word, news in table.items():
        checks.instance(str, **{"each word of table": word})
        news = checks.listed(str, **{f"table[{word!r}]": news})
        own = _single(tokenizer, word)
        if own != UNKNOWN:  # "red" and "Red" may be one word
            rows[own] = rows.get(own, []) + [_single(tokenizer, new) for new in news]
    if not rows:
        raise ValueError("table must hold a word of the tokenizer's vocabulary, got none")
    candidates = torch.zeros(tokenizer.size, max(map(len, rows.values())), dtype=torch.int64)
    for own, new in rows.items():
        candidates[own, : len(new)] = torch.tensor(new)
    return candidates


def hotflip(model: nn.Module, batch: Batch, candidates: Tensor, embedding: nn.Embedding) -> Batch:
    """Substitute one word, chosen by the gradient (Ebrahimi et al. 2018, eq. 2).

    To first order the loss changes by gradient . (new vector - old vector), so one backward pass
    ranks all substitutes at all places. A text that the change would not make worse for the model
    stays as it is.

    Args:
        batch: has `tokens` (B, L), their mask, and `label` (B,).
        candidates: (V, S) as `substitutes` gives it.
        embedding: the model's own table of word vectors, which it looks up once in `forward`.

    Raises:
        KeyError: the batch lacks the tokens or labels.
    """
    checks.instance(nn.Embedding, embedding=embedding)
    vectors = embedding.weight.detach()

    def gain(batch: Batch, options: Tensor) -> Tensor:
        gradient = _embedding_gradient(model, batch, embedding)  # [B, L, D]
        change = vectors[options] - vectors[batch["tokens"]].unsqueeze(2)  # [B, L, S, D]
        return (gradient.unsqueeze(2) * change).sum(dim=-1)

    return _substituted(model, batch, candidates, gain)


def greedy(model: nn.Module, batch: Batch, candidates: Tensor) -> Batch:
    """The same, the word chosen by trying all: L * S forward passes, no gradient.

    Nothing that `candidates` allow is worse for the model. Arguments as in `hotflip`.
    """

    def gain(batch: Batch, options: Tensor) -> Tensor:
        gains = torch.empty(options.shape, device=options.device)
        for place in range(options.shape[1]):
            for choice in range(options.shape[2]):
                tried = batch["tokens"].clone()
                tried[:, place] = options[:, place, choice]
                gains[:, place, choice] = margins(model, {**batch, "tokens": tried})
        return gains

    return _substituted(model, batch, candidates, gain)


def random_words(model: nn.Module, batch: Batch, candidates: Tensor) -> Batch:
    """The control: a substitute drawn at random, whatever the model. Arguments as in `hotflip`."""
    generator = torch.Generator().manual_seed(0)

    def gain(batch: Batch, options: Tensor) -> Tensor:
        return torch.rand(options.shape, generator=generator).to(options.device)

    return _substituted(model, batch, candidates, gain, keep_worse_only=False)


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
                raise ValueError("embedding must be read by the model, got another")
            return gradient_by(loss, found[-1])
    finally:
        handle.remove()


def _substituted(
    model: nn.Module,
    batch: Batch,
    candidates: Tensor,
    gain: Callable[[Batch, Tensor], Tensor],
    keep_worse_only: bool = True,
) -> Batch:
    """The batch with the word of each text substituted that promises the highest gain.

    Args:
        gain: from the batch and the options (B, L, S) at every place to how much each is worth
            (B, L, S).
        keep_worse_only: leave a text as it was where the new one is not worse for the model.
    """
    checks.instance(nn.Module, model=model)
    checks.instance(Mapping, batch=batch)
    require(batch, "tokens", "label")
    checks.shaped(candidates=(candidates, "V S"))
    checks.indices(len(candidates), candidates=candidates, **{"batch['tokens']": batch["tokens"]})
    shapes = {"batch['tokens']": (batch["tokens"], "B L"), LABEL: (batch["label"], "B")}
    checks.shaped(**shapes)
    checks.indices(None, **{LABEL: batch["label"]})
    with evaluating(model):
        batch = on_device_of(model, batch)
        old = batch["tokens"]
        options = candidates.to(old.device)[old]  # [B, L, S]
        words = real(old, batch.get("tokens_mask"), "batch['tokens_mask']")
        before = margins(model, batch) if keep_worse_only else None
        gains = gain(batch, options).masked_fill((options == 0) | ~words.unsqueeze(-1), -torch.inf)
        highest, chosen = gains.flatten(1).max(dim=1)  # [B]
        rows, place = torch.arange(len(old), device=old.device), chosen // options.shape[2]
        new = old.clone()
        new[rows, place] = options.flatten(1)[rows, chosen].where(
            highest > -torch.inf, old[rows, place]
        )
        if before is not None:
            new, _ = keep_worse((old, before), new, margins(model, {**batch, "tokens": new}))
    return {**batch, "tokens": new}


def _single(tokenizer: WordTokenizer, word: str) -> int:
    ids = tokenizer.encode(word)
    if len(ids) != 1:
        raise ValueError(f"table must hold single words, got {word!r}, which is {len(ids)}")
    return ids[0]
