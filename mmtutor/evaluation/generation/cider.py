"""CIDEr and CIDEr-D: how much a caption says what people agree on and rarely say elsewhere.

Knows n-gram counts and how to weigh them. Does not know where captions come from.
Source: Vedantam, Zitnick and Parikh (2015), CIDEr: Consensus-based image description evaluation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from math import exp, hypot, log
from typing import NamedTuple

import numpy as np

from mmtutor.evaluation.generation.ngrams import (
    Corpus,
    Grams,
    IntArray,
    corpus,
    ngram_counts,
    ngrams,
)
from mmtutor.evaluation.generation.text import Cut, Scores, check, tokenize

SCALE = 10.0
ORDERS = 4  # 1-grams to 4-grams


class _Counted(NamedTuple):
    """Whose n-grams are counted: the sentences from `first` on, `owner` (C,) their images."""

    first: int
    owner: IntArray
    images: int


def cider_d(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenizer: str | Cut = "words",
    sigma: float = 6.0,
    background: Sequence[Sequence[str]] | None = None,
) -> Scores:
    """CIDEr-D, the variant that everyone reports under the name CIDEr (section 7 of the paper).

    For each order n, a sentence is a vector of its n-grams' counts times log(I / d): I images, of
    which d have the n-gram in some reference. The score is the cosine of candidate and reference,
    with candidate weights clipped to the reference's, times exp(-(difference in length)^2 /
    2 sigma^2); averaged over references and orders, times 10.

    The images whose references are counted are those scored, or the lists of `background`. With
    one image log(1 / 1) = 0, and every score is 0. A candidate without a word scores 0.

    Raises TypeError and ValueError as `text.check` and `tokenize` do.
    """
    return _score(candidates, references, tokenizer, sigma, background)


def plain_cider_d(
    candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str | Cut = "words"
) -> Scores:
    """CIDEr-D as it is defined, n-gram by n-gram; `cider_d` gives the same, many times faster."""
    check(candidates, references)
    ours = tokenize(candidates, tokenizer)
    theirs = [tokenize(some, tokenizer) for some in references]
    scores = np.zeros(len(ours))
    for n in range(1, ORDERS + 1):
        having = Counter[tuple[str, ...]]()  # in the references of how many images
        for some in theirs:
            having.update(set().union(*(ngram_counts(reference, n) for reference in some)))
        for i, (candidate, some) in enumerate(zip(ours, theirs, strict=True)):
            mine = _weights(ngram_counts(candidate, n), having, len(ours))
            for reference in some:
                other = _weights(ngram_counts(reference, n), having, len(ours))
                dot = sum(min(mine[g], other[g]) * other[g] for g in mine.keys() & other.keys())
                norms = hypot(*mine.values()) * hypot(*other.values())
                penalty = exp(-((len(candidate) - len(reference)) ** 2) / (2 * 6**2))
                scores[i] += penalty * dot / norms / len(some) if norms else 0
    return Scores.mean(SCALE * scores / ORDERS)


def _weights(counts: Counter, having: Counter, images: int) -> dict[tuple[str, ...], float]:
    """The TF-IDF weight of each n-gram of a sentence."""
    return {gram: count * log(images / max(having[gram], 1)) for gram, count in counts.items()}


def cider(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenizer: str | Cut = "words",
    background: Sequence[Sequence[str]] | None = None,
) -> Scores:
    """CIDEr as first defined (section 3): no clipping, no penalty, so easy to game by repetition.

    Times 10 like `cider_d`. The paper stems words first; give such a `tokenizer` if you want that.
    """
    return _score(candidates, references, tokenizer, None, background)


def _score(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenizer: str | Cut,
    sigma: float | None,
    background: Sequence[Sequence[str]] | None,
) -> Scores:
    more = list(chain.from_iterable(background or ()))
    read = corpus(candidates, references, tokenizer, more)
    counted = _Counted(read.candidates, read.owner, read.candidates)
    if background is not None:
        owner = np.repeat(np.arange(len(background)), [len(some) for some in background])
        counted = _Counted(read.references[1], owner, len(background))
    total = np.zeros(len(read.owner))
    for similarity in _similarities(read, counted, clip=sigma is not None):
        total += similarity
    if sigma is not None:
        total *= _length_penalty(read, sigma)
    per_image = np.bincount(read.owner, total, minlength=read.candidates)
    per_image *= SCALE / (ORDERS * np.bincount(read.owner, minlength=read.candidates))
    return Scores.mean(per_image)


def _similarities(read: Corpus, counted: _Counted, clip: bool) -> Iterator[np.ndarray]:
    """Cosine of each reference with its candidate, (M,), for one order after the other."""
    first, last = read.references
    for grams in ngrams(read.sentences, ORDERS):
        idf = _idf(grams, counted)
        ours, theirs = grams.part(0, first), grams.part(first, last)
        weight, norm = _weighted(ours, idf)
        other, other_norm = _weighted(theirs, idf)
        place = ours.look_up(read.owner[theirs.row], theirs.gram)
        shared = place >= 0
        mine, other = weight[place[shared]], other[shared]
        product = other * (np.minimum(mine, other) if clip else mine)
        dot = np.bincount(theirs.row[shared], product, minlength=len(read.owner))
        norms = norm[read.owner] * other_norm
        yield np.divide(dot, norms, out=np.zeros(len(dot)), where=norms > 0)


def _idf(grams: Grams, counted: _Counted) -> np.ndarray:
    """log(I / d) of every n-gram, (size,); one that no reference has counts as if one had."""
    row, gram, *_ = grams.part(counted.first, counted.first + len(counted.owner))
    pairs = np.sort(gram * counted.images + counted.owner[row])
    new = np.append(True, pairs[1:] != pairs[:-1])[: len(pairs)]  # an image counts once
    having = np.bincount(pairs[new] // counted.images, minlength=grams.size)
    return np.log(counted.images) - np.log(np.maximum(having, 1))


def _weighted(grams: Grams, idf: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Weight of every entry (E,), and the norm of every sentence's vector (S,)."""
    weight = grams.count * idf[grams.gram]
    return weight, np.sqrt(np.bincount(grams.row, weight**2, minlength=grams.sentences))


def _length_penalty(read: Corpus, sigma: float) -> np.ndarray:
    """(M,) from lengths in words; the authors' program counts 2-grams, one fewer on both sides."""
    length = read.sentences.length
    first, last = read.references
    difference = length[:first][read.owner] - length[first:last]
    return np.exp(-(difference**2) / (2 * sigma**2))
