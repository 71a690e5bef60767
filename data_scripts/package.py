"""The command line that the scripts for sets of package managers share. Knows no data set."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmtutor.data.fetch import cache_dir, get, summary
from mmtutor.files import CacheError


def run(name: str, description: str) -> int:
    """Fetch the set `name` unless it is there, and say what there is; 1 on failure.

    With apt no root is needed. Without apt (macOS, Windows), the reader downloads the .deb in a
    browser from Debian's package pages, and passes it with --deb.
    """
    parser = argparse.ArgumentParser(description=description.split("\n\n")[0])
    parser.add_argument("--deb", type=Path, help="the package as a file, instead of a download")
    parser.add_argument(
        "--out", type=Path, default=cache_dir(), help="cache folder (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        get(name, root=options.out, package=options.deb)
        print(summary(name, options.out))
    except (ValueError, OSError) as error:
        print(
            f"{name}: {error.strerror if isinstance(error, CacheError) else error}", file=sys.stderr
        )
        return 1
    return 0
