"""Get the drawings of Open Clip Art: Debian's package openclipart-svg, verified, drawn and kept.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("openclipart", __doc__))
