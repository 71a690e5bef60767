"""Tiny Debian packages and pictures, built by hand for the tests of the stamps."""

import gzip
import hashlib
import io
import lzma
import struct
import tarfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

FOLDER = "usr/share/tuxpaint/stamps"
COMPRESS = {".xz": lzma.compress, ".gz": gzip.compress, "": bytes}


def member(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, **more) -> tuple:
    """A tar member and its content; `more` are attributes of the TarInfo."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(data)
    for key, value in more.items():
        setattr(info, key, value)
    return info, data


def inside(name: str) -> str:
    return f"./{FOLDER}/{name}"


SPECIAL = "is a link, a device or another special file"

# What no package may hold: a member, and what the error says.
HOSTILE = {
    "parent": (member(inside("../../../../../../tmp/evil"), b"x"), "unsafe name"),
    "parent alone": (member("../evil", b"x"), "unsafe name"),
    "absolute": (member("/tmp/evil", b"x"), "unsafe name"),
    "absolute folder": (member(f"/{FOLDER}", kind=tarfile.DIRTYPE), "unsafe name"),
    "backslash": (member(inside("..\\evil"), b"x"), "unsafe name"),
    "drive": (member("C:evil", b"x"), "unsafe name"),
    "control character": (member(inside("a\nb"), b"x"), "unsafe name"),
    "symbolic link": (member(inside("l"), kind=tarfile.SYMTYPE, linkname="/etc"), SPECIAL),
    "hard link": (member(inside("l"), kind=tarfile.LNKTYPE, linkname="/etc/passwd"), SPECIAL),
    "link as parent": (member("./usr", kind=tarfile.SYMTYPE, linkname="/tmp"), SPECIAL),
    "link as folder": (member(FOLDER, kind=tarfile.SYMTYPE, linkname="/tmp"), SPECIAL),
    "character device": (member(inside("d"), kind=tarfile.CHRTYPE), SPECIAL),
    "block device": (member(inside("d"), kind=tarfile.BLKTYPE), SPECIAL),
    "pipe": (member(inside("p"), kind=tarfile.FIFOTYPE), SPECIAL),
    "special": (member(inside("s"), kind=tarfile.CONTTYPE), SPECIAL),
    "twice": (member(inside("a.txt"), b"one"), "is there twice"),
}


def tar(members: list[tuple]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def ar(parts: dict[str, bytes]) -> bytes:
    out = b"!<arch>\n"
    for name, data in parts.items():
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode() + data
        out += b"\n" * (len(data) % 2)
    return out


def deb(
    path: Path,
    files: dict[str, bytes] | None = None,
    extra: tuple = (),
    *,
    package: str = "tuxpaint-stamps-default",
    sums: dict[str, str] | None = None,
    data: bytes | None = None,
    ending: str = ".xz",
) -> Path:
    """A package of stamps `files`, followed by the tar members `extra`.

    `sums` replaces entries of md5sums, and `data` the compressed data archive.
    """
    named = {f"{FOLDER}/{name}": content for name, content in (files or {}).items()}
    md5 = {name: hashlib.md5(content).hexdigest() for name, content in named.items()}
    md5 |= {info.name: hashlib.md5(content).hexdigest() for info, content in extra}
    md5 |= {f"{FOLDER}/{name}": value for name, value in (sums or {}).items()}
    control = [
        member("./control", f"Package: {package}\nVersion: 1-test\nDescription: x\n y\n".encode()),
        member("./md5sums", "".join(f"{value}  {name}\n" for name, value in md5.items()).encode()),
    ]
    members = [member(f"./{FOLDER}", kind=tarfile.DIRTYPE)]
    members += [member(f"./{name}", content) for name, content in named.items()]
    pack = COMPRESS.get(ending, bytes)
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": gzip.compress(tar(control)),
        f"data.tar{ending}": pack(tar([*members, *extra])) if data is None else data,
    }
    path.write_bytes(ar(parts))
    return path


def png(seed: int = 0, mode: str = "RGBA", size: tuple[int, int] = (24, 16)) -> bytes:
    """A small picture of random coarse blocks."""
    blocks = np.random.default_rng(seed).integers(0, 255, (4, 4, 3), np.uint8)
    picture = Image.fromarray(blocks).resize(size, Image.Resampling.NEAREST).convert(mode)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@cache
def bomb(width: int, height: int) -> bytes:
    """A valid black grey PNG of any size, a few kilobytes long."""
    rows = zlib.compressobj(9)
    row = bytes(width + 1)
    body = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def svg(attributes: str = 'width="40" height="20"', body: str = "") -> bytes:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>{body}</svg>'.encode()


def clip_art(
    title: str, tags: list[str], author: str, body: str, licence: str = "publicdomain/"
) -> bytes:
    """A drawing that says what it is as those of the Open Clip Art Library do."""
    spaces = 'xmlns:dc="d" xmlns="c" xmlns:rdf="r"'
    said = f"<dc:title>{title}</dc:title><dc:subject><rdf:Bag>"
    said += "".join(f"<rdf:li>{tag}</rdf:li>" for tag in tags) + "</rdf:Bag></dc:subject>"
    said += f"<dc:creator><Agent><dc:title>{author}</dc:title></Agent></dc:creator>"
    said += f'<license rdf:resource="https://creativecommons.org/licenses/{licence}"/>'
    return svg(body=f"<metadata><Work {spaces}>{said}</Work></metadata>{body}")


def stamps(count: int) -> dict[str, bytes]:
    """`count` usable stamps in two categories, each with another caption and picture."""
    files = {}
    for index in range(count):
        name = f"{'animals' if index % 2 else 'food'}/thing{index}"
        text = f"A thing number {index}.\nde.utf8=Ding {index}.\nzh_CN.utf8=东西 {index}。\n"
        files |= {f"{name}.png": png(index), f"{name}.txt": text.encode()}
    return files
