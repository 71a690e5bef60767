"""Counting n-grams: of one sentence with a `Counter`, or of many sentences at once.

Knows sentences, n-grams and how often each occurs where. Does not know what is scored with them.
At once means: numbers for words, and sorting in place of dictionaries. NumPy, because its sort of
whole numbers is several times faster than torch's.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np

from mmtutor.evaluation.generation.text import Cut, check, tokenize

IntArray = np.ndarray  # of int64


def ngram_counts(tokens: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    """How often a sentence has each of its n-grams."""
    return Counter(zip(*(tokens[i:] for i in range(n)), strict=False))


class Sentences(NamedTuple):
    """S sentences of T tokens together, one after the other.

    Attributes:
        ids: (T,) the number of each word, in order of first sight.
        row: (T,) which sentence a token belongs to.
        length: (S,) tokens of each sentence.
        vocabulary: how many different words there are.
    """

    ids: IntArray
    row: IntArray
    length: IntArray
    vocabulary: int

    def padded(self, first: int, last: int, fill: int) -> IntArray:
        """Sentences `first` to `last` as rows (last - first, longest), `fill` after their end."""
        length = self.length[first:last]
        inside = np.arange(length.max(initial=0)) < length[:, None]
        rows = np.full(inside.shape, fill, dtype=np.int64)
        begin = self.length[:first].sum()
        rows[inside] = self.ids[begin : begin + length.sum()]
        return rows


class Grams(NamedTuple):
    """The n-grams of one order: an entry for each different n-gram of each sentence.

    Attributes:
        row: (E,) the sentence, ascending.
        gram: (E,) the n-gram's number in [0, size), ascending within a sentence.
        count: (E,) how often the sentence has it.
        size: how many different n-grams all sentences have.
        sentences: how many sentences there are, those too short for an entry included.
    """

    row: IntArray
    gram: IntArray
    count: IntArray
    size: int
    sentences: int

    def part(self, first: int, last: int) -> Grams:
        """The entries of sentences `first` to `last`, which are numbered from 0 again."""
        begin, end = np.searchsorted(self.row, (first, last))
        entries = slice(begin, end)
        count = self.count[entries]
        return Grams(self.row[entries] - first, self.gram[entries], count, self.size, last - first)

    def look_up(self, row: IntArray, gram: IntArray) -> IntArray:
        """Where the entries of these sentences and n-grams stand here, (M,); -1 for none."""
        have, want = self.row * self.size + self.gram, row * self.size + gram
        place = np.searchsorted(have, want)
        place[place == len(have)] = -1
        found = have[place] == want if len(have) else np.zeros(len(want), dtype=bool)
        return np.where(found, place, -1)


class Corpus(NamedTuple):
    """N candidates and their M references as sentences 0..N-1 and N..N+M-1, and perhaps more.

    Attributes:
        sentences: all of them.
        owner: (M,) which candidate a reference belongs to, ascending.
        candidates: N.
    """

    sentences: Sentences
    owner: IntArray
    candidates: int

    @property
    def references(self) -> tuple[int, int]:
        """First and last (exclusive) sentence that is a reference."""
        return self.candidates, self.candidates + len(self.owner)


def corpus(
    candidates: Sequence[str],
    references: Sequence[Sequence[str]],
    tokenizer: str | Cut = "words",
    more: Sequence[str] = (),
) -> Corpus:
    """Read candidates and their references, and `more` sentences after them.

    Raises TypeError and ValueError as `text.check` and `tokenize` do.
    """
    check(candidates, references)
    owner = np.repeat(np.arange(len(references)), [len(some) for some in references])
    texts = [*candidates, *chain.from_iterable(references), *more]
    return Corpus(_number(tokenize(texts, tokenizer)), owner, len(candidates))


def _number(tokens: Sequence[Sequence[str]]) -> Sentences:
    """Numbers for words, equal where words are."""
    numbers: defaultdict[str, int] = defaultdict()
    numbers.default_factory = numbers.__len__
    length = np.fromiter(map(len, tokens), np.int64, len(tokens))
    found = map(numbers.__getitem__, chain.from_iterable(tokens))
    ids = np.fromiter(found, np.int64, length.sum())
    return Sentences(ids, np.repeat(np.arange(len(tokens)), length), length, len(numbers))


def ngrams(sentences: Sentences, orders: int) -> Iterator[Grams]:
    """Counts of 1-grams, 2-grams, ... up to `orders`.

    An n-gram's number comes from the number of its first n - 1 words and that of its last, so
    that no key outgrows 64 bits, however long the n-grams are.
    """
    ids, row, length, vocabulary = sentences
    to_end = np.repeat(length.cumsum(), length) - np.arange(len(ids))  # tokens left, own included
    start, gram, size = np.arange(len(ids)), ids, vocabulary
    for n in range(1, orders + 1):
        if n > 1:
            enough = to_end[start] >= n
            start = start[enough]
            key = gram[enough] * vocabulary + ids[start + n - 1]
            values, gram = np.unique(key, return_inverse=True)
            size = len(values)
        entry, count = np.unique(row[start] * max(size, 1) + gram, return_counts=True)
        yield Grams(*np.divmod(entry, max(size, 1)), count, max(size, 1), len(length))


def distinct(candidates: Sequence[str], n: int, tokenizer: str | Cut = "words") -> float:
    """distinct-n: different n-grams of all candidates over all their n-grams; 0 if there is none.

    Low where a model says the same thing again and again, within a sentence or from one to the
    next. It falls with the amount of text, so compare it at equal amounts (Li et al. 2016).
    """
    grams = Counter[tuple[str, ...]]()
    for tokens in tokenize(candidates, tokenizer):
        grams += ngram_counts(tokens, n)
    return len(grams) / grams.total() if grams else 0.0
