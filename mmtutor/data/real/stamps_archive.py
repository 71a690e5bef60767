"""From the package `tuxpaint-stamps-default` to the cached form of `stamps`, and back.

Knows the layout of that package, what makes an example usable, and the cached form: `images.npy`,
`stamps.json` and the sounds as files. Does not know how a package is read safely (`deb.py`), how a
picture is (`pictures.py`), what belongs together (`groups.py`), or how files are written
(`cache.py`).
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from mmtutor.data.fetch.cache import cache_dir, exclusive
from mmtutor.data.fetch.deb import DebError, DebPackage
from mmtutor.data.fetch.pictures import PictureError, decode
from mmtutor.data.splits import group_of
from mmtutor.files import atomic_file, atomic_folder, sweep

PACKAGE = "tuxpaint-stamps-default"
FOLDER = "usr/share/tuxpaint/stamps"
KNOWN_SHA256 = {
    "2022.06.04-1": "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
}
IMAGE_SIZE = 224
FORMAT = 2  # of the cached form: raise it when what is stored changes
KINDS = (".png", ".svg", ".txt", ".ogg", ".wav")
SOUND = re.compile(r"(?P<stem>.+?)(?P<spoken>_desc(?:_(?P<language>[A-Za-z@_]+))?)?\.(?:ogg|wav)")
TRANSLATION = re.compile(r"([A-Za-z@_]+)\.utf8=(.*)")


@dataclass
class Stamp:
    """One example but for its picture. Sounds are paths relative to the cached folder."""

    name: str
    captions: dict[str, str]
    group: int = 0
    sound: str = ""
    spoken: dict[str, str] = field(default_factory=dict)


@dataclass
class Cached:
    """The cached form: `folder` holds pictures and sounds, `skipped` says name -> why not."""

    folder: Path
    version: str
    sha256: str
    stamps: list[Stamp]
    skipped: dict[str, str]

    def report(self) -> str:
        """What is there and what was skipped, in a few lines."""
        known = KNOWN_SHA256.get(self.version) == self.sha256
        build = "Debian's known build" if known else "another build than Debian's known one"
        lines = [
            f"{PACKAGE} {self.version}: {build}; every file used has the package's checksum",
            f"{len(self.stamps)} examples in {self.folder}; {len(self.skipped)} skipped",
        ]
        reasons = defaultdict(list)
        for name, reason in sorted(self.skipped.items()):
            reasons[reason].append(name)
        for reason, names in reasons.items():
            lines.append(f"  {len(names)} × {reason}: {', '.join(names)}")
        return "\n".join(lines)


def prepare(archive: Path | str, root: Path | str | None = None) -> Cached:
    """Verify a `.deb`, decode its pictures, and write the cached form under `root`, all or nothing.

    An archive that has been cached before is not decoded again. What a killed run left is removed.

    Raises:
        FileNotFoundError: if there is no such archive.
        DebError: if the archive is damaged, hostile or another package.
        CacheError: if the cache cannot be written; what was cached before stays.
    """
    archive = Path(archive)
    with open(archive, "rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    home = home_folder(root)
    with exclusive(home):
        sweep(home)
        folder = home / f"{sha256[:16]}-{FORMAT}"
        if not _complete(folder):
            shutil.rmtree(folder, ignore_errors=True)
            with atomic_folder(folder) as partial:
                _write(archive, sha256, partial)
        with atomic_file(home / "current.json") as file:
            file.write(json.dumps({"folder": folder.name}).encode())
    return read(root)


def read(root: Path | str | None = None) -> Cached:
    """The cached form under `root` (`cache_dir()` if None), or FileNotFoundError: what to do."""
    home = home_folder(root)
    try:
        folder = home / json.loads((home / "current.json").read_bytes())["folder"]
        stored = json.loads((folder / "stamps.json").read_bytes())
    except FileNotFoundError:
        stored = {}
    if stored.get("format") != FORMAT or not _complete(folder):
        raise FileNotFoundError(
            f"no stamps in {home}: get them with `mmtutor.data.real.stamps.get()`"
        )
    stamps = [Stamp(**stamp) for stamp in stored["stamps"]]
    return Cached(folder, stored["version"], stored["sha256"], stamps, stored["skipped"])


def home_folder(root: Path | str | None = None) -> Path:
    """Where the stamps are under `root`, or under `cache_dir()`."""
    return (Path(root) if root else cache_dir()) / "stamps"


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("images.npy", "stamps.json"))


def _write(archive: Path, sha256: str, folder: Path) -> None:
    """Fill the new folder `folder` with the cached form of `archive`."""
    package = DebPackage(archive)
    if package.fields.get("Package") != PACKAGE:
        raise DebError(
            f"{archive.name} is package {package.fields.get('Package')!r}: expected {PACKAGE!r}"
        )
    stamps, images, skipped = _examples(_unpack(package, folder / "sounds"))
    if not stamps:
        raise DebError(f"{archive.name}: no usable stamp in it ({len(skipped)} skipped)")
    groups = group_of([stamp.captions["en"] for stamp in stamps], images)
    for stamp, group in zip(stamps, groups, strict=True):
        stamp.group = group
    with open(folder / "images.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(images))
        file.write(memoryview(images).cast("B"))  # tofile() would hide why it failed
    stored = {
        "format": FORMAT,
        "package": PACKAGE,
        "version": package.fields.get("Version", "unknown"),
        "sha256": sha256,
        "skipped": skipped,
        "stamps": [asdict(stamp) for stamp in stamps],
    }
    (folder / "stamps.json").write_text(json.dumps(stored, ensure_ascii=False), "utf-8")


def _unpack(package: DebPackage, sounds: Path) -> dict[str, bytes]:
    """Pictures and captions by name; sounds are written under `sounds`, and are b"" here."""
    files: dict[str, bytes] = {}
    for name, data in package.files(FOLDER, _wanted):
        if name.endswith((".ogg", ".wav")):
            path = sounds / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            data = b""
        files[name] = data
    return files


def _wanted(name: str) -> bool:
    """Everything but symbols (letters, coins and shapes, which have no caption of interest)."""
    return name.endswith(KINDS) and not name.startswith("symbols/")


def _examples(files: dict[str, bytes]) -> tuple[list[Stamp], np.ndarray, dict[str, str]]:
    """The usable stamps by name, their pictures uint8 [N, 3, S, S], and name -> why not."""
    stems = sorted({name[:-4] for name in files if name.endswith((".png", ".svg", ".txt"))})
    stamps, images, skipped = {}, [], {}
    for stem in stems:
        try:
            captions = _captions(files.get(f"{stem}.txt"))
            image = _picture(files, stem)
        except (UnusableError, PictureError) as error:
            skipped[stem] = str(error)
            continue
        stamps[stem] = Stamp(stem, captions)
        images.append(image.transpose(2, 0, 1))
    _add_sounds(stamps, files)
    shape = (len(images), 3, IMAGE_SIZE, IMAGE_SIZE)
    return list(stamps.values()), np.array(images, np.uint8).reshape(shape), skipped


class UnusableError(ValueError):
    """Why a stamp cannot be an example."""


def _picture(files: dict[str, bytes], stem: str) -> np.ndarray:
    """The decoded picture of a stamp; the SVG where there are both."""
    for ending in (".svg", ".png"):
        if f"{stem}{ending}" in files:
            picture = decode(files[f"{stem}{ending}"], IMAGE_SIZE)
            if picture.min() == 255:
                raise UnusableError("white on white")
            return picture
    raise UnusableError("no picture")


def _captions(text: bytes | None) -> dict[str, str]:
    """Language -> caption: the file's first line is English, "en"; then `language.utf8=caption`."""
    if text is None:
        raise UnusableError("no caption file")
    try:
        first, *others = text.decode("utf-8-sig").splitlines() or [""]
    except UnicodeDecodeError:
        raise UnusableError("caption file is not UTF-8") from None
    captions = {"en": " ".join(first.split())}
    for line in others:
        found = TRANSLATION.match(line)
        if found and (words := " ".join(found[2].split())):
            captions[found[1]] = words
    if not captions["en"]:
        raise UnusableError("empty English caption")
    return captions


def _add_sounds(stamps: dict[str, Stamp], files: dict[str, bytes]) -> None:
    """Enter each sound effect and spoken caption with the stamp it belongs to."""
    for name in files:
        found = SOUND.fullmatch(name)
        if not found or found["stem"] not in stamps:
            continue
        stamp, path = stamps[found["stem"]], f"sounds/{name}"
        if found["spoken"]:
            stamp.spoken[found["language"] or "en"] = path
        else:
            stamp.sound = path
