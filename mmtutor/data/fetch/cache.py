"""Where data are kept, and a lock between processes. Does not know what is cached."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
    from filelock import FileLock

    with explained(Path(folder), NOT_WRITABLE):
        Path(folder).mkdir(parents=True, exist_ok=True)
        held = FileLock(Path(folder) / ".lock").acquire()
    with held:
        yield
