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
    languages, known = listed(str, languages=languages), available(root)
    for each in languages:
        one_of(known, languages=each)
    folder = located("emoji", root)
    kept = json.loads((folder / "emoji.json").read_bytes())
    chosen = [
        (row, kept["concepts"][concept] | {"concept": concept, "style": drawn})
        for row, (concept, drawn) in enumerate(kept["pictures"])
        if drawn in styles and split in ("all", kept["concepts"][concept]["split"])
    ]
    images = np.load(folder / "images.npy", mmap_mode="r")[[row for row, _ in chosen]]
    return _dataset(folder, images, [entry for _, entry in chosen], languages)


def _dataset(folder: Path, images: np.ndarray, chosen: list[dict], languages: list[str]) -> Dataset:
    fields = {k: [each[k] for each in chosen] for k in ("emoji", "category", "style")}
    numbers = {k: torch.tensor([each[k] for each in chosen]) for k in ("concept", "group")}
    paths = {code: folder / "names" / f"{code}.json" for code in ("en", *languages)}
    said = {code: json.loads(path.read_bytes()) for code, path in paths.items()}
    texts = {
        key: [{code: said[code][key][each["concept"]] for code in languages} for each in chosen]
        for key in ("names", "keywords")
    }
    captions = [said["en"]["names"][each["concept"]] for each in chosen]
    columns = {"image": torch.from_numpy(images), "caption": captions}
    return Dataset(columns | fields | texts | numbers, name="emoji")


def available(root: Path | str | None = None) -> list[str]:
    """The codes of the languages in which nine of ten concepts have names.

    Raises FileNotFoundError as `load` does.
    """
    return sorted(path.stem for path in (located("emoji", root) / "names").iterdir())
