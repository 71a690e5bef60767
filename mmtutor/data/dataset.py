"""A column store that PyTorch can read: `Dataset`.

Knows how to keep columns of equal length, to hand out examples as dicts, and to apply a transform
on the way. Does not know where the columns come from, what they mean, or how examples are batched.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

Example = dict[str, Any]
Transform = Callable[[Example], Example]
Column = Tensor | list


class Compose:
    """Apply transforms one after the other."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

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
        if not columns:
            raise ValueError(f"dataset {name!r} needs at least one column")
        for key, values in columns.items():
            if not isinstance(values, (Tensor, list)):
                kind = type(values).__name__
                raise TypeError(f"column {key!r} of {name!r} is a {kind}: expected Tensor or list")
        lengths = {key: len(values) for key, values in columns.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of dataset {name!r} differ in length: {lengths}")
        self.columns = dict(columns)
        self.transform = transform
        self.name = name

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {len(self)} examples, columns: {', '.join(self.columns)})"

    def __getitem__(self, index: int) -> Example:
        """The example at `index` (negative counts from the end), transformed. Raises IndexError."""
        row = operator.index(index)
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

        `indices` are row numbers, or a boolean mask of length N. The rows are copied.
        Raises IndexError for a row that is not there.
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
        both = Compose([self.transform, transform]) if self.transform else transform
        return Dataset(self.columns, both, self.name)

    def with_column(self, name: str, values: Column) -> Dataset:
        """The same dataset with column `name` added or replaced."""
        return Dataset({**self.columns, name: values}, self.transform, self.name)

    def _rows(self, indices: Iterable[int] | Tensor) -> Tensor:
        rows = indices if isinstance(indices, Tensor) else torch.tensor(list(indices))
        if rows.dtype == torch.bool:
            if len(rows) != len(self):
                raise IndexError(f"a mask of {len(rows)} rows for {self!r}")
            return rows.nonzero().squeeze(1)
        rows = rows.long()
        outside = (rows < -len(self)) | (rows >= len(self))
        if outside.any():
            raise IndexError(self._outside(rows[outside][0].item()))
        return rows

    def _outside(self, row: int) -> str:
        return f"index {row} is outside dataset {self.name!r} of {len(self)} examples"
