"""`emoji`: pictures of one set of concepts in four drawing styles, with names in many languages.

Knows the columns of the data set. Does not know where the files come from (`emoji_archive.py`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from mmtutor.checks import listed, one_of
from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch import located
from mmtutor.data.real.emoji_archive import STYLES


def load(
    split: str = "train",
    *,
    style: str | Sequence[str] = STYLES,
    languages: Sequence[str] = ("en",),
    root: Path | str | None = None,
) -> Dataset:
    """The pictures, the styles of one concept together, read from the cache that `mmtutor fetch`
    fills. Not every concept is drawn in every style; none is drawn in several skin tones.

    Columns: image (N, 3, 64, 64) uint8, on white; caption (the English name), emoji (its
    characters), category, style: str; names (dict language -> str) and keywords (dict language ->
    list of str), "" and none where a language has no name; concept (N,) int64, the same number in
    every split and style; group (N,) int64: concepts with equal names or, in any style, nearly
    equal pictures.

    Args:
        split: "train", "val" or "test", one in eight groups each for the last two; or "all".
        style: one or several of STYLES.
        languages: codes of the Unicode CLDR, such as "zh" or "de"; `available()` names them.
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: they are not in the cache.
        ValueError: for an unknown split, style or language, or no style.
    """
    one_of(("all", "train", "val", "test"), split=split)
    styles = [style] if isinstance(style, str) else listed(str, style=style)
    for each in styles or [""]:
        one_of(STYLES, style=each)
    folder, known = located("emoji", root), available(root)
    for each in listed(str, languages=languages):
        one_of(known, languages=each)
    kept = json.loads((folder / "emoji.json").read_bytes())
    concepts = kept["concepts"]
    rows = [
        row
        for row, (concept, drawn) in enumerate(kept["pictures"])
        if drawn in styles and split in ("all", concepts[concept]["split"])
    ]
    numbers, drawn = zip(*(kept["pictures"][row] for row in rows), strict=True)
    said = {code: json.loads(_names(folder, code).read_bytes()) for code in ("en", *languages)}
    fields = {key: [concepts[i][key] for i in numbers] for key in ("emoji", "category", "group")}
    columns = {
        "image": torch.from_numpy(np.load(folder / "images.npy", mmap_mode="r")[rows]),
        "caption": [said["en"]["names"][i] for i in numbers],
        "style": list(drawn),
        "concept": torch.tensor(numbers),
        **{
            key: [{code: said[code][key][i] for code in languages} for i in numbers]
            for key in ("names", "keywords")
        },
    }
    return Dataset(columns | fields | {"group": torch.tensor(fields["group"])}, name="emoji")


def available(root: Path | str | None = None) -> list[str]:
    """The codes of the languages in which nine of ten concepts have names.

    Raises FileNotFoundError as `load` does.
    """
    return sorted(path.stem for path in (located("emoji", root) / "names").iterdir())


def _names(folder: Path, language: str) -> Path:
    return folder / "names" / f"{language}.json"
