"""Fashion-MNIST: 70,000 small grey photographs of clothes in ten classes (Xiao et al. 2017).

Knows the files inside Debian's package `dataset-fashion-mnist`, its IDX format, and the cached
form: one safetensors file. Does not know how a package is read safely (`deb.py`) or how files are
written (`cache.py`).
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Iterator
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch import apt
from mmtutor.data.fetch.cache import cache_dir, exclusive
from mmtutor.data.fetch.deb import DebError, DebPackage
from mmtutor.files import atomic_file, sweep

PACKAGE = "dataset-fashion-mnist"
FOLDER = "usr/share/datasets/fashion-mnist"
KNOWN_SHA256 = "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0"
FILE = "fashion-mnist-1.safetensors"  # raise the number when what is stored changes
SPLITS = {"train": "train", "test": "t10k"}
CLASSES = (
    *("T-shirt", "trousers", "pullover", "dress", "coat"),
    *("sandal", "shirt", "sneaker", "bag", "ankle boot"),
)
SIDE = 28


def load(split: str = "train", *, n: int | None = None, root: Path | str | None = None) -> Dataset:
    """The pictures, read from the cache that `get` fills.

    Columns: image (N, 3, 28, 28) uint8, grey, the same in all three channels; label (N,) int64, an
    index into CLASSES.

    Args:
        split: "train" (60,000) or "test" (10,000).
        n: only the first n; the published order is mixed, so any prefix holds all classes.
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: if the cache is empty.
        ValueError: for an unknown split, or an n that is not there.
    """
    from safetensors.torch import load_file

    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r} of fashion-mnist: expected 'train' or 'test'")
    stored = load_file(_cached(root))
    image, label = stored[f"{split}_image"], stored[f"{split}_label"].long()
    if n is not None and not 1 <= n <= len(label):
        raise ValueError(f"n is {n}: {split} of fashion-mnist has 1 to {len(label)}")
    grey = image[:n].unsqueeze(1).expand(-1, 3, -1, -1)  # [N, 3, 28, 28] without a copy
    return Dataset({"image": grey, "label": label[:n]}, name=f"fashion-mnist/{split}")


def get(archive: Path | str | None = None, root: Path | str | None = None) -> str:
    """Fill the cache once: from `archive`, a `.deb`, or else with apt; then say what is there.

    Where the pictures are already cached and no archive is given, nothing happens.

    Raises:
        AptError: there is no apt here, or it could not download the package.
        DebError: the archive is damaged, hostile or another package.
        CacheError, FileNotFoundError: the cache cannot be written; there is no such archive.
    """
    if archive is None:
        try:
            return f"{PACKAGE}: in {_cached(root)}"
        except FileNotFoundError:
            print(f"Getting {PACKAGE} with apt …", flush=True)
        downloaded = apt.download(PACKAGE, _home(root))
        report = prepare(downloaded, root)
        downloaded.unlink()  # kept until here, so that a run that was killed need not download
        return report
    return prepare(archive, root)


def prepare(archive: Path | str, root: Path | str | None = None) -> str:
    """Verify a `.deb` and write the cached form under `root`, all or nothing; say what it is."""
    from safetensors.torch import save

    with open(archive, "rb") as file:
        known = hashlib.file_digest(file, "sha256").hexdigest() == KNOWN_SHA256
    package = DebPackage(archive)
    if package.fields.get("Package") != PACKAGE:
        raise DebError(
            f"{Path(archive).name} is package {package.fields.get('Package')!r}: "
            f"expected {PACKAGE!r}"
        )
    tensors = dict(_tensors(package))
    home = _home(root)
    with exclusive(home):
        sweep(home)
        with atomic_file(home / FILE) as file:
            file.write(save(tensors))
    build = "Debian's known build" if known else "another build than Debian's known one"
    count = sum(len(tensor) for name, tensor in tensors.items() if name.endswith("label"))
    return f"{PACKAGE} {package.fields.get('Version')}: {build}; {count:,} pictures in {home}"


def _home(root: Path | str | None) -> Path:
    return (Path(root) if root else cache_dir()) / "fashion-mnist"


def _cached(root: Path | str | None) -> Path:
    path = _home(root) / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"no Fashion-MNIST in {path.parent}: "
            "get it with `mmtutor.data.real.fashion_mnist.get()`"
        )
    return path


def _tensors(package: DebPackage) -> Iterator[tuple[str, Tensor]]:
    """Name -> uint8 tensor: the pictures (N, 28, 28) and labels (N,) of both splits."""
    found = dict(package.files(FOLDER, lambda name: name.endswith("-ubyte.gz")))
    for split, theirs in SPLITS.items():
        image = _idx(found, f"{theirs}-images-idx3-ubyte.gz", (SIDE, SIDE))
        label = _idx(found, f"{theirs}-labels-idx1-ubyte.gz", ())
        if len(image) != len(label) or not len(label) or label.max() >= len(CLASSES):
            raise DebError(
                f"{package.path.name}: {len(image)} pictures and {len(label)} labels in {theirs}: "
                f"expected as many, and labels below {len(CLASSES)}"
            )
        yield f"{split}_image", image
        yield f"{split}_label", label


def _idx(files: dict[str, bytes], name: str, shape: tuple[int, ...]) -> Tensor:
    """A compressed IDX file of bytes -> uint8 tensor (N, *shape). Raises DebError."""
    if name not in files:
        raise DebError(f"{name} is not in the package")
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(files[name])) as stream:
            header = stream.read(8 + 4 * len(shape))
            sizes = [int.from_bytes(header[i : i + 4]) for i in range(4, len(header), 4)]
            due = prod(sizes) if sizes[1:] == list(shape) else -1
            data = bytearray(stream.read(max(due, 0) + 1))  # one more, to see that it ends there
    except (OSError, EOFError) as error:
        raise DebError(f"{name} is damaged ({error})") from error
    if header[:4] != bytes([0, 0, 8, 1 + len(shape)]) or len(data) != due:
        raise DebError(f"{name} is damaged: not an IDX file of bytes (N, {SIDE}, {SIDE}) or (N,)")
    return torch.frombuffer(data, dtype=torch.uint8).view(sizes)
