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
from zlib import crc32

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from mmtutor.data.dataset import Compose as Compose
from mmtutor.data.dataset import Example
from mmtutor.data.tokenizer import SubwordTokenizer, WordTokenizer

CAPTIONS = ("caption", "caption_zh")
MIRRORED = {"left": "right", "right": "left", "左": "右", "右": "左"}
SIDE = re.compile(r"\b(?:left|right)\b|[左右]", re.IGNORECASE)

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
    """Add `tokens` (L,) int64: the ids of the text in `field`."""

    def __init__(self, tokenizer: WordTokenizer | SubwordTokenizer, field: str = "caption") -> None:
        self.tokenizer = tokenizer
        self.field = field

    def __call__(self, example: Example) -> Example:
        return {
            **example,
            "tokens": torch.tensor(self.tokenizer.encode(_text(example, self.field))),
        }


class ImageTransform:
    """Apply a transform of `torchvision.transforms.v2` to the picture.

    torchvision draws from torch's own random numbers. Here it is lent a stream that begins at
    `seed`, so that nothing else changes what is drawn, and nothing is used up. Masks and positions
    are not moved. Errors are the transform's own.
    """

    def __init__(self, transform: Callable[[Tensor], Tensor], seed: int = 0) -> None:
        self.transform = transform
        self._random = _Stream(repr(transform), seed)

    def __call__(self, example: Example) -> Example:
        if "image" not in example:
            raise KeyError(f"the example has no 'image'; it has {', '.join(example)}")
        with torch.random.fork_rng([]):
            torch.default_generator.manual_seed(self._random.below(2**62))
            return {**example, "image": self.transform(example["image"])}


class RandomFlip:
    """Mirror the picture (and `masks`) left to right with probability p.

    A mirrored picture makes a caption with "left" or "right" (左, 右) false. So such an example is
    left as it is, or, with `swap_words`, the words are exchanged in `captions`, as many as the
    example has. Positions, relations and scene ids in other columns are not changed: do not train
    on them after a flip. Raises ValueError after `Tokenize`, whose tokens would keep the old words.
    """

    def __init__(
        self,
        p: float = 0.5,
        swap_words: bool = False,
        captions: Sequence[str] = CAPTIONS,
        seed: int = 0,
    ) -> None:
        self.p, self.swap_words, self.captions = _probability(p), swap_words, captions
        self._random = _Stream("RandomFlip", seed)

    def __call__(self, example: Example) -> Example:
        if "tokens" in example:
            raise ValueError("RandomFlip must come before Tokenize: the tokens keep left and right")
        if self._random.uniform() >= self.p:
            return example
        texts = {key: example[key] for key in self.captions if key in example}
        sided = any(SIDE.search(text) for text in texts.values())
        if sided and not self.swap_words:
            return example
        pictures = {key: example[key].flip(-1) for key in ("image", "masks") if key in example}
        return {**example, **{key: _mirror(text) for key, text in texts.items()}, **pictures}


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
        self.table, self.p, self.field = table, _probability(p), field
        self._random = _Stream("SynonymReplacement", seed)

    def __call__(self, example: Example) -> Example:
        text = _text(example, self.field)
        return {**example, self.field: re.sub(r"[^\W\d_]+", self._replace, text)}

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
        self.p, self.field = _probability(p), field
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
        if seed < 0:
            raise ValueError(f"{owner} got seed={seed}: expected 0 or more")
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
    if field not in example:
        raise KeyError(f"the example has no text {field!r}; it has {', '.join(example)}")
    return example[field]


def _mirror(text: str) -> str:
    """The text with left and right exchanged; a capital first letter is kept."""

    def swap(match: re.Match[str]) -> str:
        word = MIRRORED[match[0].lower()]
        return word.capitalize() if match[0][0].isupper() else word

    return SIDE.sub(swap, text)


def _probability(p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"got {p}: expected a number in [0, 1]")
    return p
