"""Sets of documents: how they are kept, and read again.

Knows one JSON file, of documents by split. Does not know what a document is.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from mmtutor.checks import one_of
from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch import FetchError, located

SPLITS = ("train", "val", "test")
_FILE = "documents.json"

Document = dict[str, Any]


def entries(path: Path, kinds: Mapping[str, type]) -> list[Document]:
    """The objects in a JSON file, one or a list, each with these fields of these types.

    Raises:
        FetchError: the file is missing or damaged; the message names it.
    """
    try:
        found = json.loads(path.read_bytes())
        rows = found if isinstance(found, list) else [found]
        whole = all(isinstance(row[name], kind) for row in rows for name, kind in kinds.items())
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise FetchError(f"{path.name} is missing or damaged ({error!r})") from error
    if not whole:
        raise FetchError(f"{path.name} is damaged: expected objects with {', '.join(kinds)}")
    return rows


def keep(splits: Mapping[str, Iterable[Document]], folder: Path) -> str:
    """Write the documents of each split to `folder`; how many there are, in words.

    Raises:
        FetchError: a split has none.
    """
    kept = {split: list(splits[split]) for split in SPLITS}
    if not all(kept.values()):
        raise FetchError(f"no document for {min(kept, key=lambda split: len(kept[split]))!r}")
    (folder / _FILE).write_text(json.dumps(kept, ensure_ascii=False), "utf-8")
    return ", ".join(f"{len(kept[split]):,} documents in {split}" for split in SPLITS)


def read(name: str, split: str, root: Path | str | None = None) -> Dataset:
    """The documents of a split of the set `name`: a column for each field; numbers as int64.

    Raises:
        FileNotFoundError: the set is not in the cache; says how to get it.
        ValueError: for an unknown split.
    """
    one_of(SPLITS, split=split)
    rows = json.loads((located(name, root) / _FILE).read_bytes())[split]
    columns = {field: [row[field] for row in rows] for field in rows[0]}
    numbers = {k: torch.tensor(v) for k, v in columns.items() if isinstance(v[0], int)}
    return Dataset(columns | numbers, name=f"{name}/{split}")
