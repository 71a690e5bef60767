"""Files of PyPI: wheels and source archives, fetched but neither installed, built nor run.

Knows how the reader's own pip is asked, with the index, proxy and certificates that pip is set up
for. Does not know what is in the file.

A wheel comes by `pip download`, which only copies it. For a source archive that command would run
the archive's `setup.py` to learn its dependencies. So the archive's address is looked up in the
index that pip uses, and the file is copied from there; whoever runs it, it is not us.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import Request, urlopen

from mmtutor.data.fetch import client
from mmtutor.data.fetch.archive import FetchError

_PIP = [sys.executable, "-m", "pip"]
_INSTEAD = (
    "Is there a network, and pip (python -m ensurepip)? Else take a folder that `mmtutor fetch "
    "--to` filled elsewhere, with --from"
)
PAUSE = 2.0  # seconds before another try
_JSON = "application/vnd.pypi.simple.v1+json"


def download(name: str, version: str, file: str, folder: Path) -> Path:
    """The file `file` of `name` in `version`, whatever machine it is for, fetched into `folder`.

    Raises:
        FetchError: there is no pip or no network, or the index has no such file.
    """
    what = f"{name} {version}"
    if file.endswith(".whl"):
        python, abi, platforms = file.removesuffix(".whl").split("-")[-3:]
        command = [*_PIP, "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]
        if platforms != "any":  # ask for this very file on every machine
            command += [f"--platform={platform}" for platform in platforms.split(".")]
            command += [f"--implementation={python[:2]}", f"--abi={abi}"]
            command += [f"--python-version={python[2:]}"]
        command += ["--ignore-requires-python", f"--dest={folder}", f"{name}=={version}"]
        client.run("pip", command, folder, what, _INSTEAD)
    else:
        printed = client.run("pip", [*_PIP, "download", "--help"], folder, what, _INSTEAD)
        index = re.search(r"Python Package Index \(default ([^)\s]+)", " ".join(printed.split()))
        page = f"{index[1].rstrip('/')}/{re.sub(r'[-_.]+', '-', name).lower()}/"
        try:
            _copy(page, file, folder)
        except (OSError, ValueError, KeyError) as error:
            raise FetchError(f"could not get {what} ({error}). {_INSTEAD}") from error
    if not (folder / file).is_file():
        found = ", ".join(path.name for path in folder.iterdir())
        raise FetchError(f"pip brought {found or 'nothing'} for {what}: expected {file}")
    return folder / file


def _copy(page: str, file: str, folder: Path, tries: int = 3) -> None:
    """Look up where the index keeps `file`, on its page of the package, and copy it from there."""
    try:
        with urlopen(Request(page, headers={"Accept": _JSON}), timeout=60) as answer:
            files = {entry["filename"]: entry["url"] for entry in json.load(answer)["files"]}
            address = urljoin(answer.url, files[file])
        with urlopen(address, timeout=60) as source, open(folder / file, "wb") as out:
            shutil.copyfileobj(source, out)
    except OSError:
        if tries == 1:
            raise
        time.sleep(PAUSE)
        _copy(page, file, folder, tries - 1)
