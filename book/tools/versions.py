"""Run the unit tests with the versions installed here, and note which they were and what came.

    _build/venv-lowest/bin/python -m book.tools.versions lowest    # `make test-lowest`
    _build/venv-newest/bin/python -m book.tools.versions newest    # `make test-newest`

Does not know how the versions were chosen, nor how the page that shows the notes is rendered.
"""

from __future__ import annotations

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import tomllib
from datetime import date
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from book.tools.layout import Book, write_atomically
from book.tools.pages.versions import BOUNDS, NOTES, read

OWN = "tests/book/test_versions.py"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="versions", description=__doc__)
    parser.add_argument("bound", choices=BOUNDS)
    parser.add_argument("--jobs", default="auto", help="processes at once")
    parser.add_argument("--root", type=Path, default=Book.root, help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    book = Book(options.root)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "tests.xml")
        code = run_tests(book, report, options.jobs)
        counts = outcomes(report)
    note = {
        "date": date.today().isoformat(),
        "python": platform.python_version(),
        "tests": counts,
        "packages": {each: metadata.version(each) for each in declared(book) if installed(each)},
    }
    notes = json.dumps(read(book) | {options.bound: note}, indent=2, sort_keys=True)
    write_atomically(book.source / NOTES, notes + "\n")
    return code


def run_tests(book: Book, report: Path, jobs: str) -> int:
    """pytest in `jobs` processes, without the tests of the notes that are about to be replaced."""
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--ignore={OWN}"]
    options = ["--continue-on-collection-errors", "--numprocesses", jobs, "--dist", "loadfile"]
    return subprocess.run([*pytest, *options, f"--junitxml={report}"], cwd=book.root).returncode


def outcomes(report: Path) -> dict[str, int]:
    """How many tests passed, failed (a file that cannot be read counts as one) and were skipped."""
    (suite,) = ElementTree.parse(report).getroot()
    total, failures, errors, skipped = (
        int(suite.get(name)) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}


def installed(name: str) -> bool:
    """Whether a package is here; those of the extras that no test needs are not."""
    return any(metadata.distributions(name=name))


def declared(book: Book) -> dict[str, SpecifierSet]:
    """The packages that `pyproject.toml` names, by name, and the versions that it allows."""
    project = tomllib.loads((book.root / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    needed = sorted({spec for group in groups for spec in group})
    return {each.name: each.specifier for each in map(Requirement, needed)}


if __name__ == "__main__":
    sys.exit(main())
