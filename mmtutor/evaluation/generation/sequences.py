"""Scores of two sequences of words side by side: ROUGE-L, error rates, METEOR's idea.

Knows one pair after the other; the tables of a pair are filled by `rapidfuzz`. Does not know n-gram
statistics of a corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from rapidfuzz.distance import LCSseq, Levenshtein

from mmtutor import checks
from mmtutor.evaluation.generation.text import Cut, Scores, examples


def rouge_l(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenizer: str | Cut = "words",
    beta: float = 1.2,
    best: str = "parts",
) -> Scores:
    """ROUGE-L: F of the longest common subsequence (Lin 2004, section 3, eqs. 2 to 4).

    With L its length, P = L / candidate length, R = L / reference length, F = (1 + beta^2) P R /
    (R + beta^2 P): beta = 1.2 weighs recall more, as scores on COCO do; 1 is the usual F1.

    Several references: `best="parts"` takes the largest P and the largest R, perhaps of different
    references, as Lin and COCO do; "whole" takes the reference with the largest F. Nothing in
    common, a candidate or a reference without a word: 0.

    Raises TypeError and ValueError as `text.examples` does.
    """
    checks.one_of(("parts", "whole"), best=best)
    checks.within("[0, inf)", beta=beta)
    scores = []
    for ours, some in examples(candidates, references, tokenizer):
        common = [LCSseq.similarity(ours, theirs) for theirs in some]
        precision = [length / max(len(ours), 1) for length in common]
        recall = [length / max(len(theirs), 1) for length, theirs in zip(common, some, strict=True)]
        if best == "parts":
            precision, recall = [max(precision)], [max(recall)]
        scores.append(max(_f(p, r, beta) for p, r in zip(precision, recall, strict=True)))
    return Scores.mean(np.array(scores))


def error_rate(
    candidates: Sequence[str], references: Sequence[str], tokenizer: str | Cut = "words"
) -> Scores:
    """Word error rate; with `tokenizer="char"` the character error rate.

    The fewest insertions, deletions and substitutions that turn the reference into the candidate,
    over the reference's length (the Levenshtein distance). One reference each; 0 is best, and it
    may exceed 1. An empty reference has rate 0 if the candidate is empty, else infinity. `score` is
    the errors of all examples over the words of all references: long ones count more.
    """
    references = [[reference] for reference in checks.listed(str, references=references)]
    pairs = examples(candidates, references, tokenizer)
    errors = np.array([Levenshtein.distance(ours, *reference) for ours, reference in pairs])
    words = np.array([len(reference) for _, [reference] in pairs])
    rate = np.divide(errors, words, out=np.where(errors > 0, np.inf, 0.0), where=words > 0)
    total = errors.sum() / words.sum() if words.any() else rate.max()
    return Scores(float(total), torch.from_numpy(rate))


def meteor_lite(
    candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str | Cut = "words"
) -> Scores:
    """The idea of METEOR (Banerjee and Lavie 2005) and no more: not comparable to its scores.

    Words are matched one to one where they are equal; the real METEOR goes on to stems, synonyms
    and paraphrases, with tuned weights. With m matches, P = m / candidate length, R = m /
    reference length: F = 10 P R / (R + 9 P). The matched words form chunks, runs that stand in the
    same order and side by side in both; score = F (1 - (chunks / m)^3 / 2). The best reference
    counts. A word that occurs more than once is matched first to first, second to second.
    """
    pairs = examples(candidates, references, tokenizer)
    scores = [max(_meteor(ours, theirs) for theirs in some) for ours, some in pairs]
    return Scores.mean(np.array(scores))


def _meteor(candidate: Sequence[str], reference: Sequence[str]) -> float:
    matches, chunks = _aligned(candidate, reference)
    if not matches:
        return 0.0
    f = _f(matches / len(candidate), matches / len(reference), beta=3.0)
    return f * (1 - 0.5 * (chunks / matches) ** 3)


def _f(precision: float, recall: float, beta: float) -> float:
    """(1 + beta^2) P R / (R + beta^2 P), and 0 where both are 0."""
    below = recall + beta**2 * precision
    return (1 + beta**2) * precision * recall / below if below else 0.0


def _aligned(candidate: Sequence[str], reference: Sequence[str]) -> tuple[int, int]:
    """Matches and chunks when the k-th of a word is matched with the k-th of the same word."""
    place = {word: j for j, word in enumerate(_occurrences(reference))}
    matched = [(i, place[w]) for i, w in enumerate(_occurrences(candidate)) if w in place]
    goes_on = sum(after == (i + 1, j + 1) for (i, j), after in pairwise(matched))
    return len(matched), len(matched) - goes_on


def _occurrences(tokens: Sequence[str]) -> list[tuple[str, int]]:
    """Each word, and how many of the same stand before it."""
    seen = Counter[str]()
    found = []
    for token in tokens:
        found.append((token, seen[token]))
        seen[token] += 1
    return found
