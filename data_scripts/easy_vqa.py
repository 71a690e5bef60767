"""Get easy-VQA: the wheel easy-vqa from PyPI, verified and kept as one file; none of its code runs.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("easy-vqa", __doc__))
