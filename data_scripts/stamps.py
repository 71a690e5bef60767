"""Get the stamps: Debian's package tuxpaint-stamps-default, verified, unpacked safely and cached.

With apt no root is needed. Without apt (macOS, Windows), download the .deb in a browser from
Debian's package pages, and pass it with --archive. Where the stamps are already there, it does
nothing.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from mmtutor.data import apt, stamps
from mmtutor.data.cache import CacheError, cache_dir


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--archive", type=Path, help="a .deb you have, instead of apt's download")
    parser.add_argument(
        "--out", type=Path, default=cache_dir(), help="cache folder (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        print(stamps.get(options.archive, options.out).report())
    except (ValueError, OSError, apt.AptError) as error:
        reason = error.strerror if isinstance(error, CacheError) else error
        print(f"stamps: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
