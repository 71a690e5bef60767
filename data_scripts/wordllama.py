"""Get WordLlama's embeddings and tokenizer: a wheel from PyPI, verified; none of its code runs.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("wordllama", __doc__))
