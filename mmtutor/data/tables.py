"""A reader's own table: CSV or JSONL, alone or in a folder with the pictures that it names.

Knows files, columns and pictures on disk. Does not know what the columns are for.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from mmtutor import checks
from mmtutor.data.dataset import Dataset, Example
from mmtutor.data.fetch.pictures import PictureError, read_picture

NAMES = ("metadata.csv", "metadata.jsonl")  # as the image folders of `datasets` have them
LISTS = ("answers", "options")  # columns whose cells hold several texts; in a CSV with | between


def read_table(path: str | Path) -> Dataset:
    """The rows of a CSV (with a header) or JSONL file, or of the one table in a folder.

    Columns are lists of strings, but for `answers` and `options`, lists of lists of strings; an
    empty or missing cell is "". `image` (or `file_name`) holds paths from the table's folder, and
    reading an example gives the picture there, uint8 (3, H, W), at its own size.

    Raises:
        ValueError: there is no such file, no table in the folder, or one of another kind; no row, a
            row that does not fit its header, or a picture that is missing or cannot be decoded.
    """
    checks.instance((str, Path), path=path)
    file = _table(Path(path).expanduser())
    rows = _rows(file)
    if not rows:
        raise ValueError(f"{file} has no rows: expected a header, and a line for each question")
    columns = {str(name): None for row in rows for name in row}
    filled = {name: [_cell(name, row.get(name)) for row in rows] for name in columns}
    if "file_name" in filled:
        filled.setdefault("image", filled.pop("file_name"))
    if "image" not in filled:
        return Dataset(filled, name=file.name)
    for line, name in enumerate(filled["image"], start=1):
        if not name or not (file.parent / name).is_file():
            raise ValueError(f"{file}, row {line}: there is no picture {name!r} beside it")
    return Dataset(filled, _Reader(file.parent), file.name)


class _Reader:
    """The transform that puts a picture in the place of its path."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, example: Example) -> Example:
        path = self.folder / example["image"]
        try:
            return {**example, "image": read_picture(path.read_bytes())}
        except PictureError as error:
            raise ValueError(f"{path} {error}") from None


def _table(path: Path) -> Path:
    """The table at `path`, or the one in the folder there."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise ValueError(f"path must be a table or a folder with one, got {path}")
    named = [path / name for name in NAMES if (path / name).is_file()]
    found = named or sorted(p for p in path.iterdir() if p.suffix in (".csv", ".jsonl"))
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise ValueError(
            "path must hold one table, metadata.csv or another CSV or JSONL file, "
            f"got {names} in {path}"
        )
    return found[0]


def _rows(file: Path) -> list[dict[str, Any]]:
    if file.suffix not in (".csv", ".jsonl"):
        raise ValueError(f"path must end in .csv or .jsonl, got {file}")
    text = file.read_text("utf-8-sig")
    if file.suffix == ".jsonl":
        return [_object(file, i, line) for i, line in enumerate(text.splitlines(), 1) if line]
    rows = list(csv.DictReader(text.splitlines(keepends=True), strict=True))
    for i, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f"{file}, row {i}: expected as many cells as the header has")
    return rows


def _object(file: Path, line: int, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError(f"{file}, row {line}: expected a JSON object, got {text[:40]!r}")
    return found


def _cell(name: str, value: Any) -> str | list[str]:
    if name in LISTS:
        parts = value if isinstance(value, list) else str(value or "").split("|")
        return [str(part).strip() for part in parts if str(part).strip()]
    return "" if value is None else str(value).strip()
