"""`python -m benchmarks [NAME ...]`: run all, or those named; exit 1 if a bound did not hold."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from benchmarks.harness import measure, record

FOLDER = Path(__file__).parent
NAMES = sorted(m.name for m in iter_modules([str(FOLDER)]) if m.name not in ("harness", "__main__"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder for results.json and .md")
    options = parser.parse_args()
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"unknown benchmark {min(unknown)!r}: expected one of {', '.join(NAMES)}")
    rows = []
    for name in options.names or NAMES:
        for comparison in import_module(f"benchmarks.{name}").comparisons():
            print(f"{name}: {comparison.what}, against {comparison.peer} …", flush=True)
            rows.append(measure(name, comparison))
            print(f"  ratio {rows[-1]['ratio']:.3g}, {verdict(rows[-1])}", flush=True)
    record(rows, options.out)
    print(f"written to {options.out}: results.json, results.md")
    return 0 if all(row["held"] for row in rows) else 1


def verdict(row: dict) -> str:
    if row["at_most"] is None:
        return "no bound"
    return f"bound {row['at_most']:g} {'held' if row['held'] else 'NOT held'}"


if __name__ == "__main__":
    raise SystemExit(main())
