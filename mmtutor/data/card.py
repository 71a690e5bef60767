"""The quality of a data set as numbers: coverage, duplicates, contradictions, leaks.

Knows how to count in the columns of a `Dataset`. Does not know any particular data set, and cannot
know whether a label is true: only that two examples contradict each other.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.data.dataset import Column, Dataset
from mmtutor.data.splits import HASH_SIDE, near_duplicate_pairs

SIDE = 2 * HASH_SIDE  # to which images are brought that `near_duplicate_pairs` does not take
ABSENT = ("", -1, None)


class _Card(NamedTuple):
    """What `card` counted.

    Attributes:
        examples: how many there are.
        values: how often each value occurs, for each of the columns `count`.
        repeated: examples whose inputs an earlier one has too.
        near: examples with an image that is nearly one of an earlier example.
        contradicted: examples whose inputs another has too, with another target.
        leaked, near_leaked: examples of `held_out` whose inputs, or nearly whose image, are in the
            data set.

    None where it was not asked for.
    """

    examples: int
    values: dict[str, Counter]
    repeated: int
    near: int | None
    contradicted: int | None
    leaked: int | None
    near_leaked: int | None


def card(
    dataset: Dataset,
    inputs: Sequence[str],
    *,
    target: str | None = None,
    count: Sequence[str] = (),
    held_out: Dataset | None = None,
    near: str | None = None,
    threshold: float = 0.96,
) -> _Card:
    """Measure a data set of N examples.

    Args:
        inputs: the columns that a model is given. Two examples repeat each other where all of these
            are equal, byte for byte.
        target: the column that a model is to predict.
        count: columns whose values are counted. Of a tensor each number counts, of a list each
            entry, of a dict each key; "", -1 and None stand for an absent value and do not.
        held_out: another split, with the same columns.
        near: the column of images uint8 (3, H, W) among which near duplicates are sought.
        threshold: how high the thumbnails of near duplicates correlate; see `near_duplicate_pairs`.

    Raises:
        KeyError: a column is not there; names those that are.
        TypeError, ValueError: no example, no input, or images of several sizes.
    """
    checks.instance(Dataset, dataset=dataset)
    checks.instance((Dataset, type(None)), held_out=held_out)
    checks.instance((str, type(None)), target=target, near=near)
    inputs, count = checks.listed(str, inputs=inputs), checks.listed(str, count=count)
    checks.same_length(dataset=dataset)
    checks.same_length(inputs=inputs)
    keys = _keys(dataset, inputs)
    alike = leaked = near_leaked = None
    if near is not None:
        alike = len(_later(dataset.column(near), [], threshold))
    if held_out is not None:
        known = set(keys)
        leaked = sum(key in known for key in _keys(held_out, inputs))
        if near is not None:
            near_leaked = len(_later(dataset.column(near), held_out.column(near), threshold))
    contradicted = None if target is None else _contradicted(keys, _hashed(dataset.column(target)))
    values = {name: Counter(_values(dataset.column(name))) for name in count}
    repeated = len(keys) - len(set(keys))
    return _Card(len(keys), values, repeated, alike, contradicted, leaked, near_leaked)


def _keys(dataset: Dataset, names: Sequence[str]) -> list[tuple]:
    """For each example, what is equal where these columns are."""
    return list(zip(*(_hashed(dataset.column(name)) for name in names), strict=True))


def _hashed(column: Column) -> list[Any]:
    return [_hash(value) if isinstance(value, Tensor) else repr(value) for value in column]


def _hash(value: Tensor) -> tuple:
    content = value.detach().cpu().contiguous().numpy().tobytes()
    return value.dtype, value.shape, hashlib.sha256(content).digest()


def _contradicted(keys: Sequence[tuple], targets: Sequence[Any]) -> int:
    said = defaultdict(set)
    for key, target in zip(keys, targets, strict=True):
        said[key].add(target)
    return sum(len(said[key]) > 1 for key in keys)


def _values(column: Column) -> Iterable[Any]:
    if isinstance(column, Tensor):
        entries = column.flatten().tolist()
    else:
        several = (v if isinstance(v, list | tuple | Mapping) else [v] for v in column)
        entries = [entry for each in several for entry in each]
    return (entry for entry in entries if entry not in ABSENT)


def _later(first: Column, second: Column, threshold: float) -> set[int]:
    """The images that are nearly an earlier one; of `second` alone, where there is one."""
    thumbs = np.concatenate([_thumbs(part) for part in (first, second) if len(part)])
    pairs = near_duplicate_pairs(thumbs, threshold)
    if len(second):
        pairs = pairs[(pairs[:, 0] < len(first)) & (pairs[:, 1] >= len(first))]
    return set(pairs[:, 1].tolist())


def _thumbs(images: Column) -> np.ndarray:
    """uint8 (N, 3, S, S), S a multiple of 16."""
    if not isinstance(images, Tensor):
        if len({image.shape for image in checks.listed(Tensor, near=images)}) > 1:
            raise ValueError("near must be a column of images of one size, got several")
        images = torch.stack(images)
    checks.shaped(near=(images, "N 3 H W"))
    checks.one_of((torch.uint8,), **{"the dtype of near": images.dtype})
    height, width = images.shape[2:]
    if height == width and width % HASH_SIDE == 0:
        return images.numpy()
    x = F.interpolate(images.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
    return x.round().clamp(0, 255).byte().numpy()
