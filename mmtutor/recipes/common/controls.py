"""Controls that should fail: what a model learns from labels that were dealt at random."""

from __future__ import annotations

import torch

from mmtutor import checks
from mmtutor.data import Dataset


def shuffle_column(data: Dataset, name: str, seed: int) -> Dataset:
    """`data` with the rows of the tensor column `name` in a random order of their own."""
    checks.at_least(0, seed=seed)
    order = torch.randperm(len(data), generator=torch.Generator().manual_seed(seed))
    return data.with_column(name, data.column(name)[order])
