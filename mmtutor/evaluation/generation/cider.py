"""CIDEr and CIDEr-D: how much a caption says what people agree on and rarely say elsewhere.

Knows n-gram counts and how to weigh them. Does not know where captions come from.
Source: Vedantam, Zitnick and Parikh (2015), CIDEr: Consensus-based image description evaluation.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from math import exp, hypot, log

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import norm

from mmtutor import checks
from mmtutor.evaluation.generation.ngrams import _ngram_counts
from mmtutor.evaluation.generation.text import Cut, Scores, examples, lists_of_tokens

SCALE = 10.0
ORDERS = 4  # 1-grams to 4-grams


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

    Raises TypeError and ValueError as `text.examples` does.
    """
    checks.within("(0, inf)", sigma=sigma)
    return _score(candidates, references, tokenizer, sigma, background)


def plain_cider_d(
    candidates: Sequence[str], references: Sequence[Sequence[str]], tokenizer: str | Cut = "words"
) -> Scores:
    """CIDEr-D as it is defined, n-gram by n-gram; `cider_d` gives the same, many times faster."""
    pairs = examples(candidates, references, tokenizer)
    ours, theirs = [candidate for candidate, _ in pairs], [some for _, some in pairs]
    scores = np.zeros(len(ours))
    for n in range(1, ORDERS + 1):
        having = Counter[tuple[str, ...]]()  # in the references of how many images
        for some in theirs:
            having.update(set().union(*(_ngram_counts(reference, n) for reference in some)))
        for i, (candidate, some) in enumerate(zip(ours, theirs, strict=True)):
            mine = _weights(_ngram_counts(candidate, n), having, len(ours))
            for reference in some:
                other = _weights(_ngram_counts(reference, n), having, len(ours))
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
    pairs = examples(candidates, references, tokenizer)
    ours, theirs = [candidate for candidate, _ in pairs], [some for _, some in pairs]
    counted = theirs if background is None else lists_of_tokens(background, tokenizer, "background")
    sentences = [*ours, *chain(*theirs), *(() if background is None else chain(*counted))]
    owner = _owner(theirs)  # [M], M references
    first, last = len(ours), len(ours) + len(owner)
    bounds = np.cumsum([0, *map(len, counted)])
    total = np.zeros(len(owner))
    for counts in _ngrams(sentences, ORDERS):
        having = _images_having(counts[-bounds[-1] :], bounds)
        idf = np.log(len(counted)) - np.log(np.maximum(having, 1))
        entries = counts.data * idf[counts.indices], counts.indices, counts.indptr
        weights = csr_array(entries, counts.shape)
        mine, other = weights[:first][owner], weights[first:last]
        shared = mine if sigma is None else mine.minimum(other)
        lengths = norm(weights, axis=1)
        norms = lengths[owner] * lengths[first:last]
        dot = (shared * other).sum(axis=1)
        total += np.divide(dot, norms, out=np.zeros(len(dot)), where=norms > 0)
    if sigma is not None:
        length = np.array([len(sentence) for sentence in sentences])
        total *= np.exp(-((length[owner] - length[first:last]) ** 2) / (2 * sigma**2))
    return Scores.mean(SCALE / ORDERS * np.bincount(owner, total) / np.bincount(owner))


def _images_having(counts: csr_array, bounds: np.ndarray) -> np.ndarray:
    """In how many images each n-gram stands; image i has the rows bounds[i] to bounds[i + 1]."""
    entries, shape = (counts.data, counts.indices, counts.indptr[bounds]), counts.shape[1]
    images = csr_array(entries, (len(bounds) - 1, shape), copy=True)
    images.sum_duplicates()  # an image counts once
    return np.bincount(images.indices, minlength=shape)


def _owner(lists: Sequence[Sequence]) -> np.ndarray:
    """Of each element of all lists, which list it stands in."""
    return np.repeat(np.arange(len(lists)), [len(some) for some in lists])


def _ngrams(sentences: Sequence[Sequence[str]], orders: int) -> Iterator[csr_array]:
    """How often each of S sentences has each n-gram, (S, n-grams), for one order after the other.

    An n-gram's number comes from the number of its first n - 1 words and that of its last, so
    that no key outgrows 64 bits, however long the n-grams are.
    """
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    row = _owner(sentences)  # [T], T words
    ids = np.fromiter(map(numbers.__getitem__, chain(*sentences)), np.int64, len(row))
    start, gram, size = np.arange(len(row)), ids, len(numbers)
    for n in range(1, orders + 1):
        if n > 1:
            whole = start + n - 1 < len(row)
            whole[whole] = row[start[whole]] == row[start[whole] + n - 1]
            start, before = start[whole], gram[whole]
            kind = np.int32 if size * len(numbers) < 2**31 else np.int64  # the smaller sorts faster
            key = (before * len(numbers) + ids[start + n - 1]).astype(kind)
            key, gram = np.unique(key, return_inverse=True)
            size = len(key)
        shape = len(sentences), max(size, 1)
        yield csr_array((np.ones(len(gram)), (row[start], gram)), shape)  # equal entries add up
