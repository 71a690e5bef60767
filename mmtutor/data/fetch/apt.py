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

    Uses the system's package lists; where those are missing or stale it fetches private ones, so
    that no root is needed.

    Raises:
        AptError: where there is no apt, or it fails; says what to do instead.
    """
    program = shutil.which("apt-get")
    if program is None:
        raise AptError(f"there is no apt here. {_instead(package)}")
    folder = Path(folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # Without the option, root becomes a user who may not write to our folder.
    command = [program, "-q", "-o", "APT::Sandbox::User="]
    attempt = _run([*command, "download", package], folder)
    if attempt.returncode:
        with tempfile.TemporaryDirectory(prefix="apt-", dir=folder) as private:
            command += _private_lists(Path(private))
            _run([*command, "update"], folder)
            attempt = _run([*command, "download", package], folder)
    found = sorted(folder.glob(f"{package}_*.deb"), key=lambda path: path.stat().st_mtime)
    if attempt.returncode or not found:
        message = " ".join(attempt.stderr.split()) or "no message"
        raise AptError(f"apt could not download {package} ({message[-300:]}). {_instead(package)}")
    return found[-1]


def _instead(package: str) -> str:
    return (
        f"Download the .deb file of {package} in a browser from Debian's package pages, and pass "
        "it with --archive FILE.deb"
    )


def _private_lists(folder: Path) -> list[str]:
    """Options that keep package lists and apt's cache in `folder`."""
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return ["-o", f"Dir::State::Lists={folder / 'lists'}", "-o", f"Dir::Cache={folder / 'cache'}"]


def _run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
