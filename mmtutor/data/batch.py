"""From examples to a `Batch`: padding, masks, stacking, and a seeded loader.

Knows which keys are ragged (`tokens`, `audio`) and which are pictures (`image`, `video`).
Does not know datasets, tokenizers or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler

from mmtutor.data.dataset import Dataset

Batch = dict[str, Tensor]

RAGGED = ("tokens", "audio")
PICTURES = ("image", "video")


def collate(examples: Sequence[Mapping[str, Any]]) -> Batch:
    """Join B examples into one batch.

    - `tokens` (L,) and `audio` (T,) are padded with 0 to the longest, and `<key>_mask` (B, longest)
      bool is True at real entries;
    - uint8 `image` and `video` become float32 in [0, 1];
    - other tensors are stacked; Python bool, int, float become bool, int64, float32 of shape (B,);
    - strings and whatever else is not a tensor or a number are left out.

    Raises:
        ValueError: for no examples, a key that some example lacks, shapes or types that differ, or
            an empty ragged entry; the message names the key and the example.
    """
    if not examples:
        raise ValueError("cannot collate an empty list of examples")
    batch: Batch = {}
    for key in _keys(examples):
        values = [example[key] for example in examples]
        if key in RAGGED:
            batch[key], batch[f"{key}_mask"] = _pad(key, values)
        else:
            batch[key] = _stack(key, values)
    return batch


def require(batch: Mapping[str, Tensor], *keys: str) -> None:
    """Raise KeyError, naming what is missing and what is there, unless the batch has every key."""
    missing = [key for key in keys if key not in batch]
    if missing:
        present = ", ".join(sorted(key for key in batch if not key.endswith("_mask")))
        raise KeyError(f"the batch lacks {', '.join(missing)}; it has {present or 'nothing'}")


def loader(
    dataset: Dataset,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    drop_last: bool = False,
    workers: int = 0,
    group_by: str | None = None,
) -> DataLoader:
    """A DataLoader of batches whose order, epoch after epoch, depends on `seed` alone.

    `group_by` names a column (N,) int64: all rows of one group come after those of another,
    in an order of groups drawn anew each epoch.
    """
    sampler = None if group_by is None else _GroupedSampler(dataset.column(group_by), seed)
    return DataLoader(
        dataset,
        batch_size,
        shuffle=shuffle,
        sampler=sampler,
        generator=torch.Generator().manual_seed(seed),
        drop_last=drop_last,
        num_workers=workers,
        collate_fn=collate,
    )


class _GroupedSampler(Sampler[int]):
    """All rows of one group after those of another, in an order of groups drawn anew each epoch.

    So a batch keeps together what belongs together, such as the questions about one picture.

    Args:
        groups: (N,) int64, equal within a group.
        seed: draws the orders.
    """

    def __init__(self, groups: Tensor, seed: int = 0) -> None:
        self.groups = groups.unique(return_inverse=True)[1]
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self) -> int:
        return len(self.groups)

    def __iter__(self) -> Iterator[int]:
        place = torch.randperm(int(self.groups.max()) + 1, generator=self.generator)
        return iter(place[self.groups].argsort(stable=True).tolist())


def _keys(examples: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys to collate, in order of appearance; every example must have each of them."""
    owner: dict[str, int] = {}
    for index, example in enumerate(examples):
        for key, value in example.items():
            if key in RAGGED or isinstance(value, (Tensor, bool, int, float)):
                owner.setdefault(key, index)
    for key, first in owner.items():
        for index, example in enumerate(examples):
            if key not in example:
                raise ValueError(f"example {index} lacks {key!r}, which example {first} has")
    return list(owner)


def _pad(key: str, values: list[Any]) -> tuple[Tensor, Tensor]:
    """Pad one-dimensional entries with 0: values (B, L) and mask (B, L), True = real."""
    rows = [torch.as_tensor(value) for value in values]
    for index, row in enumerate(rows):
        if row.ndim != 1 or len(row) == 0:
            shape = tuple(row.shape)
            raise ValueError(
                f"{key!r} of example {index} has shape {shape}: expected (length >= 1,)"
            )
    lengths = torch.tensor([len(row) for row in rows])
    padded = pad_sequence(rows, batch_first=True)  # [B, L]
    return padded, torch.arange(padded.shape[1]) < lengths.unsqueeze(1)  # [B, L]


def _stack(key: str, values: list[Any]) -> Tensor:
    """Stack tensors of one shape and type, or numbers, along a new first dimension."""
    numbers = [not isinstance(value, Tensor) for value in values]
    if all(numbers):
        return _numbers(key, values)
    for index, value in enumerate(values):
        if numbers[index]:
            kind = type(value).__name__
            raise ValueError(f"{key!r} of example {index} is a {kind}, but in others a tensor")
        if value.shape != values[0].shape or value.dtype != values[0].dtype:
            raise ValueError(
                f"{key!r} of example {index} is {value.dtype} {tuple(value.shape)}, "
                f"but of example 0 {values[0].dtype} {tuple(values[0].shape)}"
            )
    stacked = torch.stack(values)
    if key in PICTURES and stacked.dtype == torch.uint8:
        return stacked.float().div_(255)
    return stacked


def _numbers(key: str, values: list[Any]) -> Tensor:
    for index, value in enumerate(values):
        if not isinstance(value, (bool, int, float)):
            kind = type(value).__name__
            raise ValueError(f"{key!r} of example {index} is a {kind}, but in others a number")
    dtype = torch.float32 if any(isinstance(value, float) for value in values) else None
    return torch.tensor(values, dtype=dtype)
