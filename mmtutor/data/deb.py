"""Read a Debian package without trusting it: `DebPackage`.

Knows the `ar` container, the two tar archives in it, the package's own md5sums, and which members are hostile.
Does not know what the files mean, and writes nothing: it hands out names that were checked, and bytes.

Source: the deb(5) manual page, and deb-md5sums(5) for the checksums.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MAX_FILE = 32 * 2**20  # bytes of one member
MAX_TOTAL = 2**30  # bytes of the whole archive, unpacked
MAX_MEMBERS = 50_000
MAGIC = b"!<arch>\n"
FORBIDDEN = set('\\:*?"<>|') | {chr(code) for code in range(32)}


class DebError(ValueError):
    """The package is damaged, hostile, or not a Debian package."""


class DebPackage:
    """A `.deb` file: its description, and the files under one folder of it, each checked.

    Attributes:
        path: the file.
        fields: the control fields, such as `Package` and `Version`.
        md5sums: member name -> MD5 digest in hex, as the package states them.

    Raises:
        FileNotFoundError: if there is no such file.
        DebError: if the container is damaged or lacks a part that is needed.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._parts = _ar_parts(self.path)
        control = dict(self._members("control", lambda name: True))
        for needed in ("control", "md5sums"):
            if needed not in control:
                raise DebError(f"{self.path.name}: the package has no {needed} file")
        self.fields = _fields(_text(control["control"], "control"))
        self.md5sums = _checksums(_text(control["md5sums"], "md5sums"))

    def files(
        self, folder: str, wanted: Callable[[str], bool] = lambda name: True
    ) -> Iterator[tuple[str, bytes]]:
        """The regular files under `folder` for which `wanted(relative name)`, as (relative name, bytes).

        Every file handed out has a safe relative name and the MD5 digest the package states. When the
        iteration ends without an error, every wanted file that the package lists has been handed out, once.

        Raises:
            DebError: for a damaged archive; a member with an unsafe name anywhere; under `folder` (or in place
                of one of its parents) a link, a device, a pipe, or a name twice; too many members or bytes; a
                file that is not listed, missing, or differs from its digest.
        """
        prefix = folder.strip("/") + "/"

        def under(name: str) -> bool:
            return name.startswith(prefix) and wanted(name[len(prefix) :])

        due = {name for name in self.md5sums if under(name)}
        for name, data in self._members("data", under, prefix):
            if name not in due:
                raise DebError(f"{self.path.name}: {name!r} has no checksum in the package's md5sums")
            if hashlib.md5(data, usedforsecurity=False).hexdigest() != self.md5sums[name]:
                raise DebError(f"{self.path.name}: {name!r} differs from its checksum: damaged file")
            due.remove(name)
            yield name[len(prefix) :], data
        if due:
            raise DebError(
                f"{self.path.name}: {len(due)} listed files are missing, first {min(due)!r}: truncated archive?"
            )

    def _members(
        self, part: str, wanted: Callable[[str], bool], prefix: str = ""
    ) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of the wanted regular files of one part; `prefix` is where links are refused."""
        seen: set[str] = set()
        with self._tar(part) as archive:
            for count, member in enumerate(archive, 1):
                if count > MAX_MEMBERS:
                    raise DebError(f"{self.path.name}: more than {MAX_MEMBERS} members")
                name = safe_name(member.name, self.path.name)
                inside = f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/")
                if inside and not member.isdir():
                    _refuse(member, name, name in seen, self.path.name)
                    seen.add(name)
                if member.isdir() or not inside or not wanted(name):
                    continue
                yield name, archive.extractfile(member).read()

    @contextmanager
    def _tar(self, part: str) -> Iterator[tarfile.TarFile]:
        """The tar archive `part` ("control" or "data") as a stream, its errors turned into DebError."""
        names = [name for name in self._parts if name.startswith(f"{part}.tar")]
        if not names:
            raise DebError(f"{self.path.name}: no {part}.tar in it; it has {sorted(self._parts)}")
        offset, size = self._parts[names[0]]
        try:
            with open(self.path, "rb") as file:
                source = _Slice(file, offset, size)
                with _unpacked(source, names[0], self.path) as stream:
                    with tarfile.open(fileobj=_Limited(stream, self.path.name), mode="r|") as archive:
                        yield archive
        except (tarfile.TarError, lzma.LZMAError, zlib.error, EOFError, gzip.BadGzipFile) as error:
            raise DebError(f"{self.path.name}: {names[0]} is damaged or truncated ({error})") from error


def safe_name(name: str, archive: str = "archive") -> str:
    """A member's name as a relative path that is safe on every system, or DebError.

    Refused: absolute paths, `..`, an empty name, drive letters, backslashes and control characters.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or FORBIDDEN & set(name):
        raise DebError(f"{archive}: unsafe member name {name!r}: expected a plain relative path")
    return str(path)


def _refuse(member: tarfile.TarInfo, name: str, twice: bool, archive: str) -> None:
    """DebError unless the member is an ordinary file of reasonable size with a name of its own."""
    kinds = {tarfile.SYMTYPE: "a symbolic link", tarfile.LNKTYPE: "a hard link", tarfile.FIFOTYPE: "a pipe"}
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        kind = kinds.get(member.type, "a device or special file")
        raise DebError(f"{archive}: {name!r} is {kind}: expected only regular files")
    if member.size > MAX_FILE:
        raise DebError(f"{archive}: {name!r} declares {member.size} bytes: at most {MAX_FILE}")
    if twice:
        raise DebError(f"{archive}: {name!r} is there twice")


def _ar_parts(path: Path) -> dict[str, tuple[int, int]]:
    """Name -> (offset, size) of the members of an ar archive, checked against the file's length."""
    length = path.stat().st_size
    parts: dict[str, tuple[int, int]] = {}
    with open(path, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise DebError(f"{path.name}: not a Debian package (no ar signature)")
        while header := file.read(60):
            if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
                raise DebError(f"{path.name}: damaged ar header after {sorted(parts)}")
            name = header[:16].decode("ascii", "replace").strip().rstrip("/")
            offset, size = file.tell(), int(header[48:58])
            if offset + size > length:
                raise DebError(
                    f"{path.name} is truncated: {name} declares {size} bytes, {length - offset} are there"
                )
            parts[name] = (offset, size)
            file.seek(offset + size + size % 2)
    if next(iter(parts), None) != "debian-binary":
        raise DebError(f"{path.name}: not a Debian package (no debian-binary member first)")
    return parts


@contextmanager
def _unpacked(source: BinaryIO, name: str, path: Path) -> Iterator[BinaryIO]:
    """The decompressed stream of one part, by the ending of its name."""
    if name.endswith(".xz"):
        yield lzma.LZMAFile(source)
    elif name.endswith(".gz"):
        yield gzip.GzipFile(fileobj=source)
    elif name.endswith(".tar"):
        yield source
    elif name.endswith(".zst"):
        with _zstd(source, name, path) as stream:
            yield stream
    else:
        raise DebError(f"{path.name}: cannot read {name}: expected .tar, .tar.gz, .tar.xz or .tar.zst")


@contextmanager
def _zstd(source: BinaryIO, name: str, path: Path) -> Iterator[BinaryIO]:
    """Zstandard (Ubuntu's packages): Python from 3.14 reads it, and so does dpkg-deb wherever apt is."""
    try:
        from compression import zstd
    except ImportError:
        pass
    else:
        yield zstd.ZstdFile(source)
        return
    program = shutil.which("dpkg-deb")
    if program is None:
        raise DebError(
            f"{path.name}: {name} is compressed with zstd, which needs Python 3.14 or dpkg-deb; "
            "use Debian's own package instead, which is compressed with xz"
        )
    option = "--fsys-tarfile" if name.startswith("data") else "--ctrl-tarfile"
    command = [program, option, str(path.resolve())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield process.stdout
            while process.stdout.read(2**16):
                pass
            if process.wait():
                raise DebError(f"{path.name}: dpkg-deb failed: {process.stderr.read(500).decode()}")
        finally:
            process.kill()


class _Slice(io.RawIOBase):
    """A read-only, seekable window on part of an open file."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self.file, self.offset, self.size, self.position = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        self.file.seek(self.offset + self.position)
        data = self.file.read(min(len(buffer), self.size - self.position))
        buffer[: len(data)] = data
        self.position += len(data)
        return len(data)


class _Limited:
    """A stream that stops a size bomb: at most MAX_TOTAL bytes come out of it."""

    def __init__(self, stream: BinaryIO, archive: str) -> None:
        self.stream, self.archive, self.left = stream, archive, MAX_TOTAL

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise DebError(f"{self.archive}: more than {MAX_TOTAL} bytes unpacked: refused")
        return data


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DebError(f"the package's {name} file is not UTF-8 ({error})") from error


def _fields(text: str) -> dict[str, str]:
    """The single-line fields of a control file."""
    lines = (line.partition(":") for line in text.splitlines() if line[:1].strip())
    return {key: value.strip() for key, colon, value in lines if colon}


def _checksums(text: str) -> dict[str, str]:
    """Member name -> MD5 hex digest."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {str(PurePosixPath(pair[1])): pair[0].lower() for pair in pairs if len(pair) == 2}
