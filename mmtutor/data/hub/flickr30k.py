"""Flickr30k: thirty thousand photographs with five captions each, from the hub or a local folder.

Knows the columns and splits of the table, and how to read its pictures safely, one at a time. Does
not know any model. `datasets` is imported only when a table is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mmtutor.checks import at_least, instance, listed, one_of
from mmtutor.data.dataset import Dataset, Example
from mmtutor.data.fetch.pictures import PictureError, read_picture
from mmtutor.data.hub.preprocess import is_folder, need_hub_extra, open_table

if TYPE_CHECKING:
    import datasets

FLICKR30K = "nlphuji/flickr30k"
PARQUET = "refs/convert/parquet"  # the branch of plain tables; `datasets` 4 runs no loading script
SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}


def load_flickr30k(
    source: str | Path = FLICKR30K,
    split: str = "test",
    *,
    limit: int | None = None,
    revision: str | None = PARQUET,
) -> Dataset:
    """One split of Flickr30k (Young et al. 2014), an example an image, pictures read on demand.

    The splits are those of Karpathy and Fei-Fei (2015): 29,000, 1,014 and 1,000 images. Columns:
    `row` int64 (row of the table), `captions` list[str] (five), `group` int64 (one number an image,
    so that all its captions are relevant to it), `name` str. The transform adds `image` uint8
    (3, H, W) of the picture's own size.

    Args:
        source: a hub id, or a local folder of parquet files or saved by `datasets`. The table has
            columns `image`, `caption`, optionally `img_id` or `filename`, and either a column
            `split` or one part a split.
        split: "train", "val" (or "validation") or "test".
        limit: keep only the first so many images.
        revision: branch of the hub's repository; not used for a folder.

    Raises:
        HubUnreachableError: no network and no cached copy.
        FileNotFoundError: `source` is neither a folder nor a hub id.
        ValueError: an unknown split, a missing column, no rows, a limit below 1, or a row without
            a list of captions; the message names the table, the row and the column.
        ImportError: the extra `hub` is not installed.
    """
    one_of(SPLITS, split=split)
    if limit is not None:
        at_least(1, limit=limit)
    need_hub_extra()
    whole = open_folder(source) if is_folder(source) else open_table(source, revision=revision)
    rows, table = _rows_of_split(whole, SPLITS[split], source)
    rows, table = rows[:limit], table.select(range(len(rows[:limit])))
    columns = {
        "row": torch.arange(len(table)),
        "captions": [
            _captions(value, f"{source}, row {row}, column caption")
            for value, row in zip(table["caption"], rows, strict=True)
        ],
        "group": torch.tensor(rows),
        "name": _names(table, rows),
    }
    return Dataset(columns, ReadPicture(table, source), f"flickr30k {SPLITS[split]}")


def one_row_per_caption(dataset: Dataset) -> Dataset:
    """The same images once for each of their captions, with `caption` str in place of `captions`.

    `group` still numbers the image, so that captions of one image count as relevant to each other.

    Raises:
        KeyError: there is no column `captions`.
        ValueError: a row of it is no list of strings.
    """
    instance(Dataset, dataset=dataset)
    captions = [
        _captions(value, f"dataset, row {row}, column captions")
        for row, value in enumerate(dataset.column("captions"))
    ]
    rows = [row for row, several in enumerate(captions) for _ in several]
    repeated = dataset.subset(rows)
    flat = [caption for several in captions for caption in several]
    columns = {key: value for key, value in repeated.columns.items() if key != "captions"}
    return Dataset({**columns, "caption": flat}, dataset.transform, dataset.name)


class ReadPicture:
    """Adds `image` uint8 (3, H, W), read from the table's row number `row`.

    The table stays on disk; only the picture asked for is decoded. `source` is what errors call it.
    """

    def __init__(self, table: datasets.Dataset, source: str | Path = "the table") -> None:
        self.table = undecoded(table, ["image"], source)
        self.source = source

    def __call__(self, example: Example) -> Example:
        """Raises PictureError, naming the row, for a missing, damaged or too large picture."""
        if not isinstance(example, dict) or "row" not in example:
            raise TypeError(f"example must be a dict with a row, got {example!r}"[:200])
        row = int(example["row"])
        cell = self.table[row]["image"] or {}
        try:
            if not cell.get("bytes") and not cell.get("path"):
                raise PictureError("there is none")
            data = cell.get("bytes") or Path(cell["path"]).read_bytes()
            return {**example, "image": read_picture(data)}
        except (PictureError, OSError) as error:
            where = f"{self.source}, row {row} read, column image"
            raise PictureError(f"{where}: picture {example.get('name', row)}: {error}") from error


def open_folder(folder: str | Path) -> dict[str, datasets.Dataset]:
    """The parts, by name, of a table in a folder of parquet files or saved by `datasets`.

    A table without parts is one part called "all". Raises FileNotFoundError if there is no table.
    """
    import datasets

    instance((str, Path), folder=folder)
    folder = Path(folder).expanduser()
    if any((folder / mark).exists() for mark in ("state.json", "dataset_dict.json")):
        parts = datasets.load_from_disk(str(folder))
    elif any(folder.rglob("*.parquet")):
        parts = datasets.load_dataset(str(folder))
    else:
        raise FileNotFoundError(f"{folder} holds no parquet file and no saved dataset")
    return parts if isinstance(parts, dict) else {"all": parts}


def undecoded(
    table: datasets.Dataset, needed: Sequence[str], source: str | Path
) -> datasets.Dataset:
    """`table` with its pictures left as files. Raises ValueError for a missing column."""
    import datasets

    instance(datasets.Dataset, table=table)
    needed = listed(str, needed=needed)
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        there = ", ".join(table.column_names)
        raise ValueError(f"{source} has no column {' and '.join(missing)}; it has {there}")
    try:
        return table.cast_column("image", datasets.Image(decode=False))
    except (TypeError, ValueError, NotImplementedError) as error:
        raise ValueError(f"{source}, column image: it holds no pictures ({error})") from error


def _rows_of_split(
    parts: dict[str, datasets.Dataset], split: str, source: str | Path
) -> tuple[list[int], datasets.Dataset]:
    """Row numbers in the whole table, and those rows, with pictures not decoded."""
    import datasets

    table = datasets.concatenate_datasets(list(parts.values()))
    table = undecoded(table, ("image", "caption"), source)
    owner = [name for name, part in parts.items() for _ in range(len(part))]
    if "split" in table.column_names:
        owner = list(table["split"])
    rows = [row for row, name in enumerate(owner) if SPLITS.get(name, name) == split]
    if not rows:
        there = ", ".join(sorted(map(str, set(owner)))) or "no rows"
        raise ValueError(f"{source} has no split {split!r} (a column or a part); it has {there}")
    return rows, table.select(rows)


def _captions(value: Any, where: str) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(text, str) for text in value):
        return value
    raise ValueError(f"{where}: {value!r}, expected a list of strings")


def _names(table: datasets.Dataset, rows: list[int]) -> list[str]:
    found = next((name for name in ("filename", "img_id") if name in table.column_names), None)
    given = table[found] if found else [None] * len(rows)
    return [
        f"row {row}" if name is None else str(name) for name, row in zip(given, rows, strict=True)
    ]
