"""Pictures in files of the reader's own: read once, then kept in one file as a data set's column.

Knows files and the array that is kept. Does not know how a picture is decoded (`fetch.pictures`),
or what it shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import PIL
import torch
from torch import Tensor

from mmtutor.checks import instance, listed, same_length
from mmtutor.data.fetch.pictures import PictureError, read_picture
from mmtutor.files import atomic_file


def kept_pictures(paths: Sequence[str | Path], size: tuple[int, int], folder: str | Path) -> Tensor:
    """Pictures of files as uint8 (N, 3, H, W), mapped from a file in `folder`.

    The first call decodes them, as `read_picture` does, and writes that file. It is made anew for
    other paths, another size or time of change of a picture, another `size`, or another Pillow.

    Raises:
        FileNotFoundError: one of the files does not exist.
        PictureError: one cannot be decoded; the message names it. Nothing is kept then.
        CacheError: `folder` cannot be written or is full.
    """
    paths = [Path(path) for path in listed((str, Path), paths=paths)]
    same_length(paths=paths)
    if missing := next((path for path in paths if not path.is_file()), None):
        raise FileNotFoundError(f"paths: there is no file {missing}")
    instance((str, Path), folder=folder)
    size = listed(int, size=size)
    stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    key = repr((stats, size, PIL.__version__)).encode()
    kept = Path(folder) / f"pictures-{hashlib.sha256(key).hexdigest()[:16]}.npy"
    if not kept.is_file():
        _write(kept, paths, size)
    return torch.from_numpy(np.load(kept, mmap_mode="c"))


def _write(kept: Path, paths: list[Path], size: list[int]) -> None:
    """Decode one picture after the other into an array on disk."""
    about = {"descr": "|u1", "fortran_order": False, "shape": (len(paths), 3, *size)}
    with atomic_file(kept) as file:
        np.lib.format.write_array_header_1_0(file, about)
        for path in paths:
            try:
                file.write(read_picture(path.read_bytes(), size).numpy().data)
            except PictureError as error:
                raise PictureError(f"{path}: {error}") from error
