"""Where data are kept, and writing that never leaves half a file behind.

Knows the cache folder, atomic files and folders, and a lock between processes.
Does not know what is cached.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial-"
FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}


class CacheError(OSError):
    """The cache could not be written; what was there before is unchanged."""


def cache_dir() -> Path:
    """The folder for everything cached: `$MMTUTOR_CACHE`, or the user's cache folder. It may not exist yet."""
    chosen = os.environ.get("MMTUTOR_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("mmtutor", appauthor=False))


@contextmanager
def atomic_file(path: Path | str) -> Iterator[BinaryIO]:
    """A binary file that appears at `path`, whole and on disk, when the block ends without an error.

    Until then it has a temporary name in the same folder, and after an error it is gone.

    Raises:
        CacheError: if the folder cannot be written or is full.
    """
    path = Path(path)
    with _explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=PARTIAL, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise


@contextmanager
def atomic_folder(path: Path | str) -> Iterator[Path]:
    """A new folder that appears at `path`, whole, when the block ends without an error.

    The block gets the temporary folder, beside `path`, to fill. After an error it is removed; after a kill
    it stays, unused, until `sweep`. `path` itself must not exist.

    Raises:
        CacheError: if the folder cannot be written or is full.
    """
    path = Path(path)
    with _explained(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=path.parent))
        try:
            yield partial
            getattr(os, "sync", lambda: None)()  # thousands of small files: one flush, not one each
            os.rename(partial, path)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def sweep(folder: Path | str) -> int:
    """Remove what killed runs left in `folder`; returns how many. Hold `exclusive(folder)` while you do."""
    leftovers = list(Path(folder).glob(f"{PARTIAL}*"))
    for leftover in leftovers:
        if leftover.is_dir() and not leftover.is_symlink():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()
    return len(leftovers)


@contextmanager
def exclusive(folder: Path | str) -> Iterator[None]:
    """Wait until no other process holds `folder`, then hold it. A killed process lets go by itself.

    Raises:
        CacheError: if the folder cannot be written.
    """
    folder = Path(folder)
    with _explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with open(folder / ".lock", "a+b") as file:
            _lock(file)
            yield


def _lock(file: BinaryIO) -> None:
    """Lock an open file until it is closed."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Say in words why the folder could not be written."""
    try:
        yield
    except CacheError:
        raise
    except OSError as error:
        if error.errno in FULL:
            why = "no room left (or a file-size limit was hit)"
        elif isinstance(error, (PermissionError, FileExistsError, NotADirectoryError)):
            why = "the folder is not writable"
        else:
            raise
        advice = "choose another folder with $MMTUTOR_CACHE or --out"
        raise CacheError(
            error.errno, f"cannot write to {folder}: {why}; nothing kept was changed; {advice}"
        ) from error
