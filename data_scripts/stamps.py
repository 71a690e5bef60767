"""Get the stamps: Debian's package tuxpaint-stamps-default, verified, unpacked safely and kept.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("stamps", __doc__))
