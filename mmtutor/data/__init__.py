"""Data: datasets by name, batches, and where files are cached.

`load(name)` gives a `Dataset`; `loader(dataset, batch_size)` gives batches of tensors.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from mmtutor import checks
from mmtutor.data.batch import Batch, collate, loader, require
from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch.cache import cache_dir

SOURCES = {
    "easy-vqa": "mmtutor.data.real.easy_vqa",
    "emoji": "mmtutor.data.real.emoji",
    "fashion-mnist": "mmtutor.data.real.fashion_mnist",
    "moving-shapes": "mmtutor.data.shapes.motion",
    "openclipart": "mmtutor.data.real.openclipart",
    "shapes": "mmtutor.data.shapes.dataset",
    "shapes-questions": "mmtutor.data.shapes.questions.dataset",
    "stamps": "mmtutor.data.real.stamps",
    "state-of-the-union": "mmtutor.data.real.state_of_the_union",
    "tang-poems": "mmtutor.data.real.tang_poems",
}


def load(name: str, split: str = "train", **options: Any) -> Dataset:
    """The dataset `name`; the `load` of its module documents splits, options and columns.

    Raises:
        ValueError: for an unknown name or split.
    """
    checks.one_of(SOURCES, name=name)
    return import_module(SOURCES[name]).load(split=split, **options)
