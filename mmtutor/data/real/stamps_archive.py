"""From the files of the package `tuxpaint-stamps-default` to the kept form of `stamps`.

Knows how that package names its files, what makes an example usable, and the kept form:
`images.npy`, `stamps.json` and the sounds as files. Does not know how a package is read safely, how
a picture is (`pictures.py`), or what belongs together (`splits.py`).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from mmtutor.data.fetch.archive import FetchError
from mmtutor.data.fetch.pictures import decode
from mmtutor.data.splits import group_of

IMAGE_SIZE = 224
_SOUND = re.compile(r"(?P<stem>.+?)(?P<spoken>_desc(?:_(?P<language>[A-Za-z@_]+))?)?\.(?:ogg|wav)")
_TRANSLATION = re.compile(r"(?m)^([A-Za-z@_]+)\.utf8=(.*)")


def prepare(files: Path, folder: Path) -> str:
    """Fill `folder` from the package's files; what there is and what was skipped, in a few lines.

    `stamps.json` holds "stamps", a list in the order of the pictures, and "skipped", name -> why.

    Raises:
        FetchError: there is no usable stamp.
    """
    stamps, images, skipped = _examples(files)
    if not stamps:
        raise FetchError(f"no usable stamp in the package ({len(skipped)} skipped)")
    groups = group_of([stamp["captions"]["en"] for stamp in stamps.values()], images)
    for stamp, group in zip(stamps.values(), groups, strict=True):
        stamp["group"] = group
    _move_sounds(files, stamps, folder)
    with open(folder / "images.npy", "wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(images))
        file.write(memoryview(images).cast("B"))  # tofile() would hide why it failed
    kept = {"stamps": list(stamps.values()), "skipped": skipped}
    (folder / "stamps.json").write_text(json.dumps(kept, ensure_ascii=False), "utf-8")
    reasons = defaultdict(list)
    for name, reason in skipped.items():
        reasons[reason].append(name)
    lines = [f"  {len(names)} × {why}: {', '.join(names)}" for why, names in reasons.items()]
    return "\n".join([f"{len(stamps)} examples; {len(skipped)} skipped", *lines])


def _examples(files: Path) -> tuple[dict[str, dict[str, Any]], np.ndarray, dict[str, str]]:
    """The usable stamps by name, their pictures uint8 [N, 3, S, S], and name -> why not.

    Symbols (letters, coins and shapes) have no caption of interest and are left out.
    """
    paths = [path for path in files.rglob("*") if path.suffix in (".png", ".svg", ".txt")]
    names = {path.relative_to(files).with_suffix("").as_posix() for path in paths}
    stamps, images, skipped = {}, [], {}
    for name in sorted(name for name in names if not name.startswith("symbols/")):
        try:
            captions = _captions(files / f"{name}.txt")
            images.append(_picture(files, name).transpose(2, 0, 1))
        except ValueError as error:
            skipped[name] = str(error)
        else:
            stamps[name] = {"name": name, "captions": captions, "sound": "", "spoken": {}}
    shape = (len(images), 3, IMAGE_SIZE, IMAGE_SIZE)
    return stamps, np.array(images, np.uint8).reshape(shape), skipped


def _picture(files: Path, name: str) -> np.ndarray:
    """The decoded picture of a stamp; the SVG where there are both. Or ValueError: why not."""
    for path in (files / f"{name}.svg", files / f"{name}.png"):
        if path.is_file():
            picture = decode(path.read_bytes(), IMAGE_SIZE)
            if picture.min() == 255:
                raise ValueError("white on white")
            return picture
    raise ValueError("no picture")


def _captions(path: Path) -> dict[str, str]:
    """Language -> caption: the file's first line is English, "en"; then `language.utf8=caption`."""
    if not path.is_file():
        raise ValueError("no caption file")
    try:
        first, _, others = path.read_text("utf-8-sig").partition("\n")
    except UnicodeDecodeError:
        raise ValueError("caption file is not UTF-8") from None
    found = {"en": first} | dict(_TRANSLATION.findall(others))
    captions = {language: words for language, text in found.items() if (words := _plain(text))}
    if "en" not in captions:
        raise ValueError("empty English caption")
    return captions


def _plain(text: str) -> str:
    return " ".join(text.split())


def _move_sounds(files: Path, stamps: dict[str, dict[str, Any]], folder: Path) -> None:
    """Keep each sound effect and spoken caption, and enter it with the stamp it belongs to."""
    for path in sorted(files.rglob("*")):
        name = path.relative_to(files).as_posix()
        found = _SOUND.fullmatch(name)
        if not found or found["stem"] not in stamps:
            continue
        kept = f"sounds/{name}"
        (folder / kept).parent.mkdir(parents=True, exist_ok=True)
        path.rename(folder / kept)
        if found["spoken"]:
            stamps[found["stem"]]["spoken"][found["language"] or "en"] = kept
        else:
            stamps[found["stem"]]["sound"] = kept
