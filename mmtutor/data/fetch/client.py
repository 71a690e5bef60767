"""Fetch the file of a package by its manager's own client: pip, npm or apt.

Knows how each is asked, with the index, proxy and certificates that the reader has set up for it.
Nothing fetched is installed, built or run. Does not know what is in a file.

Source: the manual pages pip-download(1), npm-pack(1) and apt-get(8).
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urljoin
from urllib.request import Request, urlopen

from mmtutor.data.fetch.archive import FetchError
from mmtutor.data.fetch.registry import Package

_PIP = [sys.executable, "-m", "pip"]
# Without a sandbox's user, for that user may not write to our folder where root runs apt.
_APT = ["apt-get", "-q", "-oAcquire::Retries=3", "-oAPT::Sandbox::User="]
_NPM = ["npm", "pack", "--ignore-scripts", "--loglevel=error"]
_BUNDLE = "Else take a folder that `mmtutor fetch --to` filled elsewhere, with --from"
_INSTEAD = {
    "pip": f"Is there a network, and pip (python -m ensurepip)? {_BUNDLE}",
    "npm": f"Is there a network, and npm (it comes with Node.js)? {_BUNDLE}",
    "apt": "Download the package in a browser from Debian's pages, and pass it with --deb FILE.deb",
}
PAUSE = 2.0  # seconds before another try
_JSON = "application/vnd.pypi.simple.v1+json"


def download(package: Package, folder: Path) -> Path:
    """The file of `package`, fetched into the empty `folder`.

    Raises:
        FetchError: the client is not here, there is no network, or it has no such file; says what
            to do instead.
    """
    client, fetch = {"pypi": ("pip", _pip), "npm": ("npm", _npm), "debian": ("apt", _apt)}[
        package.manager
    ]
    fetch(package, folder)
    found = [path.name for path in folder.iterdir()]
    if len(found) != 1 or package.file not in ("", *found):
        wanted = package.file or "one file"
        raise FetchError(
            f"{client} brought {', '.join(found) or 'nothing'} for {package}: expected {wanted}"
        )
    return folder / found[0]


def _pip(package: Package, folder: Path) -> None:
    """A wheel for whatever machine comes by `pip download`, which only copies it.

    For a source archive that command would run the archive's `setup.py` to learn its dependencies.
    So the archive's address is looked up in the index that pip uses, and the file is copied from
    there.
    """
    if package.file.endswith(".whl"):
        python, abi, platforms = package.file.removesuffix(".whl").split("-")[-3:]
        options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--ignore-requires-python"]
        if platforms != "any":  # ask for this very file on every machine
            options += [f"--platform={platform}" for platform in platforms.split(".")]
            options += [f"--implementation={python[:2]}", f"--abi={abi}"]
            options += [f"--python-version={python[2:]}"]
        wanted = f"{package.name}=={package.version}"
        _run("pip", [*_PIP, "download", *options, f"--dest={folder}", wanted], package, folder)
        return
    printed = _run("pip", [*_PIP, "download", "--help"], package, folder)
    index = re.search(r"Python Package Index \(default ([^)\s]+)", " ".join(printed.split()))
    page = f"{index[1].rstrip('/')}/{re.sub(r'[-_.]+', '-', package.name).lower()}/"
    try:
        _copy(page, package.file, folder)
    except (OSError, ValueError, KeyError) as error:
        raise FetchError(f"could not get {package} ({error}). {_INSTEAD['pip']}") from error


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


def _npm(package: Package, folder: Path) -> None:
    """`npm pack`, which runs no script of the package."""
    _run("npm", [*_NPM, f"{package.name}@{package.version}"], package, folder)


def _apt(package: Package, folder: Path) -> None:
    """By the system's package lists; where those are missing or stale by private ones, so that no
    root is needed. Whatever version they have."""
    try:
        _run("apt", [*_APT, "download", package.name], package, folder)
    except FetchError:
        with tempfile.TemporaryDirectory(prefix="apt-", dir=folder) as private:
            for part in ("lists/partial", "cache/archives/partial"):
                (Path(private) / part).mkdir(parents=True)
            apt = [*_APT, f"-oDir::State::Lists={private}/lists", f"-oDir::Cache={private}/cache"]
            _run("apt", [*apt, "update"], package, folder)
            _run("apt", [*apt, "download", package.name], package, folder)


def _run(client: str, command: list[str], package: Package, folder: Path) -> str:
    """What `command`, run in `folder`, prints; FetchError if it is not here or fails."""
    if (program := shutil.which(command[0])) is None:
        raise FetchError(f"there is no {client} here. {_INSTEAD[client]}")
    done = subprocess.run(
        [program, *command[1:]], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode:
        lines = done.stderr.splitlines()
        errors = [line for line in lines if line.startswith(("E:", "ERROR", "npm err", "npm ERR"))]
        message = " ".join(" ".join(errors or lines).split())[:300] or "it said nothing"
        raise FetchError(f"{client} could not get {package} ({message}). {_INSTEAD[client]}")
    return done.stdout
