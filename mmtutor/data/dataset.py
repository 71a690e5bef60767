"""A column store that PyTorch can read: `Dataset`.

Knows how to keep columns of equal length, to hand out examples as dicts, and to apply a transform
on the way. Does not know where the columns come from, what they mean, or how examples are batched.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks

Example = dict[str, Any]
Transform = Callable[[Example], Example]
Column = Tensor | list


def from_array(array: np.ndarray) -> Tensor:
    """A tensor of the numbers in an array of any strides and byte order, which is copied.

    Raises TypeError for what is no array, and ValueError for an array of something else.
    """
    checks.instance(np.ndarray, array=array)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"array must hold numbers, got {array.dtype}")
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), order="C"))


class Compose:
    """Apply transforms one after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = checks.listed(Callable, transforms=transforms)

    def __call__(self, example: Example) -> Example:
        for transform in self.transforms:
            example = transform(example)
        return example


class Dataset(torch.utils.data.Dataset):
    """Named columns of one length N; example i is the dict of their i-th entries.

    A tensor column has shape (N, ...), and its i-th entry is a tensor of shape (...). A list column
    has N entries of any type. Pictures stay uint8 (3, H, W) here; `collate` makes floats of them.

    Args:
        columns: the columns by name, all of the same length.
        transform: a function from example to example, applied whenever an example is read.
        name: what error messages and reports call this dataset.

    Raises:
        ValueError: if there is no column or the lengths differ.
        TypeError: if a column is neither a tensor nor a list.
    """

    def __init__(
        self, columns: dict[str, Column], transform: Transform | None = None, name: str = "dataset"
    ) -> None:
        checks.instance(Mapping, columns=columns)
        checks.instance((Callable, type(None)), transform=transform)
        checks.instance(str, name=name)
        if not columns:
            raise ValueError(f"columns of dataset {name!r}: it needs at least one column")
        self.columns = {key: _column(key, values, name) for key, values in columns.items()}
        lengths = {key: len(values) for key, values in self.columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of dataset {name!r} differ in length: {lengths}")
        self.transform = transform
        self.name = name

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} examples, columns: {', '.join(self.columns)})"

    def __getitem__(self, index: int) -> Example:
        """The example at `index` (negative counts from the end), transformed. Raises IndexError."""
        row = index if type(index) is int else _row(index)
        if not -len(self) <= row < len(self):
            raise IndexError(self._outside(row))
        example = {key: values[row] for key, values in self.columns.items()}
        return self.transform(example) if self.transform else example

    def __getitems__(self, indices: Sequence[int]) -> list[Example]:
        """Several examples; PyTorch's DataLoader calls this once a batch."""
        return [self[index] for index in indices]

    def column(self, name: str) -> Column:
        """The stored column, before any transform. Raises KeyError naming the columns there are."""
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise KeyError(f"dataset {self.name!r} has no column {name!r}; it has {known}")
        return self.columns[name]

    def subset(self, indices: Iterable[int] | Tensor) -> Dataset:
        """A new dataset of the chosen rows, in the given order, with the same transform.

        `indices` are row numbers, none or several, or a mask of length N (bool, or uint8 of 0 and
        1). The rows are copied. Raises IndexError for a row that is not there, TypeError for
        fractions, and ValueError for a list of 0 and 1 that may be a mask.
        """
        rows = self._rows(indices)
        listed = rows.tolist()
        chosen = {
            key: values[rows] if isinstance(values, Tensor) else [values[row] for row in listed]
            for key, values in self.columns.items()
        }
        return Dataset(chosen, self.transform, self.name)

    def with_transform(self, transform: Transform) -> Dataset:
        """The same columns, with `transform` applied after the transform already there."""
        checks.instance(Callable, transform=transform)
        both = Compose([self.transform, transform]) if self.transform else transform
        return Dataset(self.columns, both, self.name)

    def with_column(self, name: str, values: Column) -> Dataset:
        """The same dataset with column `name` added or replaced."""
        return Dataset({**self.columns, name: values}, self.transform, self.name)

    def _rows(self, indices: Iterable[int] | Tensor) -> Tensor:
        if not isinstance(indices, Tensor):
            rows = checks.listed((Integral, np.bool_), indices=indices)
            indices = torch.from_numpy(np.array(rows)) if rows else torch.arange(0)
        checks.shaped(indices=(indices, "N?"))
        if indices.dtype in (torch.bool, torch.uint8):
            mask = checks.as_mask(indices=indices)
            if len(mask) != len(self):
                raise IndexError(f"a mask of {len(mask)} rows for {self!r}")
            return mask.nonzero().squeeze(1)
        if indices.is_floating_point() or indices.is_complex():
            raise TypeError(f"indices must be row numbers or a mask of bool, got {indices.dtype}")
        rows = indices.long()
        if len(rows) == len(self) > 3 and rows.unique().tolist() == [0, 1]:
            raise ValueError("indices must be row numbers or a mask of bool, got all 0 and 1")
        outside = (rows < -len(self)) | (rows >= len(self))
        if outside.any():
            raise IndexError(self._outside(rows[outside][0].item()))
        return rows

    def _outside(self, row: int) -> str:
        return f"index {row} is outside dataset {self.name!r} of {len(self)} examples"


def _column(key: str, values: Any, name: str) -> Column:
    """A column as it is stored: a tensor for an array of numbers."""
    if isinstance(values, np.ndarray):
        values = from_array(values) if values.dtype.kind in "biufc" else values.tolist()
    if isinstance(values, list) or (isinstance(values, Tensor) and values.ndim):
        return values
    kind = "scalar" if isinstance(values, Tensor) else type(values).__name__
    raise TypeError(f"columns: column {key!r} of {name!r} is a {kind}: expected Tensor or list")


def _row(index: Any) -> int:
    """The index as Python's int, from a whole number of NumPy or torch."""
    whole = index.item() if isinstance(index, Tensor) and index.numel() == 1 else index
    checks.at_least(-sys.maxsize, index=whole)
    return operator.index(whole)
