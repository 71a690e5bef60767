"""Get Fashion-MNIST: Debian's package dataset-fashion-mnist, verified and kept as one file.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("fashion-mnist", __doc__))
