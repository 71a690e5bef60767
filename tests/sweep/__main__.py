"""The sweep's own command: see the package's docstring."""

from __future__ import annotations

import argparse
import sys

from tests.sweep.registry import entries, missing
from tests.sweep.run import report, sweep


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("prefix", nargs="*", help="dotted names, without mmtutor")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=20, help="bad inputs for each argument")
    asked = parser.parse_args()
    prefixes = tuple(f"mmtutor.{p}" for p in asked.prefix) or ("mmtutor.",)
    counts = sweep([e for e in entries() if e.name.startswith(prefixes)], asked.seed, asked.each)
    print(report(counts))
    lacking = sorted(name for name in missing() if name.startswith(prefixes))
    if lacking:
        print(f"{len(lacking)} without an entry:", *lacking, sep="\n  ")
    return int(bool(counts.failures))


if __name__ == "__main__":
    sys.exit(main())
