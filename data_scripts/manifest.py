"""The manifest of a folder that a script filled: what it holds, and the checksum of each file.

Knows one JSON file. Does not know any data set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmtutor.files import atomic_file, sha256

NAME = "manifest.json"


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Put the manifest into `folder`, whole or not at all."""
    with atomic_file(folder / NAME) as file:
        file.write(json.dumps(manifest, indent=2).encode())


def read(folder: Path) -> dict[str, Any]:
    """The manifest of `folder`; ValueError where there is none."""
    if not (folder / NAME).exists():
        raise ValueError(f"{folder} exists but was not made by this script; choose another --out")
    return json.loads((folder / NAME).read_text())


def check(folder: Path, hashes: Mapping[str, str]) -> None:
    """ValueError, naming the file, unless each is in `folder` with its checksum."""
    for name, expected in hashes.items():
        path = folder / name
        if not path.exists() or sha256(path) != expected:
            raise ValueError(
                f"{path} is missing or was changed; remove {folder} and run this again"
            )
