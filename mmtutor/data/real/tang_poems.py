"""Tang poems: the Complete Tang Poems in traditional characters, from the npm package
`chinese-poetry`.

Knows the package's files, what makes a poem usable, and which poets are held out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mmtutor.data.dataset import Dataset
from mmtutor.data.real.documents import SPLITS, Document, entries, keep, read
from mmtutor.data.splits import fold_of

SHORTEST = 10  # characters of a poem, and of a line by which poems are known to be related
FOLDS = 10
HELD_OUT = {8: "val", 9: "test"}  # not the first folds, which hold the most famous poets
_HAN = "\u3400-\u9fff\U00020000-\U0003ffff〇"
_NOTE = re.compile(r"（[^（）]*）|[\[\]]")  # another reading; brackets round what was restored
_POEM = re.compile(rf"[{_HAN}，。、？！；：「」『』《》·\n]+")
_OTHER = re.compile(rf"[^{_HAN}]")


def load(split: str = "train", *, root: Path | str | None = None) -> Dataset:
    """The poems, read from the cache that `mmtutor fetch` fills.

    Columns: id, author, title, text, each str. A text has a line for each couplet and no notes.
    Left out are poems with gaps or described characters, fragments of less than 10 characters, and
    copies of an earlier poem.

    Args:
        split: "val" and "test": the poets of one tenth of the poems each, without poems that share
            a line with another split; "train": all other poets, the most famous among them.
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: they are not in the cache.
        ValueError: for an unknown split.
    """
    return read("tang-poems", split, root)


def prepare(files: Path, folder: Path) -> str:
    """Write the kept form of the package's files to `folder`; what it is, in words.

    Raises:
        FetchError: a file is missing or damaged; the message names it.
    """
    poems = list(_poems(files))
    authors = [poem["author"] for poem in poems]
    number = {author: index for index, author in enumerate(dict.fromkeys(authors))}
    folds = fold_of([number[author] for author in authors], authors, FOLDS) if poems else []
    splits: dict[str, list[Document]] = {split: [] for split in SPLITS}
    for poem, fold in zip(poems, folds, strict=True):
        splits[HELD_OUT.get(int(fold), "train")].append(poem)
    return keep(_apart(splits), folder)


def _poems(files: Path) -> Iterator[Document]:
    """The usable poems in the order of the collection, each once."""
    kinds, seen = {"id": str, "author": str, "title": str, "paragraphs": list}, set()
    for path in sorted(files.glob("poet.tang.*.json"), key=lambda p: int(p.suffixes[-2][1:])):
        for row in entries(path, kinds):
            lines = [_NOTE.sub("", line).strip() for line in row["paragraphs"]]
            text = "\n".join(line for line in lines if line)
            bare = _OTHER.sub("", text)
            if len(bare) >= SHORTEST and _POEM.fullmatch(text) and bare not in seen:
                seen.add(bare)
                yield {key: row[key] for key in ("id", "author", "title")} | {"text": text}


def _apart(splits: dict[str, list[Document]]) -> dict[str, list[Document]]:
    """Without the poems that share a long line with one of an earlier split."""
    home: dict[str, str] = {}
    kept: dict[str, list[Document]] = {split: [] for split in SPLITS}
    for split, poems in splits.items():
        for poem in poems:
            lines = [_OTHER.sub("", line) for line in poem["text"].split("\n")]
            lines = [line for line in lines if len(line) >= SHORTEST]
            if all(home.get(line, split) == split for line in lines):
                kept[split].append(poem)
                home |= dict.fromkeys(lines, split)
    return kept
