"""The command line that the scripts for Debian packages share. Knows no data set."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from mmtutor.data.fetch.apt import AptError
from mmtutor.data.fetch.cache import cache_dir
from mmtutor.files import CacheError


def run(name: str, description: str, get: Callable[[Path | None, Path], str]) -> int:
    """Parse the arguments, call `get(archive, cache folder)` and print what it says; 1 on failure.

    With apt no root is needed. Without apt (macOS, Windows), the reader downloads the .deb in a
    browser from Debian's package pages, and passes it with --archive.
    """
    parser = argparse.ArgumentParser(description=description.split("\n\n")[0])
    parser.add_argument("--archive", type=Path, help="a .deb you have, instead of apt's download")
    parser.add_argument(
        "--out", type=Path, default=cache_dir(), help="cache folder (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        print(get(options.archive, options.out))
    except (ValueError, OSError, AptError) as error:
        reason = error.strerror if isinstance(error, CacheError) else error
        print(f"{name}: {reason}", file=sys.stderr)
        return 1
    return 0
