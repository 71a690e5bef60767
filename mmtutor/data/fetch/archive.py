"""Open a package as data: wheels and other zip files, `.tar.gz`, and Debian packages.

Knows the containers, and which members are hostile. Nothing in a package is ever imported or run,
and no link is ever made. Does not know what the files mean.

Source of Debian's: the manual pages deb(5) and deb-md5sums(5).
"""

from __future__ import annotations

import gzip
import hashlib
import io
import lzma
import re
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

from mmtutor.checks import instance
from mmtutor.data.fetch.registry import Package

MAX_FILE = 2**28  # bytes of one member
MAX_TOTAL = 2**30  # bytes of one package, unpacked
MAX_MEMBERS = 50_000
_UNSAFE = frozenset('\\:*?"<>|') | {chr(code) for code in range(32)}
_DAMAGE = (tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, ValueError)


class FetchError(ValueError):
    """A set cannot be had: no client or network, or a package that is damaged or another one."""


def unpack(path: Path, package: Package, folder: Path) -> str:
    """Write the wanted files of a package to `folder`; the version that it is.

    Wanted are the regular files below `package.inside` whose names end in `package.endings`; they
    are named relative to it. Of a `.deb` each has the MD5 checksum that the package states, and
    each such file that the package lists is written. Other packages are zip files or `.tar.gz`.

    Raises:
        FileNotFoundError: there is no such file.
        FetchError: the file is damaged, another Debian package or hostile: an unsafe name anywhere;
            below `inside`, or in place of one of its parents, anything but folders and regular
            files (and symbolic links below it, which are passed over where `package.links` says
            that it has some), or a name twice; too many members or bytes.
    """
    instance(Path, path=path, folder=folder)
    instance(Package, package=package)
    with _naming(path.name):
        if package.manager == "debian":
            return _unpack_deb(path, package, folder)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _extract(_zip_members(archive), folder, package.inside, package.endings)
        else:
            with gzip.open(path) as stream:
                _extract(_tar_members(stream), folder, package.inside, package.endings)
        return package.version


def safe_name(name: str) -> str:
    """A member's name as a relative path that is safe on every system.

    Raises:
        FetchError: for an absolute path, `..`, a drive letter, a backslash or a control character.
    """
    instance(str, name=name)
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or not _UNSAFE.isdisjoint(name):
        raise FetchError(f"unsafe name {name!r}: expected a plain relative path")
    return "/".join(part for part in parts if part not in ("", ".")) or "."


@contextmanager
def _naming(archive: str) -> Iterator[None]:
    """Put the archive's name before each refusal; what its readers raise at damage becomes one."""
    try:
        yield
    except FetchError as error:
        raise FetchError(f"{archive}: {error}") from error.__cause__
    except (*_DAMAGE, OSError, NotImplementedError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's, not the archive's
        raise FetchError(f"{archive} is damaged or truncated ({error})") from error


class _Member(NamedTuple):
    """A member of an archive; `open()` gives its bytes, where `regular` says that it is a file.

    `link` says that it is a symbolic link.
    """

    name: str
    size: int
    folder: bool
    regular: bool
    open: Callable[[], BinaryIO]
    link: bool = False


def _extract(
    members: Iterator[_Member],
    folder: Path,
    inside: str,
    endings: Sequence[str],
    links: bool = False,
) -> None:
    """See `unpack`."""
    prefix, seen, total = f"{inside}/" if inside else "", set(), 0
    for count, member in enumerate(members):
        name, total = safe_name(member.name), total + member.size
        around = f"{name}/".startswith(prefix) or prefix.startswith(f"{name}/")
        if count >= MAX_MEMBERS:
            raise FetchError(f"more than {MAX_MEMBERS} members: refused")
        if links and member.link and name.startswith(prefix):
            continue
        if around and not (member.folder or member.regular):
            raise FetchError(f"{name!r} is a link, a device or another special file")
        if around and member.size > MAX_FILE:
            raise FetchError(f"{name!r} declares {member.size} bytes: over {MAX_FILE}")
        if total > MAX_TOTAL:
            raise FetchError(f"unpacks to more than {MAX_TOTAL} bytes: refused")
        if member.folder or not name.startswith(prefix):
            continue
        if name in seen:
            raise FetchError(f"{name!r} is there twice")
        seen.add(name)
        if name.endswith(tuple(endings)):
            path = folder / name.removeprefix(prefix)
            path.parent.mkdir(parents=True, exist_ok=True)
            with member.open() as content, path.open("wb") as file:
                shutil.copyfileobj(content, file)


def _zip_members(archive: zipfile.ZipFile) -> Iterator[_Member]:
    for info in archive.infolist():
        mode = info.external_attr >> 16
        regular = stat.S_ISREG(mode) or not stat.S_IFMT(mode)
        # `orig_filename`, for `filename` ends at a null byte and has other separators.
        name = info.orig_filename
        yield _Member(name, info.file_size, info.is_dir(), regular, partial(archive.open, info))


def _tar_members(stream: BinaryIO) -> Iterator[_Member]:
    """The members of a tar archive, read once, from front to back."""
    with tarfile.open(fileobj=_Limited(stream), mode="r|") as archive:
        for info in archive:
            regular = info.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not info.issparse()
            content = partial(archive.extractfile, info)
            yield _Member(info.name, info.size, info.isdir(), regular, content, info.issym())


class _Limited:
    """A stream that stops a size bomb, headers included: at most MAX_TOTAL bytes come out."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.left = stream, MAX_TOTAL

    def read(self, size: int) -> bytes:
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise FetchError(f"unpacks to more than {MAX_TOTAL} bytes: refused")
        return data


def _unpack_deb(path: Path, package: Package, folder: Path) -> str:
    """See `unpack`."""
    with tempfile.TemporaryDirectory() as temporary:
        with _tar(path, "control") as stream:
            _extract(_tar_members(stream), Path(temporary), "", ("control", "md5sums"))
        texts = {file.name: file.read_text("utf-8") for file in Path(temporary).iterdir()}
    if missing := {"control", "md5sums"} - set(texts):
        raise FetchError(f"the package has no {min(missing)} file")
    fields = dict(re.findall(r"(?m)^(\w+): *(.*)$", texts["control"]))
    if fields.get("Package") != package.name:
        raise FetchError(f"it is package {fields.get('Package')!r}: not {package.name!r}")
    inside, endings = package.inside, tuple(package.endings)
    with _tar(path, "data") as stream:
        _extract(_tar_members(stream), folder, inside, endings, package.links)
    sums = re.findall(rf"(?m)^(\w+)\s+(?:\./)?{re.escape(inside)}/(.+)$", texts["md5sums"])
    _check(folder, {name: md5.lower() for md5, name in sums if name.endswith(endings)})
    return fields.get("Version", "unknown")


def _parts(path: Path) -> dict[str, bytes]:
    """Name -> content of the members of an `ar` archive, which a Debian package is."""
    parts: dict[str, bytes] = {}
    stream = io.BytesIO(path.read_bytes())
    if stream.read(8) != b"!<arch>\n":
        raise FetchError("not a Debian package (no ar signature)")
    while header := stream.read(60):
        found = re.fullmatch(rb"(.{16}).{32}(\d+) *`\n", header, re.DOTALL)
        size = int(found[2]) if found else -1
        name = header[:16].decode("ascii", "replace").rstrip(" /")
        parts[name] = stream.read(size + size % 2)[:size]
        if len(parts[name]) != size:
            raise EOFError(f"in {name!r} or after it")
    if next(iter(parts), None) != "debian-binary":
        raise FetchError("not a Debian package (no debian-binary at its beginning)")
    return parts


@contextmanager
def _tar(path: Path, part: str) -> Iterator[BinaryIO]:
    """The tar archive `part` ("control" or "data") of a package, decompressed, as a stream."""
    parts = _parts(path)
    name = next((name for name in parts if name.startswith(f"{part}.tar")), None)
    if name is None:
        raise FetchError(f"no {part}.tar in it, only {sorted(parts)}")
    readers = {".xz": lzma.open, ".gz": gzip.open, ".tar": lambda file: file}
    ending = Path(name).suffix
    if ending not in (*readers, ".zst"):
        raise FetchError(f"cannot read {name}: expected .tar, .gz, .xz or .zst")
    content = io.BytesIO(parts[name])
    with _dpkg_deb(path, part) if ending == ".zst" else readers[ending](content) as stream:
        yield stream


@contextmanager
def _dpkg_deb(path: Path, part: str) -> Iterator[BinaryIO]:
    """Zstandard (Ubuntu's packages) is decompressed by dpkg-deb, which is wherever apt is."""
    program = shutil.which("dpkg-deb")
    if program is None:
        raise FetchError(
            "it is compressed with zstd, which needs dpkg-deb; Debian's own package is compressed "
            "with xz and needs no program"
        )
    option = {"data": "--fsys-tarfile", "control": "--ctrl-tarfile"}[part]
    command = [program, option, str(path.resolve())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield process.stdout
            while process.stdout.read(2**16):
                pass  # the padding after the archive's end
            if process.wait():
                raise FetchError(f"dpkg-deb cannot unpack {part}.tar.zst")
        finally:
            process.kill()


def _check(folder: Path, due: dict[str, str]) -> None:
    """FetchError unless the files in `folder` are those of `due`, a name -> MD5 checksum."""
    for file in (path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        if name not in due:
            raise FetchError(f"{name!r} is not in the package's md5sums")
        if hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() != due.pop(name):
            raise FetchError(f"{name!r} is damaged: its checksum differs")
    if due:
        raise FetchError(
            f"{len(due)} of the files it lists are missing, first {min(due)!r}: truncated?"
        )
