"""Writing that never leaves half a file behind, and checksums.

Knows atomic files and folders, and says in words why a folder cannot be written. Does not know what
is written.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial-"
MANY = 64  # files, from which on one flush of all disks is quicker than one each
NO_ROOM = {
    errno.ENOSPC: "no room is left on the disk",
    errno.EFBIG: "the system's limit on file size was hit",
    getattr(errno, "EDQUOT", errno.ENOSPC): "the disk quota is used up",
}
NOT_WRITABLE = {
    errno.EACCES: "it is not writable",
    errno.EPERM: "it is not writable",
    errno.EROFS: "it is on a disk that is not writable",
    errno.EEXIST: "it is not writable, a file of that name is in the way",
    errno.ENOTDIR: "it is not writable, a file is in the way of a folder",
}


class CacheError(OSError):
    """A folder could not be written; what was there before is unchanged."""


@contextmanager
def atomic_file(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file that appears at `path`, whole and on disk, when the block ends well.

    Until then it has a temporary name in the same folder; after an error it is gone, and a file
    that was at `path` before is unchanged.

    Raises:
        CacheError: if the folder cannot be written or is full.
    """
    path = Path(path)
    with explained(path.parent, NO_ROOM):
        partial = _partial(path)
        try:
            with explained(path.parent, NOT_WRITABLE):
                file = open(partial, "xb")  # noqa: SIM115 (closed below)
            with file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """A new folder that appears at `path`, whole and on disk, when the block ends well.

    The block gets the temporary folder, beside `path`, to fill. After an error it is removed; after
    a kill it stays, unused, until `sweep`. `path` itself must not exist.

    Raises:
        CacheError: if the folder cannot be written or is full.
    """
    path = Path(path)
    with explained(path.parent, NO_ROOM):
        partial = _partial(path)
        with explained(path.parent, NOT_WRITABLE):
            partial.mkdir()
        try:
            yield partial
            _flush(partial)
            os.rename(partial, path)
            _flush_one(path.parent)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def discard(folder: Path) -> None:
    """Remove a folder; a kill meanwhile leaves it whole, or under a name that `sweep` removes."""
    gone = _partial(folder)
    os.rename(folder, gone)
    shutil.rmtree(gone)


def sha256(path: Path | str) -> str:
    """The checksum of a file's content, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path | str) -> int:
    """Remove what killed runs left in `folder`; hold `exclusive(folder)` meanwhile. Counts them."""
    leftovers = list(Path(folder).glob(f"{PARTIAL}*"))
    for leftover in leftovers:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    return len(leftovers)


def _flush(folder: Path) -> None:
    """Bring all that was written below `folder` to the disk."""
    below = list(folder.rglob("*"))
    if len(below) > MANY and hasattr(os, "sync"):
        os.sync()
    else:
        for path in (*below, folder):
            _flush_one(path)


def _flush_one(path: Path) -> None:
    """Bring a file, or the list of a folder's files, to the disk; Windows does so by itself."""
    if os.name == "posix" and not path.is_symlink():
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _partial(path: Path) -> Path:
    """A new temporary name beside `path`, whose folder is made if need be."""
    with explained(path.parent, NOT_WRITABLE):
        path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f"{PARTIAL}{secrets.token_hex(4)}")


@contextmanager
def explained(folder: Path, reasons: dict[int, str]) -> Iterator[None]:
    """Turn an OSError with one of these numbers into a CacheError that says why."""
    try:
        yield
    except OSError as error:
        if isinstance(error, CacheError) or error.errno not in reasons:
            raise
        raise CacheError(
            error.errno,
            f"cannot write to {folder}: {reasons[error.errno]}; what was there is unchanged. "
            "Make room, or choose another folder",
        ) from error
