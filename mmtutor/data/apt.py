"""Get a Debian package with apt, without root.

Knows apt's download command and how to give it private package lists.
Does not know what is in the package.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path


class AptError(RuntimeError):
    """apt is not there or could not fetch the package."""


def download(package: str, folder: Path | str) -> Path:
    """The `.deb` of `package`, fetched and verified by apt into `folder`.

    Uses the system's package lists; where they are missing or stale, fetches private ones beside, so that no
    root is needed.

    Raises:
        AptError: where there is no apt, or it fails.
    """
    program = shutil.which("apt-get")
    if program is None:
        raise AptError(
            f"this system has no apt: download the package {package} (the .deb file) in a browser from Debian's "
            "package pages, and pass it with --archive FILE.deb"
        )
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    attempt = _run([program, "-q", *_SANDBOX, "download", package], folder)
    if attempt.returncode:
        with tempfile.TemporaryDirectory(prefix="apt-", dir=folder) as private:
            options = [*_SANDBOX, *_private_lists(Path(private))]
            _run([program, "-q", *options, "update"], folder)
            attempt = _run([program, "-q", *options, "download", package], folder)
    found = sorted(folder.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
    if attempt.returncode or not found:
        last = " ".join((attempt.stderr or attempt.stdout).split("\n")[-4:]).strip()
        raise AptError(
            f"apt could not download {package}: {last or 'no message'}; with the .deb from Debian's package "
            "pages, pass --archive FILE.deb"
        )
    return found[-1]


_SANDBOX = ["-o", "APT::Sandbox::User="]  # as root, do not change to a user who cannot write to our folder


def _private_lists(folder: Path) -> list[str]:
    """Options that keep package lists and apt's cache in `folder`."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return ["-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}"]


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
