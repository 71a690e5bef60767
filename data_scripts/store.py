"""Store the results of finished runs with the package, for a chapter to show.

mmtutor run vqa --preset t4 --seed 0 --out runs/0      # and seeds 1, 2
python -m data_scripts.store vqa-t4 runs/0 runs/1 runs/2
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from mmtutor.recipes.common.stored import store, store_weights


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Store the result of finished runs.")
    parser.add_argument("name", help="what the stored result is called")
    parser.add_argument("runs", type=Path, nargs="+", help="folders that `mmtutor run` wrote")
    parser.add_argument("--weights", action="store_true", help="keep the first one's model too")
    options = parser.parse_args(arguments)
    try:
        if options.weights:
            print(f"stored in {store_weights(options.name, options.runs[0])}")
        print(f"stored in {store(options.name, options.runs)}")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
