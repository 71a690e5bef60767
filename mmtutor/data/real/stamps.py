"""`stamps`: pictures of things with captions in many languages, sounds and spoken captions.

Knows the columns of the data set and its splits. Does not know where the files come from
(`stamps_archive.py`) or what makes two examples belong together (`splits.py`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmtutor.checks import at_least, instance, one_of, within
from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch import located
from mmtutor.data.real.stamps_archive import IMAGE_SIZE
from mmtutor.data.splits import fold_of, near_duplicate_pairs, normalised


def load(
    split: str = "train",
    *,
    fold: int = 0,
    folds: int = 5,
    seed: int = 0,
    image_size: int = IMAGE_SIZE,
    root: Path | str | None = None,
) -> Dataset:
    """The stamps, read from the cache that `mmtutor.data.fetch.get` fills.

    Columns: image uint8 (N, 3, S, S); caption, caption_zh ("" where absent; simplified before
    traditional), category, name (str); captions (dict language -> str, English under "en"); group
    int64 (N,): examples that share a caption, or nearly a picture; sound (path of a sound effect,
    or ""); spoken (dict language -> path of a recording of the caption).

    Args:
        split: "all"; "test": the groups of fold `fold`; "train": those of the other folds.
        fold: which of the `folds` folds is held out.
        seed: which assignment of groups to folds.
        image_size: S, at most 224.
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: they are not in the cache.
        ValueError: for an unknown split, fold or image size.
    """
    one_of(("all", "train", "test"), split=split)
    at_least(1, image_size=image_size)
    within(f"[1, {IMAGE_SIZE}]", image_size=image_size)
    at_least(2, folds=folds)
    at_least(0, fold=fold, seed=seed)
    within(f"[0, {folds})", fold=fold)
    dataset = Dataset(_columns(located("stamps", root)), name="stamps")
    if split != "all":
        groups, names = dataset.column("group").tolist(), dataset.column("name")
        held_out = torch.from_numpy(fold_of(groups, names, folds, seed)) == fold
        dataset = dataset.subset(held_out if split == "test" else ~held_out)
    if image_size != IMAGE_SIZE:
        dataset = dataset.with_column("image", _shrunk(dataset.column("image"), image_size))
    return dataset


def skipped(root: Path | str | None = None) -> dict[str, str]:
    """Name -> why, of the stamps that are no examples. Raises FileNotFoundError as `load` does."""
    return json.loads((located("stamps", root) / "stamps.json").read_bytes())["skipped"]


def leaks(one: Dataset, other: Dataset) -> list[tuple[str, str, str]]:
    """What straddles two datasets: (name in one, name in other, "caption" or "picture").

    Empty if no normalised caption is in both and no picture in one nearly equals one in the other.
    """
    instance(Dataset, one=one, other=other)
    captions = defaultdict(list)
    for name, caption in zip(one.column("name"), one.column("caption"), strict=True):
        captions[normalised(caption)].append(name)
    found = [
        (mine, name, "caption")
        for name, caption in zip(other.column("name"), other.column("caption"), strict=True)
        for mine in captions.get(normalised(caption), [])
    ]
    names = [*one.column("name"), *other.column("name")]
    pairs = near_duplicate_pairs(torch.cat([one.column("image"), other.column("image")]).numpy())
    across = pairs[(pairs[:, 0] < len(one)) & (pairs[:, 1] >= len(one))]
    return found + [(names[i], names[j], "picture") for i, j in across.tolist()]


def _columns(folder: Path) -> dict[str, Any]:
    """The columns of `load`; the pictures are mapped from the file, not read."""
    stamps = json.loads((folder / "stamps.json").read_bytes())["stamps"]
    captions = [stamp["captions"] for stamp in stamps]
    return {
        "image": torch.from_numpy(np.load(folder / "images.npy", mmap_mode="c")),
        "caption": [each["en"] for each in captions],
        "caption_zh": [each.get("zh_CN") or each.get("zh_TW") or "" for each in captions],
        "captions": captions,
        "category": [stamp["name"].partition("/")[0] for stamp in stamps],
        "name": [stamp["name"] for stamp in stamps],
        "group": torch.tensor([stamp["group"] for stamp in stamps]),
        "sound": [stamp["sound"] and f"{folder}/{stamp['sound']}" for stamp in stamps],
        "spoken": [
            {language: f"{folder}/{path}" for language, path in stamp["spoken"].items()}
            for stamp in stamps
        ],
    }


def _shrunk(images: Tensor, side: int) -> Tensor:
    """uint8 (N, 3, S, S) -> (N, 3, side, side), antialiased."""
    resize = torch.nn.functional.interpolate
    parts = [
        resize(part.float(), (side, side), mode="bilinear", antialias=True)
        for part in images.split(64)
    ]
    return torch.cat([part.round().clamp(0, 255).byte() for part in parts])
