"""Counting the n-grams of a sentence, and of all sentences: which are new?

Knows n-grams. Does not know references.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mmtutor import checks
from mmtutor.evaluation.generation.text import Cut, tokenize


def _ngram_counts(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often a sentence has each of its n-grams."""
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))


def distinct(candidates: Sequence[str], n: int, tokenizer: str | Cut = "words") -> float:
    """distinct-n: different n-grams of all candidates over all their n-grams; 0 if there is none.

    Low where a model says the same thing again and again, within a sentence or from one to the
    next. It falls with the amount of text, so compare it at equal amounts (Li et al. 2016).
    Raises TypeError and ValueError for what is no list of strings, an empty one, or n below 1.
    """
    checks.at_least(1, n=n)
    candidates = checks.listed(str, candidates=candidates)
    checks.same_length(candidates=candidates)
    grams = Counter[tuple[str, ...]]()
    for tokens in tokenize(candidates, tokenizer):
        grams += _ngram_counts(tokens, n)
    return len(grams) / grams.total() if grams else 0.0
