"""Loading `stamps` from its cache, against decoding the same pictures from PNG files with Pillow.

The files hold the pictures at their cached size, which favours Pillow: the originals are larger,
some are drawings that Pillow cannot read, and all would have to be put on a white square.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.harness import Comparison
from mmtutor.data import load

BATCH = 32


def comparisons(limit: int | None = None) -> Iterator[Comparison]:
    """One row; both ways give every picture, in batches of uint8 (B, 3, 224, 224)."""
    pictures = load("stamps", split="all").column("image")[:limit]
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.png" for number in range(len(pictures))]
        for path, picture in zip(paths, pictures, strict=True):
            Image.fromarray(picture.permute(1, 2, 0).numpy()).save(path)
        yield Comparison(
            what=f"{len(paths)} pictures of `stamps`, opening the data set included",
            peer="Pillow decoding PNG files",
            ours=lambda: _from_cache(len(paths)),
            theirs=lambda: _batches([_from_file(path) for path in paths]),
            same=_same,
            at_most=1 / 8,
            examples=len(paths),
        )


def _from_cache(count: int) -> list[Tensor]:
    data = load("stamps", split="all")
    return _batches([data[number]["image"] for number in range(count)])


def _batches(pictures: list[Tensor]) -> list[Tensor]:
    return [torch.stack(pictures[i : i + BATCH]) for i in range(0, len(pictures), BATCH)]


def _from_file(path: Path) -> Tensor:
    with Image.open(path) as picture:
        pixels = np.array(picture.convert("RGB"))  # [H, W, 3]
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _same(ours: list[Tensor], theirs: list[Tensor]) -> None:
    assert len(ours) == len(theirs)
    assert all(map(torch.equal, ours, theirs))
