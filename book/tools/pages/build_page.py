"""The page "How this book was built"."""

from __future__ import annotations

from book.tools.execute import Timing

PAGE = "appendix/build.md"


def page(runs: list[Timing]) -> str:
    """How long each chapter ran, when, on what, and with which versions."""
    rows = [f"| `{run.chapter}` | {run.seconds:.1f} | {run.date} | {run.machine} |" for run in runs]
    seconds = sum(run.seconds for run in runs)
    versions = sorted({pair for run in runs for pair in run.versions.items()})
    return "\n".join(
        [
            "# How this book was built",
            "",
            "Every chapter was executed from top to bottom before this page was written. "
            "These are the times, wall clock, with the machine and the versions they belong to.",
            "",
            "| Chapter | Seconds | Date | Machine |",
            "|---|--:|---|---|",
            *rows,
            f"| all | {seconds:.1f} | | |",
            "",
            "| Package | Version |",
            "|---|---|",
            *(f"| {name} | {version} |" for name, version in versions),
            "",
        ]
    )
