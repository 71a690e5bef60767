"""`openclipart`: drawings with titles and tags as their authors gave them, raw or cleaned.

Knows the columns of the data set. Does not know where the files come from, or what makes a caption
clean (`openclipart_archive.py`).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from mmtutor.checks import instance, one_of
from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch import located


def load(split: str = "train", *, clean: bool = True, root: Path | str | None = None) -> Dataset:
    """The drawings, read from the cache that `mmtutor fetch` fills.

    Columns: image (N, 3, 112, 112) uint8, on white; caption (cleaned: in small letters, without
    author and numbers; raw: the title as it stands), author, name, fault: str; keywords (list of
    str; raw: the tags as they stand); group (N,) int64: drawings that share a caption, or nearly a
    picture.

    Of 150 clean captions, judged by eye, about one in ten still named nothing that is drawn, or
    not in English.

    Args:
        split: "train", "val" or "test", whole groups; or "all". The last two have one in eight
            each of the clean drawings, and the others of their groups.
        clean: leave out what has a fault: "collection", more than ten share the caption;
            "author", it names the author; "nothing", it has no word; "language", the author shares
            hardly a word with any other, as one who writes Italian; "copy", the same drawing
            stands before under the same caption. False keeps all, with the titles as they stand.
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: they are not in the cache.
        ValueError: for an unknown split.
    """
    one_of(("all", "train", "val", "test"), split=split)
    instance(bool, clean=clean)
    folder = located("openclipart", root)
    pictures = json.loads((folder / "openclipart.json").read_bytes())
    rows = [
        row
        for row, each in enumerate(pictures)
        if split in ("all", each["split"]) and not (clean and each["fault"])
    ]
    chosen = [pictures[row] for row in rows]
    images = np.load(folder / "images.npy", mmap_mode="r")[rows]
    columns = {
        "image": torch.from_numpy(images),
        "caption": [each["caption" if clean else "title"] for each in chosen],
        "keywords": [each["keywords" if clean else "tags"] for each in chosen],
        "group": torch.tensor([each["group"] for each in chosen], dtype=torch.int64),
    }
    said = {key: [each[key] for each in chosen] for key in ("author", "name", "fault")}
    return Dataset(columns | said, name="openclipart")
