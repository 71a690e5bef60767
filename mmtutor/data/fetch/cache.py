"""Where data are kept, and a lock between processes.

Knows the cache folder. Does not know what is cached.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mmtutor.files import NOT_WRITABLE, explained


def cache_dir() -> Path:
    """The folder for all cached data: `$MMTUTOR_CACHE`, or the user's cache. It may not exist."""
    chosen = os.environ.get("MMTUTOR_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    from platformdirs import user_cache_dir

    return Path(user_cache_dir("mmtutor", appauthor=False))


@contextmanager
def exclusive(folder: Path | str) -> Iterator[None]:
    """Wait until no other process holds `folder`, then hold it. A killed process lets go.

    Raises:
        CacheError: if the folder cannot be written.
    """
    folder = Path(folder)
    with explained(folder, NOT_WRITABLE):
        folder.mkdir(parents=True, exist_ok=True)
        file = open(folder / ".lock", "a+b")  # noqa: SIM115 (closed below)
    with file:
        _lock(file)
        yield


def _lock(file: BinaryIO) -> None:
    """Lock an open file until it is closed."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        file.seek(0)
        while True:
            try:  # gives up after ten seconds
                return msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)
            except OSError as error:
                if error.errno != errno.EDEADLOCK:
                    raise
    fcntl.flock(file, fcntl.LOCK_EX)
