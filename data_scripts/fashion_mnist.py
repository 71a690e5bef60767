"""Get Fashion-MNIST: Debian's package dataset-fashion-mnist, verified and cached as one file.

Where the pictures are already there, it does nothing.
"""

from __future__ import annotations

import sys

from data_scripts.package import run
from mmtutor.data.real import fashion_mnist


def main() -> int:
    return run("fashion-mnist", __doc__, fashion_mnist.get)


if __name__ == "__main__":
    sys.exit(main())
