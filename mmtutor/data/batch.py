"""From examples to a `Batch`: padding, masks, stacking, and a seeded loader.

Knows which keys are ragged (`tokens`, `audio`) and which are pictures (`image`, `video`).
Does not know datasets, tokenizers or models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Sampler

from mmtutor import checks
from mmtutor.data.dataset import Dataset, from_array

Batch = dict[str, Tensor]

RAGGED = ("tokens", "audio")
PICTURES = ("image", "video")
BRIGHTEST = 64.0  # no normalisation takes an image in [0, 1] beyond it; one in 0..255 goes beyond


def collate(examples: Sequence[Mapping[str, Any]]) -> Batch:
    """Join B examples into one batch.

    - `tokens` (L,) whole numbers and `audio` (T,) floats are padded with 0 to the longest, and
      `<key>_mask` (B, longest) bool is True at real entries; 16-bit samples become [-1, 1];
    - uint8 `image` and `video` become float32 in [0, 1];
    - other tensors, arrays and lists of numbers are stacked; bool, int, float, NumPy's too, become
      bool, int64, float32 of shape (B,), or float64 beside a whole number that float32 would round;
    - strings, and whatever else holds no numbers, are left out.

    Raises:
        ValueError: for no examples, a key that some example lacks, shapes or types that differ, an
            empty ragged entry, or a picture of floats as large as 255; the message names the key
            and the example.
    """
    examples = checks.listed(Mapping, examples=examples)
    checks.same_length(examples=examples)
    batch: Batch = {}
    for key in _keys(examples):
        values = [_plain(key, index, example[key]) for index, example in enumerate(examples)]
        if key in RAGGED:
            batch[key], batch[f"{key}_mask"] = _pad(key, values)
        else:
            batch[key] = _stack(key, values)
    return batch


def require(batch: Mapping[str, Tensor], *keys: str) -> None:
    """Raise KeyError, naming what is missing and what is there, unless the batch has every key."""
    checks.instance(Mapping, batch=batch)
    keys = checks.listed(str, keys=keys)
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

    `group_by` names a column of N numbers or names: all rows of one group come after those of
    another, in an order of groups drawn anew each epoch. Raises ValueError for an empty dataset.
    """
    checks.instance(torch.utils.data.Dataset, dataset=dataset)
    checks.at_least(1, batch_size=batch_size)
    checks.at_least(0, seed=seed, workers=workers)
    checks.same_length(dataset=dataset)
    sampler = None if group_by is None else _GroupedSampler(dataset.column(group_by), seed)
    return DataLoader(
        dataset,
        int(batch_size),
        shuffle=shuffle and sampler is None,
        sampler=sampler,
        generator=torch.Generator().manual_seed(int(seed)),
        drop_last=drop_last,
        num_workers=int(workers),
        collate_fn=collate,
        pin_memory=torch.cuda.is_available(),
    )


def hide_tokens(
    batch: Batch,
    vocab_size: int,
    mask_id: int,
    generator: torch.Generator,
    special: Sequence[int] = (),
    share: float = 0.15,
) -> Batch:
    """Hide some tokens of every text and ask for them (Devlin et al. 2019, section 3.1).

    Of the hidden tokens 80 % become `mask_id`, 10 % a random token, and 10 % stay. A text with
    anything to hide has at least one token hidden.

    Args:
        batch: `tokens` (B, L) int64 in [0, vocab_size), and `tokens_mask` (B, L) where some pad.
        special: ids that are never hidden nor drawn, such as those of padding and [CLS].
        share: of the tokens of a text, in (0, 1].

    Returns:
        The batch with new `tokens`; `hidden` (B, L) bool; and as `label` (M,) int64 what stood at
        the M hidden places, row by row.

    Raises:
        ValueError: nothing can be hidden, or an id is out of range.
    """
    require(batch, "tokens")
    tokens = batch["tokens"]
    checks.shaped(tokens=(tokens, "B L"))
    real = checks.as_mask(tokens_mask=batch.get("tokens_mask", tokens >= 0))
    checks.shaped(tokens=(tokens, "B L"), tokens_mask=(real, "B L"))
    checks.at_least(0, vocab_size=vocab_size, mask_id=mask_id)
    checks.within("(0, 1]", share=share)
    checks.instance(torch.Generator, generator=generator)
    special = torch.tensor(checks.listed(int, special=special), dtype=torch.int64)
    checks.indices(vocab_size, tokens=tokens, special=special, mask_id=torch.tensor(mask_id))
    may = real & ~torch.isin(tokens, special)
    if not may.any():
        raise ValueError("tokens must hold something to hide, got only special ones and padding")
    order = torch.rand(tokens.shape, generator=generator).masked_fill(~may, 2).argsort(1).argsort(1)
    hidden = may & (order < (share * may.sum(1)).round().clamp(min=1).unsqueeze(1))
    usual = torch.arange(vocab_size)[~torch.isin(torch.arange(vocab_size), special)]
    drawn = usual[torch.randint(len(usual), tokens.shape, generator=generator)]
    fate = torch.rand(tokens.shape, generator=generator)
    read = torch.where(fate < 0.8, mask_id, torch.where(fate < 0.9, drawn, tokens))
    new = {"tokens": torch.where(hidden, read, tokens), "hidden": hidden, "label": tokens[hidden]}
    return {**batch, **new}


class _GroupedSampler(Sampler[int]):
    """All rows of one group after those of another, in an order of groups drawn anew each epoch.

    So a batch keeps together what belongs together, such as the questions about one picture.

    Args:
        groups: N numbers or names, equal within a group.
        seed: draws the orders.
    """

    def __init__(self, groups: Tensor | list, seed: int = 0) -> None:
        self.groups = torch.from_numpy(np.unique(np.asarray(groups), return_inverse=True)[1])
        self.generator = torch.Generator().manual_seed(int(seed))

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
            if key in RAGGED or _is_numbers(value):
                owner.setdefault(key, index)
    for key, first in owner.items():
        for index, example in enumerate(examples):
            if key not in example:
                found = f"example {index} lacks {key!r}, which example {first} has"
                raise ValueError(f"examples must have the same keys: {found}")
    return list(owner)


def _is_numbers(value: Any) -> bool:
    """A tensor, a number, or an array or a list of numbers."""
    if isinstance(value, Tensor | bool | int | float):
        return True
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(_is_numbers(v) and not isinstance(v, Tensor) for v in value)
    return isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc"


def _plain(key: str, index: int, value: Any) -> Any:
    """A tensor for an array or a list, Python's number for NumPy's; all else as it is."""
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray | list | tuple):
        return value
    try:
        return from_array(np.asarray(value))
    except (TypeError, ValueError) as error:
        raise ValueError(f"examples: {key!r} of example {index} is ragged") from error


def _pad(key: str, values: list[Any]) -> tuple[Tensor, Tensor]:
    """Pad one-dimensional entries with 0: values (B, L) and mask (B, L), True = real."""
    rows = [_ragged(key, index, value) for index, value in enumerate(values)]
    lengths = torch.tensor([len(row) for row in rows])
    padded = pad_sequence(rows, batch_first=True)  # [B, L]
    return padded, torch.arange(padded.shape[1]) < lengths.unsqueeze(1)  # [B, L]


def _ragged(key: str, index: int, row: Any) -> Tensor:
    """Entry (L,) as it stands in a batch: `tokens` int64, `audio` floating."""
    if key == "audio" and isinstance(row, Tensor) and row.dtype == torch.int16:
        row = row / 32768
    sound = key == "audio"
    good = isinstance(row, Tensor) and row.ndim == 1 and len(row) > 0 and row.dtype != torch.bool
    if not good or row.is_floating_point() != sound:
        expected = f"{'floats in [-1, 1]' if sound else 'whole numbers'} (length >= 1,)"
        raise ValueError(f"examples: {key!r} of example {index} is {_said(row)}, not {expected}")
    return row if sound else row.long()


def _stack(key: str, values: list[Any]) -> Tensor:
    """Stack tensors of one shape and type, or numbers, along a new first dimension."""
    first = _form(values[0])
    for index, value in enumerate(values):
        if _form(value) != first:
            both = f"{_said(value)}, but of example 0 {_said(values[0])}"
            raise ValueError(f"examples: {key!r} of example {index} is {both}")
    if not isinstance(values[0], Tensor):
        return _numbers(key, values)
    stacked = torch.stack(values)
    if key in PICTURES and stacked.dtype == torch.uint8:
        return stacked.float().div_(255)
    if key in PICTURES and stacked.is_floating_point() and stacked.amax() > BRIGHTEST:
        found = f"floats up to {stacked.amax():g}"
        raise ValueError(f"examples: {key!r} must be in [0, 1], normalised, or uint8, got {found}")
    return stacked


def _form(value: Any) -> Any:
    """What must be the same to be stacked."""
    if isinstance(value, Tensor):
        return value.dtype, value.shape
    return "number" if isinstance(value, bool | int | float) else type(value)


def _said(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {tuple(value.shape)}"
    return f"a {type(value).__name__}"


def _numbers(key: str, values: list[Any]) -> Tensor:
    """Numbers of Python (B,); float64 where float32 would round a whole number."""
    floats = any(isinstance(value, float) for value in values)
    largest = max((abs(value) for value in values if not isinstance(value, float)), default=0)
    if largest >= 2**63:
        raise ValueError(f"examples: {key!r} must fit into 64 bits, got {largest}")
    exact = torch.float64 if largest > 2**24 else torch.float32
    return torch.tensor(values, dtype=exact if floats else None)
