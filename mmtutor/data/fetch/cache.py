"""Where data are kept, and a lock between processes. Does not know what is cached."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_dir

from mmtutor.checks import instance
from mmtutor.files import NOT_WRITABLE, explained


def cache_dir() -> Path:
    """The folder for all cached data: `$MMTUTOR_CACHE`, or the user's cache. It may not exist."""
    default = user_cache_dir("mmtutor", appauthor=False)
    return Path(os.environ.get("MMTUTOR_CACHE") or default).expanduser()


@contextmanager
def exclusive(folder: Path | str) -> Iterator[None]:
    """Wait until no other process holds `folder`, then hold it. A killed process lets go.

    Raises:
        CacheError: if the folder cannot be written.
    """
    instance((str, Path), folder=folder)
    with explained(Path(folder), NOT_WRITABLE):
        Path(folder).mkdir(parents=True, exist_ok=True)
        held = FileLock(Path(folder) / ".lock").acquire()
    with held:
        yield
