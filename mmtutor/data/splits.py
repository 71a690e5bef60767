"""Which examples belong together, and folds that never part them.

Knows equal captions, near-duplicate pictures, and how to deal groups into folds.
Does not know any particular data set.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from numbers import Integral

import numpy as np

from mmtutor import checks
from mmtutor.data.tokenizer import MARK

ARTICLES = {"a", "an", "the"}
HASH_SIDE = 16
BLOCK = 2_000  # images compared with all others at once
WORD = re.compile(rf"[^\W_]+(?:{MARK}+[^\W_]*)*")


def normalised(caption: str) -> str:
    """A caption without case, punctuation, articles and extra spaces; equal ones are one caption.

    >>> normalised("The  Red-apple!")
    'red apple'
    """
    checks.instance(str, caption=caption)
    folded = unicodedata.normalize("NFKC", caption).casefold()
    words = WORD.findall(folded.replace("'", "").replace("’", ""))
    return " ".join([word for word in words if word not in ARTICLES] or words)


def _perceptual_hash(images: np.ndarray) -> np.ndarray:
    """Small grey thumbnails with mean 0 and length 1, so that a dot product is a correlation.

    Args:
        images: uint8 [N, 3, S, S], S a multiple of 16.

    Returns:
        float32 [N, 256]. A picture of one colour gives zeros.
    """
    images = np.asarray(images)
    count, side = len(images) if images.ndim else 0, images.shape[-1] if images.ndim else 0
    if images.dtype != np.uint8 or images.shape != (count, 3, side, side) or side % HASH_SIDE:
        found = f"{images.dtype} of shape {images.shape}"
        raise ValueError(f"images must be uint8 (N, 3, S, S), S a multiple of 16, got {found}")
    block = side // HASH_SIDE
    grey = np.empty((count, HASH_SIDE, HASH_SIDE), np.float32)
    for index, image in enumerate(images):
        blocks = image.reshape(3, HASH_SIDE, block, HASH_SIDE, block)
        grey[index] = blocks.mean(axis=(0, 2, 4), dtype=np.float32)
    flat = grey.reshape(count, -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def near_duplicate_pairs(images: np.ndarray, threshold: float = 0.96) -> np.ndarray:
    """Pairs of pictures whose thumbnails correlate above `threshold`, also after a left-right flip.

    Args:
        images: uint8 [N, 3, S, S], S a multiple of 16.

    Returns:
        int64 [P, 2], each pair (i, j) with i < j.

    Raises ValueError for other pictures, or a `threshold` outside [-1, 1].
    """
    checks.within("[-1, 1]", threshold=threshold)
    hashes = _perceptual_hash(images)
    flipped = hashes.reshape(-1, HASH_SIDE, HASH_SIDE)[:, :, ::-1].reshape(hashes.shape)
    found = [np.empty((0, 2), np.int64)]
    for start in range(0, len(hashes), BLOCK):  # all pairs at once would not fit into memory
        rows, later = hashes[start : start + BLOCK], slice(start, None)
        alike = np.maximum(rows @ hashes[later].T, rows @ flipped[later].T)
        found.append(np.argwhere(np.triu(alike > threshold, k=1)) + start)
    return np.concatenate(found)


def group_of(captions: list[str], images: np.ndarray) -> list[int]:
    """Groups 0, 1, … that equal normalised captions and near-duplicate pictures share.

    Args:
        captions: N captions.
        images: uint8 [N, 3, S, S].
    """
    captions = checks.listed(str, captions=captions)
    checks.same_length(captions=captions, images=images)
    parent = list(range(len(captions)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    first: dict[str, int] = {}
    same_caption = [(first.setdefault(normalised(text), i), i) for i, text in enumerate(captions)]
    for one, other in [*same_caption, *near_duplicate_pairs(images).tolist()]:
        parent[root(other)] = root(one)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(root(index), len(numbers)) for index in range(len(captions))]


def fold_of(groups: list[int], names: list[str], folds: int = 5, seed: int = 0) -> np.ndarray:
    """The fold of every example, int64 [N]: whole groups, and folds of nearly equal size.

    Large groups are placed first, each into the smallest fold so far. Groups of one size are taken
    in the order of a hash of `seed` and their first name: the same on every machine, whatever the
    order of the examples.

    Raises:
        ValueError: for fewer than 2 folds, or fewer groups than folds.
    """
    groups = checks.listed(Integral, groups=groups)
    checks.same_length(groups=groups, names=checks.listed(str, names=names))
    checks.at_least(2, folds=folds)
    sizes = Counter(groups)
    if folds > len(sizes):
        raise ValueError(f"folds must be at most {len(sizes)}, the number of groups, got {folds}")
    first: dict[int, str] = {}
    for group, name in zip(groups, names, strict=True):
        first[group] = min(name, first.get(group, name))

    def turn(group: int) -> tuple[int, str]:
        return -sizes[group], hashlib.sha256(f"{seed}/{first[group]}".encode()).hexdigest()

    filled, chosen = [0] * folds, {}
    for group in sorted(sizes, key=turn):
        chosen[group] = filled.index(min(filled))
        filled[chosen[group]] += sizes[group]
    return np.array([chosen[group] for group in groups])
