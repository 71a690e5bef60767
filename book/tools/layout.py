"""Where things lie in a book, and what counts as a chapter.

Knows the folders and the names; does not know how a chapter is converted, executed or rendered.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Book:
    """The folders of one book below `root`: this repository's, or a small one made by a test."""

    root: Path = ROOT

    @property
    def source(self) -> Path:
        return self.root / "book"

    @property
    def build(self) -> Path:
        return self.root / "_build"

    @property
    def executed(self) -> Path:
        return self.build / "executed"

    @property
    def html(self) -> Path:
        return self.build / "html"

    def chapters(self) -> list[Path]:
        """The text notebooks, as `.md` paths in reading order, that of the table of contents."""
        found = [path for path in sorted(self.source.rglob("*.md")) if is_text_notebook(path)]
        toc = re.findall(r"file: (\S+)", (self.source / "_toc.yml").read_text(encoding="utf-8"))
        place = {name: number for number, name in enumerate(toc)}
        return sorted(found, key=lambda chapter: place.get(self.name(chapter), len(toc)))

    def name(self, chapter: Path) -> str:
        """`5-labs/retrieval` for `book/5-labs/retrieval.md`."""
        return chapter.relative_to(self.source).with_suffix("").as_posix()


def front_matter(path: Path) -> dict:
    """The YAML block between the first two `---` lines, or an empty dict."""
    text = path.read_text(encoding="utf-8")
    if not text.startswith("---\n"):
        return {}
    block = text[4:].partition("\n---")[0]
    return yaml.safe_load(block) or {}


def is_text_notebook(path: Path) -> bool:
    """Whether an `.md` file is a notebook (it names a kernel) and not a plain page."""
    return "kernelspec" in front_matter(path)


def write_atomically(path: Path, text: str) -> None:
    """Write `text` under a temporary name beside `path`, then move it there in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def swap_folder(new: Path, current: Path) -> None:
    """Put the folder `new` in the place of `current`, which stays whole until then."""
    old = current.with_name(f".{current.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    current.parent.mkdir(parents=True, exist_ok=True)
    if current.exists():
        os.replace(current, old)
    os.replace(new, current)
    shutil.rmtree(old, ignore_errors=True)


def digest(parts: list[bytes]) -> str:
    """SHA-256 of several byte strings, each with its length, so that no two lists collide."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()
