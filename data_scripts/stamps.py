"""Get the stamps: Debian's package tuxpaint-stamps-default, verified, unpacked safely and cached.

Where the stamps are already there, it does nothing.
"""

from __future__ import annotations

import sys

from data_scripts.package import run
from mmtutor.data.real import stamps


def main() -> int:
    return run("stamps", __doc__, lambda archive, out: stamps.get(archive, out).report())


if __name__ == "__main__":
    sys.exit(main())
