"""Open a package as data: wheels and other zip files, and tar archives.

Knows the containers, and which members are hostile. Nothing in a package is ever imported or run,
and no link is ever made. Does not know what the files mean.
"""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

MAX_FILE = 2**28  # bytes of one member
MAX_TOTAL = 2**30  # bytes of one package, unpacked
MAX_MEMBERS = 50_000
_UNSAFE = frozenset('\\:*?"<>|') | {chr(code) for code in range(32)}
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, ValueError)


class FetchError(ValueError):
    """A set cannot be had: no client or network, or a package that is damaged or another one."""


class Member(NamedTuple):
    """A member of an archive; `open()` gives its bytes, where `regular` says that it is a file."""

    name: str
    size: int
    folder: bool
    regular: bool
    open: Callable[[], BinaryIO]


def unpack(path: Path, folder: Path, inside: str = "", endings: Sequence[str] = ("",)) -> None:
    """Write the files of a package, a zip file or a `.tar.gz`, to `folder`; see `extract`."""
    with damage_named(path.name):
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                extract(_zip_members(archive), path.name, folder, inside, endings)
        else:
            with gzip.open(path) as stream:
                members = tar_members(stream, path.name)
                extract(members, path.name, folder, inside, endings)


def extract(
    members: Iterator[Member],
    archive: str,
    folder: Path,
    inside: str = "",
    endings: Sequence[str] = ("",),
) -> None:
    """Write the regular files below the folder `inside` whose names end so, relative to it.

    Raises:
        FetchError: for an unsafe name anywhere; below `inside`, or in place of one of its parents,
            anything but folders and regular files, or a name twice; too many members or bytes.
    """
    prefix, seen, total = f"{inside}/" if inside else "", set(), 0
    for count, member in enumerate(members):
        name, total = safe_name(member.name, archive), total + member.size
        around = f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/")
        if count >= MAX_MEMBERS:
            raise FetchError(f"{archive}: more than {MAX_MEMBERS} members: refused")
        if around and not (member.folder or member.regular):
            raise FetchError(f"{archive}: {name!r} is a link, a device or another special file")
        if around and member.size > MAX_FILE:
            raise FetchError(f"{archive}: {name!r} declares {member.size} bytes: over {MAX_FILE}")
        if total > MAX_TOTAL:
            raise FetchError(f"{archive}: unpacks to more than {MAX_TOTAL} bytes: refused")
        if member.folder or not name.startswith(prefix):
            continue
        if name in seen:
            raise FetchError(f"{archive}: {name!r} is there twice")
        seen.add(name)
        if name.endswith(tuple(endings)):
            path = folder / name.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as content, path.open("wb") as file:
                shutil.copyfileobj(content, file)


def tar_members(stream: BinaryIO, name: str) -> Iterator[Member]:
    """The members of the tar archive called `name`, read once, from front to back."""
    with tarfile.open(fileobj=_Limited(stream, name), mode="r|") as archive:
        for info in archive:
            regular = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse()
            content = partial(archive.extractfile, info)
            yield Member(info.name, info.size, info.isdir(), regular, content)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        regular = stat.S_ISREG(mode) or not stat.S_IFMT(mode)
        # `orig_filename`, for `filename` ends at a null byte and has other separators.
        name = info.orig_filename
        yield Member(name, info.file_size, info.is_dir(), regular, partial(archive.open, info))


def safe_name(name: str, archive: str = "archive") -> str:
    """A member's name as a relative path that is safe on every system.

    Raises:
        FetchError: for an absolute path, `..`, a drive letter, a backslash or a control character.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or _UNSAFE & set(name):
        raise FetchError(f"{archive}: unsafe name {name!r}: expected a plain relative path")
    return str(path)


@contextmanager
def damage_named(archive: str) -> Iterator[None]:
    """Turn what the readers of archives raise at damage into a FetchError that names `archive`."""
    try:
        yield
    except FetchError:
        raise
    except (*_DAMAGE, OSError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the archive's
        raise FetchError(f"{archive} is damaged or truncated ({error})") from error


class _Limited:
    """A stream that stops a size bomb, headers included: at most MAX_TOTAL bytes come out."""

    def __init__(self, stream: BinaryIO, archive: str) -> None:
        self.stream, self.archive, self.left = stream, archive, MAX_TOTAL

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise FetchError(f"{self.archive}: unpacks to more than {MAX_TOTAL} bytes: refused")
        return data
