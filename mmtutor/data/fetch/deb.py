"""Read a Debian package without trusting it: `DebPackage`.

Knows the `ar` container, the two tar archives in it, the package's own md5sums, and which members
are hostile. Does not know what the files mean, and writes nothing: it hands out checked names and
bytes.

Source: the manual pages deb(5) and deb-md5sums(5).
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
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO

MAX_FILE = 2**25  # bytes of one member
MAX_TOTAL = 2**29  # bytes of one tar archive, unpacked
MAX_MEMBERS = 50_000
AR_MAGIC = b"!<arch>\n"
UNSAFE = frozenset('\\:*?"<>|') | {chr(code) for code in range(32)}
KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
}


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
        control = dict(self._members("control", lambda name: name in ("control", "md5sums")))
        for needed in ("control", "md5sums"):
            if needed not in control:
                raise DebError(f"{self.path.name}: the package has no {needed} file")
        self.fields = _fields(_text(control["control"], f"control file of {self.path.name}"))
        self.md5sums = _checksums(_text(control["md5sums"], f"md5sums of {self.path.name}"))

    def files(
        self, folder: str, wanted: Callable[[str], bool] = lambda name: True
    ) -> Iterator[tuple[str, bytes]]:
        """The regular files under `folder` for which `wanted(name)`, as (name, bytes).

        A name is relative to `folder` and safe to join to a path; the bytes have the MD5 digest
        that the package states. When the iteration ends without an error, every wanted file that
        the package lists has been handed out, once.

        Raises:
            DebError: for a damaged archive; an unsafe name anywhere; under `folder`, or in place of
                one of its parents, anything but folders and regular files, or a name twice; too
                many members or bytes; a file not listed, missing, or unlike its digest.
        """
        prefix = folder.strip("/") + "/"

        def chosen(name: str) -> bool:
            return name.startswith(prefix) and wanted(name.removeprefix(prefix))

        due = {name for name in self.md5sums if chosen(name)}
        for name, data in self._members("data", chosen, prefix):
            if name not in due:
                raise DebError(f"{self.path.name}: {name!r} is not in the package's md5sums")
            if hashlib.md5(data, usedforsecurity=False).hexdigest() != self.md5sums[name]:
                raise DebError(f"{self.path.name}: {name!r} is damaged: its checksum differs")
            due.remove(name)
            yield name.removeprefix(prefix), data
        if due:
            raise DebError(
                f"{self.path.name}: {len(due)} of the files it lists are missing, first "
                f"{min(due)!r}: truncated?"
            )

    def _members(
        self, part: str, chosen: Callable[[str], bool], prefix: str = ""
    ) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of the chosen files of one part; links are refused around `prefix`."""
        seen: set[str] = set()
        with self._tar(part) as archive:
            for count, member in enumerate(archive):
                if count >= MAX_MEMBERS:
                    raise DebError(f"{self.path.name}: more than {MAX_MEMBERS} members: refused")
                name = safe_name(member.name, self.path.name)
                around = f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/")
                if member.isdir() or not around:
                    continue
                _check_member(member, name, self.path.name)
                if name in seen:
                    raise DebError(f"{self.path.name}: {name!r} is there twice")
                seen.add(name)
                if chosen(name):
                    yield name, archive.extractfile(member).read()

    @contextmanager
    def _tar(self, part: str) -> Iterator[Iterator[tarfile.TarInfo]]:
        """The tar archive `part` ("control" or "data") as a stream; its errors become DebErrors."""
        name = next((name for name in self._parts if name.startswith(f"{part}.tar")), None)
        if name is None:
            raise DebError(f"{self.path.name}: no {part}.tar in it, only {sorted(self._parts)}")
        try:
            with (
                open(self.path, "rb") as file,
                _unpacked(_Window(file, *self._parts[name]), name, self.path) as stream,
                tarfile.open(fileobj=_Limited(stream, self.path.name), mode="r|") as archive,
            ):
                yield archive
        except DebError:
            raise
        except (
            tarfile.TarError,
            lzma.LZMAError,
            zlib.error,
            EOFError,
            OSError,
            ValueError,
        ) as error:
            raise DebError(f"{self.path.name}: {name} is damaged or truncated ({error})") from error


def safe_name(name: str, archive: str = "archive") -> str:
    """A member's name as a relative path that is safe on every system.

    Raises:
        DebError: for an absolute path, `..`, a drive letter, a backslash or a control character.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or UNSAFE & set(name):
        raise DebError(f"{archive}: unsafe name {name!r}: expected a plain relative path")
    return str(path)


def _check_member(member: tarfile.TarInfo, name: str, archive: str) -> None:
    """DebError unless the member is an ordinary file of reasonable size."""
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        kind = KINDS.get(member.type, "a special file")
        raise DebError(f"{archive}: {name!r} is {kind}: expected only regular files")
    if member.size > MAX_FILE:
        raise DebError(f"{archive}: {name!r} declares {member.size} bytes: at most {MAX_FILE}")


def _ar_parts(path: Path) -> dict[str, tuple[int, int]]:
    """Name -> (offset, size) of the members of an ar archive, checked against its length."""
    length = path.stat().st_size
    parts: dict[str, tuple[int, int]] = {}
    with open(path, "rb") as file:
        if file.read(len(AR_MAGIC)) != AR_MAGIC:
            raise DebError(f"{path.name}: not a Debian package (no ar signature)")
        while header := file.read(60):
            if len(header) < 60 or header[58:] != b"`\n" or not header[48:58].strip().isdigit():
                raise DebError(f"{path.name}: damaged or truncated after {sorted(parts)}")
            name = header[:16].decode("ascii", "replace").strip().rstrip("/")
            offset, size = file.tell(), int(header[48:58])
            if offset + size > length:
                raise DebError(
                    f"{path.name} is truncated: {name} should have {size} bytes, and has "
                    f"{length - offset}"
                )
            parts[name] = (offset, size)
            file.seek(offset + size + size % 2)
    if next(iter(parts), None) != "debian-binary":
        raise DebError(f"{path.name}: not a Debian package (it does not begin with debian-binary)")
    return parts


@contextmanager
def _unpacked(source: BinaryIO, name: str, path: Path) -> Iterator[BinaryIO]:
    """The decompressed stream of one part, by the ending of its name."""
    if name.endswith(".zst"):
        with _zstd(source, name, path) as stream:
            yield stream
    elif name.endswith(".xz"):
        with closing(lzma.LZMAFile(source)) as stream:
            yield stream
    elif name.endswith(".gz"):
        with closing(gzip.GzipFile(fileobj=source)) as stream:
            yield stream
    elif name.endswith(".tar"):
        yield source
    else:
        raise DebError(f"{path.name}: cannot read {name}: expected .tar, .gz, .xz or .zst")


@contextmanager
def _zstd(source: BinaryIO, name: str, path: Path) -> Iterator[BinaryIO]:
    """Zstandard (Ubuntu's packages): Python reads it from 3.14, dpkg-deb wherever there is apt."""
    try:
        from compression import zstd
    except ImportError:
        with _dpkg_deb(name, path) as stream:
            yield stream
    else:
        with closing(zstd.ZstdFile(source)) as stream:
            yield stream


@contextmanager
def _dpkg_deb(name: str, path: Path) -> Iterator[BinaryIO]:
    """The tar archive as dpkg-deb decompresses it."""
    program = shutil.which("dpkg-deb")
    if program is None:
        raise DebError(
            f"{path.name}: {name} is compressed with zstd, which needs Python 3.14 or dpkg-deb; "
            "Debian's own package is compressed with xz and needs neither"
        )
    option = "--fsys-tarfile" if name.startswith("data") else "--ctrl-tarfile"
    command = [program, option, str(path.resolve())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.stdout
            while process.stdout.read(2**16):
                pass  # the padding after the archive's end
            if process.wait():
                raise DebError(f"{path.name}: dpkg-deb cannot unpack {name}")
        finally:
            process.kill()


class _Window(io.RawIOBase):
    """A read-only window on part of an open file."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        file.seek(offset)
        self.file, self.left = file, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        data = self.file.read(min(len(buffer), self.left))
        buffer[: len(data)] = data
        self.left -= len(data)
        return len(data)


class _Limited:
    """A stream that stops a size bomb: at most MAX_TOTAL bytes come out."""

    def __init__(self, stream: BinaryIO, archive: str) -> None:
        self.stream, self.archive, self.left = stream, archive, MAX_TOTAL

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise DebError(f"{self.archive}: unpacks to more than {MAX_TOTAL} bytes: refused")
        return data


def _text(data: bytes, what: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DebError(f"the {what} is not UTF-8 ({error})") from error


def _fields(text: str) -> dict[str, str]:
    """The first lines of the fields of a control file."""
    lines = (line.partition(":") for line in text.splitlines() if line[:1].strip())
    return {key: value.strip() for key, colon, value in lines if colon}


def _checksums(text: str) -> dict[str, str]:
    """Member name -> MD5 digest in hex."""
    pairs = (line.split(maxsplit=1) for line in text.splitlines() if line.strip())
    return {str(PurePosixPath(pair[1])): pair[0].lower() for pair in pairs if len(pair) == 2}
