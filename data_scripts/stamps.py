"""Get the stamps: Debian's package tuxpaint-stamps-default, verified, unpacked safely and cached.

With apt no root is needed. Without apt (macOS, Windows), download the .deb in a browser from
Debian's package pages, and pass it with --archive. Where the stamps are already there, it does
nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmtutor.data import apt, stamps_archive
from mmtutor.data.cache import CacheError, cache_dir


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--archive", type=Path, help="a .deb you have, instead of apt's download")
    parser.add_argument(
        "--out", type=Path, default=cache_dir(), help="cache folder (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        print(acquire(options.archive, options.out))
    except (ValueError, OSError, apt.AptError) as error:
        reason = error.strerror if isinstance(error, CacheError) else error
        print(f"stamps: {reason}", file=sys.stderr)
        return 1
    return 0


def acquire(archive: Path | None, out: Path) -> str:
    """Fill the cache from `archive`, or if it is empty with apt; returns the report."""
    if archive is not None:
        return stamps_archive.prepare(archive, out).report()
    try:
        return "The stamps are already there.\n" + stamps_archive.read(out).report()
    except FileNotFoundError:
        print(f"Getting {stamps_archive.PACKAGE} with apt …", flush=True)
    archive = apt.download(stamps_archive.PACKAGE, stamps_archive.home_folder(out))
    report = stamps_archive.prepare(archive, out).report()
    archive.unlink()  # kept until here, so that a run that was killed need not download again
    return report


if __name__ == "__main__":
    sys.exit(main())
