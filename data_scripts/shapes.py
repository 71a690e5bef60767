"""Write a split of the `shapes` dataset to a folder: `tensors.safetensors` and `captions.json`.

The package never needs these files, for `mmtutor.data.load("shapes")` makes the same bytes in
memory; they are for looking at, and for programs that do not run Python.

    python data_scripts/shapes.py shapes-test --split test --n 1000
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mmtutor.data import Dataset, load
from mmtutor.data.shapes.scene import SPLITS
from mmtutor.files import atomic_folder


def write(dataset: Dataset, folder: Path) -> None:
    """Write every tensor column to one safetensors file, and every list column to one JSON file."""
    from safetensors.torch import save_file

    tensors = {k: v for k, v in dataset.columns.items() if not isinstance(v, list)}
    texts = {k: v for k, v in dataset.columns.items() if isinstance(v, list)}
    with atomic_folder(folder) as partial:
        save_file(tensors, partial / "tensors.safetensors")
        text = json.dumps(texts, ensure_ascii=False, indent=1)
        (partial / "captions.json").write_text(text, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Write a split of the shapes dataset to a folder.")
    parser.add_argument("folder", type=Path, help="a folder that does not exist yet")
    parser.add_argument("--split", default="train", choices=SPLITS)
    parser.add_argument("--n", type=int, default=10_000, help="number of examples")
    parser.add_argument("--size", type=int, default=64, help="pixels along a side")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-objects", type=int, default=2)
    options = vars(parser.parse_args(arguments))
    folder = options.pop("folder")
    if folder.exists():
        parser.error(f"{folder} exists already")
    try:
        dataset = load("shapes", **options, with_masks=True)
    except ValueError as error:
        parser.error(str(error))
    write(dataset, folder)
    print(f"{folder}: {dataset}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
