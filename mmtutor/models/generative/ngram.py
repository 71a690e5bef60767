"""A language model that counts: how often each token followed the few before it.

Knows tokens, counts and how to mix long contexts with short ones. Knows nothing of words.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mmtutor import checks


class NGram:
    """Counts of all runs of up to `order` tokens, mixed as Witten and Bell (1991) do.

    A context h that was followed N times, by T different tokens, gives a token w the probability
    (count(h w) + T p(w | h')) / (N + T), where h' is h without its first token: the more often a
    context surprised, the more its shorter form is asked. The shortest of all is chance, 1 / V.

    Args:
        tokens: (N,) int64 in [0, vocab_size), one text, at least `order` long.
        order: the longest run counted, the predicted token included.
        vocab_size: number V of tokens; V ** order must fit 63 bits, for a run is kept as a number.
    """

    def __init__(self, tokens: Tensor, order: int, vocab_size: int) -> None:
        checks.at_least(1, order=order, vocab_size=vocab_size)
        if vocab_size**order >= 2**63:
            raise ValueError(f"order must keep {vocab_size} ** order below 2 ** 63, got {order}")
        self.order, self.vocab_size = order, vocab_size
        self._check(tokens, order)
        self.tables = [self._count(tokens, length) for length in range(1, order + 1)]

    def probability(self, tokens: Tensor) -> Tensor:
        """Of each token of a text (N,), given those before it in the text: (N,) float64."""
        self._check(tokens, 1)
        p = torch.full((len(tokens),), 1 / self.vocab_size, dtype=torch.float64)
        for length, table in enumerate(self.tables[: len(tokens)], 1):
            begin = length - 1  # earlier tokens have too short a past
            runs = self._runs(tokens, length)
            p[begin:] = self._mixed(table, runs, p[begin:])
        return p

    def next_probabilities(self, tokens: Tensor) -> Tensor:
        """Of each token that may come next after a text (N,): (V,) float64; sums to 1."""
        self._check(tokens, 1)
        following = torch.arange(self.vocab_size)
        p = torch.full((self.vocab_size,), 1 / self.vocab_size, dtype=torch.float64)
        past = 0  # the last tokens of the text, as a number
        for length, table in enumerate(self.tables[: len(tokens) + 1], 1):
            if length > 1:
                past += int(tokens[-length + 1]) * self.vocab_size ** (length - 2)
            p = self._mixed(table, past * self.vocab_size + following, p)
        return p

    def _runs(self, tokens: Tensor, length: int) -> Tensor:
        """Each run of `length` tokens as a number: (N - length + 1,)."""
        runs = torch.zeros(len(tokens) - length + 1, dtype=torch.int64)
        for window in tokens.unfold(0, length, 1).unbind(1):
            runs = runs * self.vocab_size + window
        return runs

    def _count(self, tokens: Tensor, length: int) -> tuple[Tensor, ...]:
        """Runs and how often each occurs; contexts, how often each was followed, by how many."""
        runs, count = self._runs(tokens, length).unique(return_counts=True)
        contexts, place, kinds = (runs // self.vocab_size).unique_consecutive(
            return_inverse=True, return_counts=True
        )
        return runs, count, contexts, torch.zeros_like(kinds).index_add(0, place, count), kinds

    def _mixed(self, table: tuple[Tensor, ...], runs: Tensor, shorter: Tensor) -> Tensor:
        """Probabilities that know one token more than `shorter`."""
        known, count, contexts, total, kinds = table
        past = runs // self.vocab_size
        times, followed, surprised = (
            _found(known, count, runs),
            _found(contexts, total, past),
            _found(contexts, kinds, past),
        )
        mixed = (times + surprised * shorter) / (followed + surprised).clamp(min=1)
        return torch.where(followed > 0, mixed, shorter)

    def _check(self, tokens: Tensor, least: int) -> None:
        checks.shaped(tokens=(tokens, "N"))
        checks.indices(self.vocab_size, tokens=tokens)
        checks.at_least(least, **{"len(tokens)": len(tokens)})


def _found(keys: Tensor, values: Tensor, wanted: Tensor) -> Tensor:
    """The value of each key that is wanted, 0 where there is none; `keys` rise."""
    place = torch.searchsorted(keys, wanted).clamp(max=len(keys) - 1)
    return values[place].masked_fill(keys[place] != wanted, 0)
