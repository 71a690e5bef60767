"""Random sentences to try two programs of one metric on, hard cases among them.

Knows words, signs and scripts that programs disagree on; knows no metric.
"""

from __future__ import annotations

import random
from typing import NamedTuple

HARD = """
a a a red red small circle circle left of of the blue square is dog on the grass don't
well-known café naïve U.S. e.g., 3.5 1,000 (big) x-y 5- ... & &amp; A RED
一个 红色 的 圆形 在 画面 左上角。 ，后者 🙂 é “big” – 10-20 C++ _ a_b 'tis
"""
WORDS = HARD.split()
LONGEST = 12


class Examples(NamedTuple):
    """Candidates, and for each a list of references."""

    candidates: list[str]
    references: list[list[str]]


def random_examples(n: int, seed: int = 0) -> Examples:
    """n candidates with 1 to 5 references each; words are set apart by single spaces.

    Most candidates are a reference with some words changed, left out or said twice. Some are empty,
    of one word, equal to a reference, or have nothing to do with it; some references come twice.
    """
    draw = random.Random(seed)
    references = [_references(draw) for _ in range(n)]
    return Examples([_candidate(draw, some) for some in references], references)


def _sentence(draw: random.Random, shortest: int = 1) -> list[str]:
    return draw.choices(WORDS, k=draw.randint(shortest, LONGEST))


def _references(draw: random.Random) -> list[str]:
    first = _sentence(draw)
    texts = [" ".join(first)]
    for _ in range(draw.randrange(5)):
        fresh, again = draw.random() < 0.3, draw.random() < 0.1
        words = _sentence(draw) if fresh else first if again else _changed(draw, first)
        texts.append(" ".join(words))
    return texts


def _candidate(draw: random.Random, references: list[str]) -> str:
    kind = draw.random()
    if kind < 0.05:
        return ""
    if kind < 0.12:
        return draw.choice(WORDS)
    if kind < 0.2:
        return draw.choice(references)
    if kind < 0.3:
        return " ".join(_sentence(draw))
    return " ".join(_changed(draw, draw.choice(references).split()))


def _changed(draw: random.Random, words: list[str]) -> list[str]:
    """At least one word, each kept, left out, said twice or replaced."""
    changed = []
    for word in words:
        kind = draw.random()
        changed += [word] if kind < 0.7 else [] if kind < 0.8 else [word] * 2 if kind < 0.87 else []
        changed += [draw.choice(WORDS)] if kind >= 0.87 else []
    return changed or [draw.choice(WORDS)]
