"""Scores of two sequences of words side by side: ROUGE-L, error rates, METEOR's idea.

Knows dynamic programs over a whole batch of pairs: a Python loop runs over the words of the
longest candidate, never over pairs. Does not know n-gram statistics of a corpus.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from rapidfuzz.distance import Levenshtein

from mmtutor.evaluation.generation.ngrams import Corpus, IntArray, corpus
from mmtutor.evaluation.generation.text import Cut, Scores, check, tokenize

ENDED, ABSENT = -1, -2  # stand after the end of a candidate and of a reference: never equal


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

    Raises TypeError and ValueError as `text.check` and `tokenize` do.
    """
    if best not in ("parts", "whole"):
        raise ValueError(f"best must be 'parts' or 'whole', got {best!r}")
    read = corpus(candidates, references, tokenizer)
    pair = _pairs(read)
    common = lcs(pair.candidate, pair.reference)
    precision = common / np.maximum(pair.candidate_length, 1)
    recall = common / np.maximum(pair.reference_length, 1)
    if best == "parts":
        score = _f(_largest(precision, read), _largest(recall, read), beta)
    else:
        score = _largest(_f(precision, recall, beta), read)
    return Scores.mean(score)


def error_rate(
    candidates: Sequence[str], references: Sequence[str], tokenizer: str | Cut = "words"
) -> Scores:
    """Word error rate; with `tokenizer="char"` the character error rate.

    The fewest insertions, deletions and substitutions that turn the reference into the candidate,
    over the reference's length (the Levenshtein distance, by `rapidfuzz`). One reference each; 0 is
    best, and it may exceed 1. An empty reference has rate 0 if the candidate is empty, else
    infinity. `score` is the errors of all examples over the words of all references: long ones
    count more.
    """
    check(candidates, [[reference] for reference in references])
    pairs = list(zip(tokenize(candidates, tokenizer), tokenize(references, tokenizer), strict=True))
    errors = np.array([Levenshtein.distance(*pair) for pair in pairs])
    words = np.array([len(reference) for _, reference in pairs])
    rate = np.divide(errors, words, out=np.where(errors > 0, np.inf, 0.0), where=words > 0)
    total = errors.sum() / words.sum() if words.any() else rate.max()
    return Scores(float(total), torch.from_numpy(rate))


def meteor_lite(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenizer: str | Cut = "words",
) -> Scores:
    """The idea of METEOR (Banerjee and Lavie 2005) and no more: not comparable to its scores.

    Words are matched one to one where they are equal; the real METEOR goes on to stems, synonyms
    and paraphrases, with tuned weights. With m matches, P = m / candidate length, R = m /
    reference length: F = 10 P R / (R + 9 P). The matched words form chunks, runs that stand in the
    same order and side by side in both; score = F (1 - (chunks / m)^3 / 2). The best reference
    counts. A word that occurs more than once is matched first to first, second to second.
    """
    read = corpus(candidates, references, tokenizer)
    pair = _pairs(read)
    matches, chunks = _aligned(pair.candidate, pair.reference)
    precision = matches / np.maximum(pair.candidate_length, 1)
    recall = matches / np.maximum(pair.reference_length, 1)
    penalty = 0.5 * (chunks / np.maximum(matches, 1)) ** 3
    score = _largest(_f(precision, recall, beta=3.0) * (1 - penalty), read)
    return Scores.mean(score)


def lcs(candidate: IntArray, reference: IntArray) -> IntArray:
    """Length of the longest common subsequence of each pair, (B,).

    `candidate` (B, C) and `reference` (B, R) ids; after an end stand numbers that equal nothing.
    """
    length = np.zeros((len(reference), reference.shape[1] + 1), dtype=np.int64)
    for word in candidate.T:  # [B]
        grown = length.copy()
        longer = length[:, :-1] + (word[:, None] == reference)
        np.maximum(grown[:, 1:], longer, out=grown[:, 1:])
        length = np.maximum.accumulate(grown, axis=1)
    return length[:, -1]


class _Pairs(NamedTuple):
    """Each reference (M, R) beside its candidate (M, C), as ids, and the lengths (M,) of both."""

    candidate: IntArray
    reference: IntArray
    candidate_length: IntArray
    reference_length: IntArray


def _pairs(read: Corpus) -> _Pairs:
    first, last = read.references
    candidate = read.sentences.padded(0, first, ENDED)[read.owner]
    reference = read.sentences.padded(first, last, ABSENT)
    length = read.sentences.length
    return _Pairs(candidate, reference, length[:first][read.owner], length[first:last])


def _f(precision: np.ndarray, recall: np.ndarray, beta: float) -> np.ndarray:
    """(1 + beta^2) P R / (R + beta^2 P), and 0 where both are 0."""
    below = recall + beta**2 * precision
    above = (1 + beta**2) * precision * recall
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _largest(values: np.ndarray, read: Corpus) -> np.ndarray:
    """The largest value (N,) among each candidate's references, from (M,)."""
    return np.maximum.reduceat(values, np.searchsorted(read.owner, np.arange(read.candidates)))


def _aligned(candidate: IntArray, reference: IntArray) -> tuple[IntArray, IntArray]:
    """Matches and chunks (B,) when the k-th of a word is matched with the k-th of the same word."""
    same = (candidate[:, :, None] == reference[:, None, :]) & (
        _occurrence(candidate)[:, :, None] == _occurrence(reference)[:, None, :]
    )  # [B, C, R], at most one in each row and column
    goes_on = same[:, 1:, 1:] & same[:, :-1, :-1]
    matches = same.sum(axis=(1, 2))
    return matches, matches - goes_on.sum(axis=(1, 2))


def _occurrence(ids: IntArray) -> IntArray:
    """(B, L) how many equal ids stand before each in its row."""
    before = np.tri(ids.shape[1], k=-1, dtype=bool)
    return ((ids[:, :, None] == ids[:, None, :]) & before).sum(axis=2)
