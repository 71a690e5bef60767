"""Fashion-MNIST: 70,000 small grey photographs of clothes in ten classes (Xiao et al. 2017).

Knows the files of Debian's package `dataset-fashion-mnist`, their IDX format, and the kept form:
one safetensors file. Does not know how a package is fetched and read safely.
"""

from __future__ import annotations

import gzip
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from mmtutor.checks import at_least, one_of, within
from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch import FetchError, located

CLASSES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
SIDE = 28
_FILE = "pictures.safetensors"
_SPLITS = {"train": "train", "test": "t10k"}


def load(split: str = "train", *, n: int | None = None, root: Path | str | None = None) -> Dataset:
    """The pictures, read from the cache that `mmtutor.data.fetch.get` fills.

    Columns: image (N, 3, 28, 28) uint8, grey, the same in all three channels; label (N,) int64, an
    index into CLASSES.

    Args:
        split: "train" (60,000) or "test" (10,000).
        n: only the first n; the published order is mixed, so any prefix holds all classes.
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: they are not in the cache.
        ValueError: for an unknown split, or an n that is not there.
    """
    from safetensors.torch import load_file

    one_of(_SPLITS, split=split)
    stored = load_file(located("fashion-mnist", root) / _FILE)
    image, label = stored[f"{split}_image"], stored[f"{split}_label"].long()
    n = len(label) if n is None else n
    at_least(1, n=n)
    within(f"[1, {len(label)}]", n=n)
    grey = image[:n].unsqueeze(1).expand(-1, 3, -1, -1)  # [N, 3, 28, 28] without a copy
    return Dataset({"image": grey, "label": label[:n]}, name=f"fashion-mnist/{split}")


def prepare(files: Path, folder: Path) -> str:
    """Write the kept form of the package's files to `folder`; what it is, in words.

    Raises:
        FetchError: a file is missing or damaged, or pictures and labels do not belong together.
    """
    from safetensors.torch import save

    tensors = {}
    for split, theirs in _SPLITS.items():
        image = _idx(files / f"{theirs}-images-idx3-ubyte.gz", (SIDE, SIDE))
        label = _idx(files / f"{theirs}-labels-idx1-ubyte.gz", ())
        if len(image) != len(label) or not len(label) or label.max() >= len(CLASSES):
            raise FetchError(
                f"{len(image)} pictures and {len(label)} labels in {theirs}: expected as many, and "
                f"labels below {len(CLASSES)}"
            )
        tensors |= {f"{split}_image": image, f"{split}_label": label}
    (folder / _FILE).write_bytes(save(tensors))
    return f"{sum(len(tensors[f'{split}_label']) for split in _SPLITS):,} pictures"


def _idx(path: Path, shape: tuple[int, ...]) -> Tensor:
    """A compressed IDX file of bytes -> uint8 tensor (N, *shape). Raises FetchError."""
    try:
        with gzip.open(path) as stream:
            header = stream.read(8 + 4 * len(shape))
            sizes = [int.from_bytes(header[i : i + 4]) for i in range(4, len(header), 4)]
            due = prod(sizes) if sizes[1:] == list(shape) else -1
            data = bytearray(stream.read(max(due, 0) + 1))  # one more, to see that it ends there
    except FileNotFoundError:
        raise FetchError(f"{path.name} is not in the package") from None
    except (OSError, EOFError) as error:
        raise FetchError(f"{path.name} is damaged ({error})") from error
    if header[:4] != bytes([0, 0, 8, 1 + len(shape)]) or len(data) != due:
        raise FetchError(
            f"{path.name} is damaged: not an IDX file of bytes (N, {SIDE}, {SIDE}) or (N,)"
        )
    return torch.frombuffer(data, dtype=torch.uint8).view(sizes)
