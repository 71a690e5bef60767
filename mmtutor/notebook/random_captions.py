"""Random sentences to try two programs of one metric on, hard cases among them.

Knows words, signs and scripts that programs disagree on; knows no metric.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from mmtutor import checks

HARD = """
a a a red red small circle circle left of of the blue square is dog on the grass don't
well-known café naïve U.S. e.g., 3.5 1,000 (big) x-y 5- ... & &amp; A RED
一个 红色 的 圆形 在 画面 左上角。 ，后者 🙂 é “big” – 10-20 C++ _ a_b 'tis
"""
WORDS = HARD.split()
LONGEST = 12


class _Examples(NamedTuple):
    """Candidates, and for each a list of references."""

    candidates: list[str]
    references: list[list[str]]


def random_examples(n: int, seed: int = 0) -> _Examples:
    """n candidates with 1 to 5 references each; words are set apart by single spaces.

    Most candidates are a reference with some words changed, left out or said twice. Some are empty,
    of one word, equal to a reference, or have nothing to do with it; some references come twice.
    """
    checks.at_least(1, n=n)
    checks.at_least(0, seed=seed)
    draw = random.Random(int(seed))
    references = [_references(draw) for _ in range(n)]
    return _Examples([_candidate(draw, some) for some in references], references)


def _sentence(draw: random.Random) -> list[str]:
    return draw.choices(WORDS, k=draw.randint(1, LONGEST))


def _references(draw: random.Random) -> list[str]:
    first = _sentence(draw)
    texts = [first]
    for _ in range(draw.randrange(5)):
        ways = (_changed(draw, first), _sentence(draw), first)
        texts += draw.choices(ways, (0.63, 0.3, 0.07))
    return [" ".join(words) for words in texts]


def _candidate(draw: random.Random, references: list[str]) -> str:
    one = draw.choice(references).split()
    ways = (_changed(draw, one), _sentence(draw), one, draw.choices(WORDS), [])
    return " ".join(draw.choices(ways, (0.7, 0.1, 0.08, 0.07, 0.05))[0])


def _changed(draw: random.Random, words: list[str]) -> list[str]:
    """At least one word, each kept, replaced, said twice or left out."""
    changed = []
    for word in words:
        ways = ([word], draw.choices(WORDS), [word, word], [])
        changed += draw.choices(ways, (0.7, 0.13, 0.07, 0.1))[0]
    return changed or draw.choices(WORDS)
