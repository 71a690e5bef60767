"""Run the program of a package manager. Knows no package manager."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from mmtutor.data.fetch.archive import FetchError


def run(manager: str, command: list[str], folder: Path, what: str, instead: str) -> str:
    """What `command`, run in `folder`, prints.

    Args:
        manager: its name, for the message.
        what: the package that is asked for, for the message.
        instead: what a reader can do where the program is missing or fails.

    Raises:
        FetchError: the program is not here, or it failed.
    """
    if (program := shutil.which(command[0])) is None:
        raise FetchError(f"there is no {manager} here. {instead}")
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.splitlines()
        errors = [line for line in lines if line.startswith(("E:", "ERROR", "npm err", "npm ERR"))]
        message = " ".join(" ".join(errors or lines).split())[:300] or "it said nothing"
        raise FetchError(f"{manager} could not get {what} ({message}). {instead}")
    return done.stdout
