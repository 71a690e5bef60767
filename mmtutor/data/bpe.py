"""Byte pair encoding in its simplest form, to read and to check a library against.

Knows how pairs are counted and merged (Sennrich et al. 2016) and how bytes are written as letters
(Radford et al. 2019). Too slow for more than a lesson: `SubwordTokenizer.fit` is the real thing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

from mmtutor import checks

Pair = tuple[str, str]


def learn_merges(words: Iterable[str], count: int) -> list[Pair]:
    """The first `count` merges of a corpus of words: each joins the most frequent adjacent pair.

    Of equally frequent pairs the one whose pieces came into the vocabulary first wins: characters
    in the order of their code, then merges in the order in which they were learned.
    """
    checks.at_least(0, count=count)
    corpus = {tuple(w): times for w, times in Counter(checks.listed(str, words=words)).items()}
    rank = {piece: i for i, piece in enumerate(sorted({c for word in corpus for c in word}))}
    merges: list[Pair] = []
    while len(merges) < count:
        pairs: Counter[Pair] = Counter()
        for pieces, times in corpus.items():
            for pair in pairwise(pieces):
                pairs[pair] += times
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], rank[pair[0]], rank[pair[1]]))
        merges.append(best)
        rank.setdefault("".join(best), len(rank))
        corpus = {tuple(_merge(pieces, best)): times for pieces, times in corpus.items()}
    return merges


def split_by(merges: Iterable[Pair], word: str) -> list[str]:
    """The pieces of a word: its characters, with every merge applied in the order learned."""
    checks.instance(str, word=word)
    pieces = list(word)
    for pair in checks.listed((tuple, list), merges=merges):
        if len(checks.listed(str, merges=pair)) != 2:
            raise ValueError(f"merges must be pairs of pieces, got {pair!r}")
        pieces = _merge(pieces, tuple(pair))
    return pieces


def _merge(pieces: Iterable[str], pair: Pair) -> list[str]:
    """Join each occurrence of `pair`, from left to right."""
    joined: list[str] = []
    for piece in pieces:
        # A piece joined just now cannot be the left half again: no pair equals its own left half.
        if joined and (joined[-1], piece) == pair:
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def _byte_letters() -> dict[int, str]:
    """One visible letter for each of the 256 bytes: itself if printable, else one from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    letters = {byte: chr(byte) for byte in printable}
    return letters | {byte: chr(256 + i) for i, byte in enumerate(others)}


def readable(piece: str) -> str:
    """A piece of a byte-level vocabulary as text; bytes that are no whole character as <E7>."""
    checks.instance(str, piece=piece)
    byte_of = {letter: byte for byte, letter in _byte_letters().items()}
    if not all(letter in byte_of for letter in piece):
        return piece  # a special token, or a piece of another kind of vocabulary
    text = bytes(byte_of[letter] for letter in piece).decode("utf-8", errors="surrogateescape")
    return "".join(f"<{ord(c) - 0xDC00:02X}>" if 0xDC80 <= ord(c) <= 0xDCFF else c for c in text)
