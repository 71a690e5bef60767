"""Get the emoji: packages of npm, verified, their pictures and names kept.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("emoji", __doc__))
