"""From the files of the package `openclipart-svg` to the kept form of `openclipart`.

Knows what its drawings say of themselves, which of that is a caption, and the kept form:
`images.npy` and `openclipart.json`. Does not know how a package or a picture is read safely, or
what belongs together (`splits.py`).
"""

from __future__ import annotations

import html
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from mmtutor.data.fetch.archive import FetchError
from mmtutor.data.fetch.pictures import decode
from mmtutor.data.splits import fold_of, group_of

SIDE = 112
FOLDS = 8
HELD_OUT = {6: "val", 7: "test"}
OFTEN = 10  # pictures that may share a caption before it names their collection
COMMON = 0.25  # the least share of an author's words that somebody else uses too,
ENOUGH = 5  # of an author with at least so many
_AUTHOR = re.compile(r"clip ?art by .*? - ", re.IGNORECASE)
_NOISE = re.compile(r"[_\-#()]|\d+(?!\w)")
_WORD = re.compile(r"[^\W\d_]{3,}")
_WORTHLESS = re.compile(r"hash|0x\w+|hash\(0x\w+\)|unsorted|\W*")


def prepare(files: Path, folder: Path) -> str:
    """Fill `folder` from the package's files; what there is and what was skipped, in a few lines.

    Raises:
        FetchError: there is no usable drawing.
    """
    pictures, images, skipped = _drawn(files)
    if not pictures:
        raise FetchError(f"no usable drawing in the package ({skipped.total()} skipped)")
    _judge(pictures, images)
    groups = group_of([each["caption"] or each["title"] for each in pictures], images)
    for each, group in zip(pictures, groups, strict=True):
        each["group"] = group
    _split(pictures)
    np.save(folder / "images.npy", images)
    (folder / "openclipart.json").write_text(json.dumps(pictures, ensure_ascii=False), "utf-8")
    lines = [f"  {count:,} × {why}" for why, count in skipped.most_common()]
    clean = sum(not each["fault"] for each in pictures)
    counted = f"{len(pictures):,} drawings, {clean:,} with a clean caption"
    return "\n".join([f"{counted}; {skipped.total():,} skipped", *lines])


def _drawn(files: Path) -> tuple[list[dict[str, Any]], np.ndarray, Counter[str]]:
    """What each usable drawing says, the drawings uint8 [N, 3, S, S], and why others are not."""
    pictures, images, skipped = [], [], Counter[str]()
    for path in sorted(files.rglob("*.svg")):
        try:
            data = path.read_bytes()
            image = decode(data, SIDE)  # refuses what is damaged or hostile, before it is read
            if image.min() == 255:
                raise ValueError("white on white")
            pictures.append({"name": path.relative_to(files).as_posix(), **_said(data)})
            images.append(image.transpose(2, 0, 1))
        except ValueError as error:
            skipped[str(error).partition(":")[0]] += 1
    return pictures, np.array(images, np.uint8).reshape(-1, 3, SIDE, SIDE), skipped


def _said(data: bytes) -> dict[str, Any]:
    """Title, tags and author; or ValueError, for a drawing that is not given to the public."""
    work = ElementTree.fromstring(data).find(".//{*}Work")
    if work is None or not (title := _plain(work.findtext("{*}title"))):
        raise ValueError("no title")
    licence = work.find("{*}license")
    if licence is None or "publicdomain" not in _licence(licence):
        raise ValueError("not in the public domain")
    tags = [_plain(tag.text) for tag in work.iterfind("{*}subject//{*}li")]
    author = _plain(work.findtext("{*}creator//{*}title"))
    return {"title": title, "tags": [tag for tag in tags if tag], "author": author}


def _licence(element: ElementTree.Element) -> str:
    return "".join([*element.attrib.values(), element.text or ""]).replace(" ", "").casefold()


def _plain(text: str | None) -> str:
    return " ".join((text or "").split())


def _judge(pictures: list[dict[str, Any]], images: np.ndarray) -> None:
    """Give each picture a caption and keywords made from its title and tags, and its `fault`.

    A fault, "" for none, is the first of: the caption names a collection, its author, or nothing;
    the author writes words that hardly anybody else does (another language than English, mostly);
    the same drawing stands before under the same caption.
    """
    for each in pictures:
        each["caption"] = _caption(each["title"])
        each["keywords"] = _keywords(each["tags"], each["author"])
    often, seen = Counter(each["caption"] for each in pictures), set()
    alone = _alone(pictures)
    for each, image in zip(pictures, images, strict=True):
        words, author = _words([each["caption"]]), each["author"].casefold()
        copy = (each["caption"], image.tobytes())
        faults = {
            "collection": often[each["caption"]] > OFTEN,
            "author": bool(words & _words([author])),
            "nothing": not words,
            "language": author in alone,
            "copy": copy in seen,
        }
        each["fault"] = next((fault for fault, found in faults.items() if found), "")
        seen.add(copy)


def _caption(title: str) -> str:
    """A title without its author, numbers and signs, in small letters."""
    text = _NOISE.sub(" ", _AUTHOR.sub("", html.unescape(title)))
    return _plain(text).strip(" .,;:").casefold()


def _keywords(tags: list[str], author: str) -> list[str]:
    """The tags that say something, each once."""
    plain = [_plain(tag.replace("_", " ")).casefold() for tag in tags]
    kept = [tag for tag in plain if not _WORTHLESS.fullmatch(tag) and tag != author.casefold()]
    return list(dict.fromkeys(kept))


def _words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in _WORD.findall(text)}


def _split(pictures: list[dict[str, Any]]) -> None:
    """Give each picture its split: the clean ones in equal folds, and those of their groups."""
    clean = [each for each in pictures if not each["fault"]]
    groups, names = [each["group"] for each in clean], [each["name"] for each in clean]
    folds = fold_of(groups, names, FOLDS) if len(set(groups)) >= FOLDS else [0] * len(clean)
    splits = {group: HELD_OUT.get(int(fold)) for group, fold in zip(groups, folds, strict=True)}
    for each in pictures:
        each["split"] = splits.get(each["group"]) or "train"


def _alone(pictures: list[dict[str, Any]]) -> set[str]:
    """The authors who share too few of the words of their captions with anybody."""
    users, written = defaultdict(set), defaultdict(set)
    for each in pictures:
        author = each["author"].casefold()
        written[author] |= _words([each["caption"]])
        for word in _words([each["caption"], *each["keywords"]]):
            users[word].add(author)
    shared = {author: sum(len(users[w]) > 1 for w in words) for author, words in written.items()}
    return {
        author
        for author, words in written.items()
        if len(words) >= ENOUGH and shared[author] < COMMON * len(words)
    }
