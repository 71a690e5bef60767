"""Augmentation: callables that take an example dict and return a changed copy.

Knows uint8 pictures (3, H, W) and caption strings. Does not know datasets, batches or models.
Use with `dataset.with_transform(Compose([...]))`, with `Tokenize` last.

Each random transform has its own seeded stream that moves on with every call. In a DataLoader's
worker process the stream also takes the worker's seed, which the loader draws anew each epoch;
without it, all workers and all epochs would repeat one another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from mmtutor import checks
from mmtutor.data.dataset import Compose as Compose
from mmtutor.data.dataset import Example
from mmtutor.data.tokenizer import MARK, SubwordTokenizer, WordTokenizer

MIRRORED = {"left": "right", "right": "left", "左": "右", "右": "左"}
# left, topLeft, upper-left, leftmost, left-handed, leftwards, top_left; not leftover or bright
SIDE = re.compile(
    r"(?<![^\W\d_])(?P<before>top|bottom|upper|lower|front|rear|back|mid|middle|cent(?:er|re))?"
    r"(?P<side>left|right)"
    r"(?=(?:most|hand(?:ed|ers?)?|wards?|side|y|ies?)?(?![^\W\d_]))|(?P<han>[左右])",
    re.IGNORECASE,
)
WORD = re.compile(rf"[^\W\d_]+(?:{MARK}+[^\W\d_]*)*")

# Words of the `shapes` captions, and words that mean the same there.
SHAPES_SYNONYMS: dict[str, tuple[str, ...]] = {
    "small": ("little", "tiny"),
    "large": ("big",),
    "circle": ("disc",),
    "ring": ("hoop",),
    "purple": ("violet",),
    "over": ("above",),
    "above": ("over",),
    "under": ("below", "beneath"),
    "below": ("under", "beneath"),
}


class Tokenize:
    """Add `tokens` (L,) int64: the ids of the text in `field`.

    `tokenizer` is anything with their `encode`; what it raises is raised.
    """

    def __init__(self, tokenizer: WordTokenizer | SubwordTokenizer, field: str = "caption") -> None:
        if isinstance(tokenizer, str) or not callable(getattr(tokenizer, "encode", None)):
            raise TypeError(f"tokenizer must be a tokenizer, got {tokenizer!r}")
        checks.instance(str, field=field)
        self.tokenizer = tokenizer
        self.field = field

    def __call__(self, example: Example) -> Example:
        text = _text(example, self.field)
        return {**example, "tokens": torch.tensor(self.tokenizer.encode(text))}


class ImageTransform:
    """Apply a transform of `torchvision.transforms.v2` to the picture.

    torchvision draws from torch's own random numbers. Here it is lent a stream that begins at
    `seed`, so that nothing else changes what is drawn, and nothing is used up. Masks and positions
    are not moved. Errors are the transform's own.
    """

    def __init__(self, transform: Callable[[Tensor], Tensor], seed: int = 0) -> None:
        checks.instance(Callable, transform=transform)
        self.transform = transform
        self._random = _Stream(repr(transform), seed)

    def __call__(self, example: Example) -> Example:
        _has("image", example)
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(self._random.below(2**62))
            return {**example, "image": self.transform(example["image"])}


class RandomFlip:
    """Mirror the picture (and `masks`) left to right with probability p.

    A mirrored picture makes a text with a side in it false: left, right and words that are made of
    them, such as leftmost, right-handed or top_left, and 左, 右. So an example with one, in any
    column of strings (or of lists or dicts of strings), is left as it is. With `swap_words` the
    words are exchanged in `captions` (None: in all these columns); where another column has a side,
    the example is still left as it is. Other languages are not known. Positions, relations and
    scene ids in other columns are not changed: do not train on them after a flip. Raises ValueError
    after `Tokenize`, whose tokens would keep the old words.
    """

    def __init__(
        self,
        p: float = 0.5,
        swap_words: bool = False,
        captions: Sequence[str] | None = None,
        seed: int = 0,
    ) -> None:
        checks.within("[0, 1]", p=p)
        self.p, self.swap_words = p, swap_words
        self.captions = None if captions is None else checks.listed(str, captions=captions)
        self._random = _Stream("RandomFlip", seed)

    def __call__(self, example: Example) -> Example:
        _has("image", example)
        if "tokens" in example:
            raise ValueError("RandomFlip must come before Tokenize: an example's tokens keep sides")
        if self._random.uniform() >= self.p:
            return example
        mirrored = {key: _mirror(value) for key, value in example.items()}
        sided = {key for key, text in mirrored.items() if text is not example[key]}
        kept = () if not self.swap_words else sided if self.captions is None else self.captions
        if not sided.issubset(kept):
            return example
        pictures = {key: example[key].flip(-1) for key in ("image", "masks") if key in example}
        return {**mirrored, **pictures}


class SynonymReplacement:
    """Replace each word that `table` knows, with probability p, by one of its synonyms.

    Words are runs of letters, looked up in lower case; all else in the caption stays as it is. Fit
    the tokenizer on the synonyms too, or they come out as unknown.
    """

    def __init__(
        self,
        table: Mapping[str, Sequence[str]] = SHAPES_SYNONYMS,
        p: float = 0.3,
        field: str = "caption",
        seed: int = 0,
    ) -> None:
        checks.instance(Mapping, table=table)
        checks.within("[0, 1]", p=p)
        checks.instance(str, field=field)
        checks.listed(str, table=list(table))
        self.table = {w.lower(): checks.listed(str, table=table[w]) for w in table}
        self.p, self.field = p, field
        self._random = _Stream("SynonymReplacement", seed)

    def __call__(self, example: Example) -> Example:
        text = _text(example, self.field)
        return {**example, self.field: WORD.sub(self._replace, text)}

    def _replace(self, match: re.Match[str]) -> str:
        synonyms = self.table.get(match[0].lower())
        if not synonyms or self._random.uniform() >= self.p:
            return match[0]
        return synonyms[self._random.below(len(synonyms))]


class WordDropout:
    """Drop each word with probability p, but never all of them: one at random then stays.

    Words are what white space parts, so a Chinese sentence without spaces is one word and stays
    whole.
    """

    def __init__(self, p: float = 0.1, field: str = "caption", seed: int = 0) -> None:
        checks.within("[0, 1]", p=p)
        checks.instance(str, field=field)
        self.p, self.field = p, field
        self._random = _Stream("WordDropout", seed)

    def __call__(self, example: Example) -> Example:
        words = _text(example, self.field).split()
        kept = [word for word in words if self._random.uniform() >= self.p]
        if words and not kept:
            kept = [words[self._random.below(len(words))]]
        return {**example, self.field: " ".join(kept)}


class _Stream:
    """Random numbers that depend on the owner's name and seed, and on the DataLoader worker if any.

    The name keeps two transforms of one seed from drawing the same numbers.
    """

    def __init__(self, owner: str, seed: int) -> None:
        checks.at_least(0, seed=seed)
        self._key = (crc32(owner.encode()), seed)
        self._worker_seed: int | None = None
        self._generator = np.random.default_rng(self._key)

    def uniform(self) -> float:
        """In [0, 1)."""
        return self._current().random()

    def below(self, bound: int) -> int:
        """In 0..bound-1."""
        return int(self._current().integers(bound))

    def _current(self) -> np.random.Generator:
        worker = get_worker_info()
        if worker is not None and worker.seed != self._worker_seed:
            self._worker_seed = worker.seed
            self._generator = np.random.default_rng((*self._key, worker.seed))
        return self._generator


def _text(example: Example, field: str) -> str:
    _has(field, example, "text ")
    checks.instance(str, **{f"example[{field!r}]": example[field]})
    return example[field]


def _has(key: str, example: Example, kind: str = "") -> None:
    checks.instance(Mapping, example=example)
    if key not in example:
        raise KeyError(f"the example has no {kind}{key!r}; it has {', '.join(example)}")


def _mirror(value: Any) -> Any:
    """A text with left and right exchanged, lists and dicts of them too; else the value itself."""
    if isinstance(value, str):
        mirrored = SIDE.sub(_other_side, value)
    elif isinstance(value, list | tuple):
        mirrored = type(value)([*map(_mirror, value)])
    elif isinstance(value, dict):
        mirrored = {key: _mirror(text) for key, text in value.items()}
    else:
        return value
    return value if mirrored == value else mirrored


def _other_side(match: re.Match[str]) -> str:
    """The match with left and right exchanged, in capitals as they were."""
    side = match["side"] or match["han"]
    other = MIRRORED[side.lower()]
    if side.isupper():
        other = other.upper()
    elif side[0].isupper():
        other = other.capitalize()
    return (match["before"] or "") + other
