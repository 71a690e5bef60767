"""From the files of six npm packages to the kept form of `emoji`.

Knows how they name a concept, and the kept form: `images.npy`, `emoji.json` and `names/`. Does not
know how a package or a picture is read safely, or what belongs together (`splits.py`).
"""

from __future__ import annotations

import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np

from mmtutor.data.fetch.archive import FetchError
from mmtutor.data.fetch.pictures import PictureError, decode
from mmtutor.data.splits import fold_of, group_of

STYLES = ("google", "twitter", "openmoji", "fluent")
SIDE = 64
NAMED = 0.9  # the share of concepts that a language must have names for
FOLDS = 8
HELD_OUT = {6: "val", 7: "test"}
_SIGN = "\ufe0f"  # "draw this as a picture": some sources write it, some do not

Texts = dict[str, dict[str, list]]  # of each language: "names" and "keywords" of all concepts


def prepare(files: Path, folder: Path) -> str:
    """Fill `folder` from the packages' files; what there is, in words.

    Raises:
        FetchError: a file is missing or damaged; the message names it.
    """
    try:
        concepts = _concepts(files)
        texts = _texts(files, [concept["emoji"] for concept in concepts])
        places, images = _pictures(files, concepts, texts["en"]["names"])
    except FetchError:  # a picture, by its name
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise FetchError(f"damaged: {error!r}") from error
    names = [texts["en"]["names"][concept] for concept, _ in places]
    groups = group_of(names, images)
    folds = fold_of(groups, names, FOLDS) if len(set(groups)) >= FOLDS else [0] * len(names)
    for (concept, _), group, fold in zip(places, groups, folds, strict=True):
        concepts[concept] |= {"group": group, "split": HELD_OUT.get(int(fold), "train")}
    np.save(folder / "images.npy", images)
    kept = {"concepts": concepts, "pictures": places}
    (folder / "emoji.json").write_text(json.dumps(kept, ensure_ascii=False), "utf-8")
    (folder / "names").mkdir()
    for language, said in texts.items():
        path = folder / "names" / f"{language}.json"
        path.write_text(json.dumps(said, ensure_ascii=False), "utf-8")
    return f"{len(places):,} pictures of {len(concepts):,} concepts, {len(texts)} languages"


def _concepts(files: Path) -> list[dict[str, Any]]:
    """Those of Unicode, each in one skin tone, without the parts that make others."""
    rows = json.loads((files / "openmoji.json").read_bytes())
    return [
        {"emoji": row["emoji"], "category": row["group"]}
        for row in rows
        if not row["skintone"] and not row["group"].startswith(("extras", "component"))
    ]


def _texts(files: Path, emoji: list[str]) -> Texts:
    """What the languages call the concepts, for the languages that name most of them."""
    keys, texts = [each.replace(_SIGN, "") for each in emoji], {}
    for path in sorted((files / "annotations").glob("*/annotations.json")):
        said: dict[str, dict] = {}
        for part in ("annotations", "annotationsDerived"):
            file = files / part / path.parent.name / path.name
            found = json.loads(file.read_bytes())[part] if file.is_file() else {}
            entries = found.get("annotations", {}).items()
            said |= {key.replace(_SIGN, ""): each for key, each in entries}
        each = [said.get(key, {}) for key in keys]
        names = [entry.get("tts", [""])[0] for entry in each]
        if sum(map(bool, names)) >= NAMED * len(names):
            keywords = [entry.get("default", []) for entry in each]
            texts[path.parent.name] = {"names": names, "keywords": keywords}
    return texts


def _pictures(
    files: Path, concepts: list[dict[str, Any]], names: list[str]
) -> tuple[list[tuple[int, str]], np.ndarray]:
    """The concept and style of each picture, and the pictures, uint8 [P, 3, 64, 64]."""
    drawn = {
        style: {_key(path.stem): path for path in (files / style).iterdir()} for style in STYLES
    }
    places, images = [], []
    for number, (concept, name) in enumerate(zip(concepts, names, strict=True)):
        code = "-".join(f"{ord(each):04X}" for each in concept["emoji"])
        for style in STYLES:
            path = drawn[style].get(_key(_slug(name) if style == "fluent" else code))
            if path is not None:
                places.append((number, style))
                images.append(_picture(path).transpose(2, 0, 1))
    return places, np.array(images, np.uint8).reshape(-1, 3, SIDE, SIDE)


def _key(stem: str) -> str:
    """The code points, or the name, that a file is called by."""
    return stem.upper().replace(f"-{ord(_SIGN):X}", "").removesuffix("-DEFAULT")


def _slug(name: str) -> str:
    """A name as Fluent's files are called by it."""
    plain = unicodedata.normalize("NFKD", name.replace("’", "")).encode("ascii", "ignore").decode()
    return "-".join(re.findall(r"[a-z0-9]+", plain.lower().replace("'", "")))


def _picture(path: Path) -> np.ndarray:
    try:
        return decode(path.read_bytes(), SIDE)
    except PictureError as error:
        raise FetchError(f"{path.parent.name}/{path.name} is damaged ({error})") from error
