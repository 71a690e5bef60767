"""Debian packages: get one with apt, without root, and read one without trusting it.

Knows apt's download command and how to give it private package lists, the `ar` container, the two
tar archives in it, and the package's own checksums. Does not know what the files mean.

Source: the manual pages apt-get(8), deb(5) and deb-md5sums(5).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from mmtutor.data.fetch import client
from mmtutor.data.fetch.archive import FetchError, damage_named, extract, tar_members

# Without a sandbox's user, for that user may not write to our folder where root runs apt.
_APT = ["apt-get", "-q", "-oAcquire::Retries=3", "-oAPT::Sandbox::User="]


def download(package: str, folder: Path) -> Path:
    """The `.deb` of `package`, fetched and verified by apt into `folder`.

    Uses the system's package lists; where those are missing or stale it fetches private ones, so
    that no root is needed.

    Raises:
        FetchError: where there is no apt, or it fails; says what to do instead.
    """
    instead = (
        f"Download the .deb file of {package} in a browser from Debian's package pages, and pass "
        "it with --deb FILE.deb"
    )

    def apt(*options: str) -> None:
        client.run("apt", [*_APT, *options], folder, package, instead)

    try:
        apt("download", package)
    except FetchError:
        with tempfile.TemporaryDirectory(prefix="apt-", dir=folder) as private:
            for part in ("lists/partial", "cache/archives/partial"):
                (Path(private) / part).mkdir(parents=True)
            lists = f"-oDir::State::Lists={private}/lists", f"-oDir::Cache={private}/cache"
            apt(*lists, "update")
            apt(*lists, "download", package)
    return next(folder.glob(f"{package}_*.deb"))


def unpack(
    path: Path, package: str, folder: Path, inside: str, endings: Sequence[str] = ("",)
) -> str:
    """Write the files of a `.deb` to `folder`, as `archive.extract` does; the package's version.

    Every file written has the MD5 checksum that the package states, and every such file that the
    package lists is written.

    Raises:
        FileNotFoundError: there is no such file.
        FetchError: the file is damaged, hostile or another package.
    """
    with damage_named(path.name), tempfile.TemporaryDirectory() as temporary:
        with _tar(path, "control") as stream:
            members = tar_members(stream, path.name)
            extract(members, path.name, Path(temporary), "", ("control", "md5sums"))
        texts = {file.name: file.read_text("utf-8") for file in Path(temporary).iterdir()}
        if missing := {"control", "md5sums"} - set(texts):
            raise FetchError(f"{path.name}: the package has no {min(missing)} file")
        fields = dict(re.findall(r"(?m)^(\w+): *(.*)$", texts["control"]))
        if fields.get("Package") != package:
            raise FetchError(f"{path.name} is package {fields.get('Package')!r}: not {package!r}")
        with _tar(path, "data") as stream:
            extract(tar_members(stream, path.name), path.name, folder, inside, endings)
    sums = re.findall(rf"(?m)^(\w+)\s+(?:\./)?{re.escape(inside)}/(.+)$", texts["md5sums"])
    due = {name: md5.lower() for md5, name in sums if name.endswith(tuple(endings))}
    _check(path.name, folder, due)
    return fields.get("Version", "unknown")


def _check(archive: str, folder: Path, due: dict[str, str]) -> None:
    """FetchError unless the files in `folder` are those of `due`, a name -> MD5 checksum."""
    for file in (path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if name not in due:
            raise FetchError(f"{archive}: {name!r} is not in the package's md5sums")
        if hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() != due.pop(name):
            raise FetchError(f"{archive}: {name!r} is damaged: its checksum differs")
    if due:
        raise FetchError(
            f"{archive}: {len(due)} of the files it lists are missing, first {min(due)!r}: "
            "truncated?"
        )


def _parts(path: Path) -> dict[str, bytes]:
    """Name -> content of the members of an `ar` archive."""
    parts: dict[str, bytes] = {}
    data = path.read_bytes()
    if data[:8] != b"!<arch>\n":
        raise FetchError(f"{path.name}: not a Debian package (no ar signature)")
    at = 8
    while header := data[at : at + 60]:
        if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
            raise FetchError(f"{path.name}: damaged or truncated after {sorted(parts)}")
        name, size = header[:16].decode("ascii", "replace").rstrip(" /"), int(header[48:58])
        parts[name] = data[at + 60 : at + 60 + size]
        if len(parts[name]) < size:
            raise FetchError(f"{path.name} is truncated: {name} lacks some of its {size} bytes")
        at += 60 + size + size % 2
    if next(iter(parts), None) != "debian-binary":
        raise FetchError(f"{path.name}: not a Debian package (no debian-binary at its beginning)")
    return parts


@contextmanager
def _tar(path: Path, part: str) -> Iterator[BinaryIO]:
    """The tar archive `part` ("control" or "data") of a package, decompressed, as a stream."""
    parts = _parts(path)
    name = next((name for name in parts if name.startswith(f"{part}.tar")), None)
    if name is None:
        raise FetchError(f"{path.name}: no {part}.tar in it, only {sorted(parts)}")
    readers = {".xz": lzma.open, ".gz": gzip.open, ".tar": lambda file: file}
    ending = Path(name).suffix
    if ending == ".zst":
        with _dpkg_deb(path, part) as stream:
            yield stream
    elif ending in readers:
        with readers[ending](io.BytesIO(parts[name])) as stream:
            yield stream
    else:
        raise FetchError(f"{path.name}: cannot read {name}: expected .tar, .gz, .xz or .zst")


@contextmanager
def _dpkg_deb(path: Path, part: str) -> Iterator[BinaryIO]:
    """Zstandard (Ubuntu's packages) is decompressed by dpkg-deb, which is wherever apt is."""
    program = shutil.which("dpkg-deb")
    if program is None:
        raise FetchError(
            f"{path.name} is compressed with zstd, which needs dpkg-deb; Debian's own package is "
            "compressed with xz and needs no program"
        )
    option = {"data": "--fsys-tarfile", "control": "--ctrl-tarfile"}[part]
    command = [program, option, str(path.resolve())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.stdout
            while process.stdout.read(2**16):
                pass  # the padding after the archive's end
            if process.wait():
                raise FetchError(f"{path.name}: dpkg-deb cannot unpack {part}.tar.zst")
        finally:
            process.kill()
