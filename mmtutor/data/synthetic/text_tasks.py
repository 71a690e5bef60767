"""Three tasks that ask different things of a text encoder.

Knows how to make each from `shapes`, from `stamps` or from nothing: which object leads (word order
decides, and the truth is exact), which language a caption is in (real captions), and which symbol
came first (memory). Knows neither tokenizers nor models.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import fields, replace
from numbers import Integral

import numpy as np
import torch

from mmtutor import checks
from mmtutor.data.dataset import Dataset
from mmtutor.data.real import stamps
from mmtutor.data.shapes.captions import chinese, english
from mmtutor.data.shapes.scene import Scene, scenes
from mmtutor.data.splits import fold_of, normalised

WRITERS = {"en": english, "zh": chinese}
LANGUAGES = {
    "zh_CN": "Chinese", "ja": "Japanese", "ko": "Korean", "ru": "Russian", "uk": "Ukrainian",
    "en": "English", "de": "German", "nl": "Dutch", "sv": "Swedish", "da": "Danish",
    "fr": "French", "es": "Spanish", "pt": "Portuguese", "it": "Italian",
    "cs": "Czech", "sk": "Slovak",
}  # fmt: skip


def leading_colour(split: str, n: int, language: str = "en", seed: int = 0) -> Dataset:
    """Captions of two objects; the label is the colour of the one that is left or above.

    Each caption stands next to its mirror, in which the two objects have changed places. Mirrors
    have the same words and different labels, so nothing that ignores order can be right about both.

    Columns: text (2N strings), label int64 (2N,) in 0..7, an index into `shapes.COLOURS`,
    and group int64 (2N,), equal for a caption and its mirror.

    Args:
        split: "train", "val", "test" or "unseen", as in `shapes`.
        n: number N of pairs of captions.
        language: "en" or "zh".

    Raises:
        ValueError: for an unknown language, or as `shapes.load` does.
    """
    checks.one_of(WRITERS, language=language)
    checks.at_least(1, n=n)
    drawn = scenes(split, 3 * n + 100, seed)  # half of them have two objects
    scene = _rows(drawn, np.flatnonzero(drawn.count == 2)[:n])
    swapped = {key: getattr(scene, key)[:, ::-1] for key in ("shape", "colour", "size")}
    texts, labels = [], []
    for version in (scene, replace(scene, **swapped)):
        texts.append(WRITERS[language](version))
        leader = version.relation[:, 0] % 2  # 0: the first object mentioned is left or above
        labels.append(version.colour[np.arange(n), leader])
    columns = {
        "text": [text for pair in zip(*texts, strict=True) for text in pair],
        "label": torch.from_numpy(np.stack(labels, axis=1).reshape(-1)),
        "group": torch.arange(n).repeat_interleave(2),
    }
    return Dataset(columns, name=f"leading_colour/{split}")


def language_of(
    split: str, languages: Sequence[str] = tuple(LANGUAGES), fold: int = 0, seed: int = 0
) -> Dataset:
    """Captions of `stamps` in several languages; the label is the language.

    Whole groups of pictures are dealt into five folds: fold `fold` is tested, the next one is "val"
    and the other three are "train". A caption that also stands in another split under the same
    language is left out of train.

    Columns: text (N strings), label int64 (N,), an index into `languages`, and group int64 (N,).

    Raises:
        FileNotFoundError: if the stamps are not in the cache.
        ValueError: for an unknown split or fold, or a language that no caption is in.
    """
    checks.one_of(("train", "val", "test"), split=split)
    checks.one_of(range(5), fold=fold)
    languages = checks.listed(str, languages=languages)
    checks.same_length(languages=languages)
    data = stamps.load("all")
    groups = data.column("group").tolist()
    folds = fold_of(groups, data.column("name"), seed=seed)
    held_out = {fold: "test", (fold + 1) % 5: "val"}
    rows = [
        (text, label, group, held_out.get(turn, "train"))
        for captions, group, turn in zip(data.column("captions"), groups, folds, strict=True)
        for label, language in enumerate(languages)
        if (text := captions.get(language, "").strip()) and normalised(text)
    ]
    missing = set(range(len(languages))) - {label for _, label, _, _ in rows}
    if missing:
        raise ValueError(f"no caption is in {', '.join(languages[i] for i in sorted(missing))}")
    elsewhere = {(normalised(text), label) for text, label, _, part in rows if part != "train"}
    kept = [
        (text, label, group)
        for text, label, group, part in rows
        if part == split and (split != "train" or (normalised(text), label) not in elsewhere)
    ]
    texts, labels, numbers = map(list, zip(*kept, strict=True))
    columns = {"text": texts, "label": torch.tensor(labels), "group": torch.tensor(numbers)}
    return Dataset(columns, name=f"language_of/{split}")


def recall(n: int, fillers: int, symbols: int = 8, seed: int = 0) -> Dataset:
    """One symbol, then `fillers` random others that mean nothing: which symbol came first?

    Chance is 1 / `symbols`. The fillers are drawn from as many symbols of their own, so that what
    came first cannot be mistaken, only forgotten (after Bengio et al. 1994).

    Columns: tokens int64 (N, 1 + fillers), the symbol in 2..1+symbols and the fillers in the next
    `symbols` ids; label int64 (N,) in 0..symbols-1.
    """
    checks.at_least(1, n=n, symbols=symbols)
    checks.at_least(0, fillers=fillers, seed=seed)
    generator = torch.Generator().manual_seed(int(seed))
    label = torch.randint(symbols, (n,), generator=generator)
    noise = torch.randint(symbols, (n, fillers), generator=generator)
    tokens = torch.cat([2 + label.unsqueeze(1), 2 + symbols + noise], dim=1)
    return Dataset({"tokens": tokens, "label": label}, name=f"recall/{fillers}")


def bag_ceiling(bags: Sequence[Sequence[Hashable]], labels: Sequence[int]) -> float:
    """Accuracy in [0, 1] of the best rule that sees how often each unit occurs, but no order.

    Texts with equal bags get one answer, so at best the label that is most frequent among them.
    A bag is a list of units; labels are N whole numbers.
    """
    bags = [checks.listed(Hashable, bags=bag) for bag in checks.listed(Iterable, bags=bags)]
    labels = checks.listed(Integral, labels=labels)
    checks.same_length(bags=bags, labels=labels)
    of_bag: dict[tuple, Counter] = defaultdict(Counter)
    for bag, label in zip(bags, labels, strict=True):
        of_bag[tuple(sorted(bag))][label] += 1
    return sum(max(counts.values()) for counts in of_bag.values()) / len(labels)


def _rows(scene: Scene, rows: np.ndarray) -> Scene:
    return Scene(**{field.name: getattr(scene, field.name)[rows] for field in fields(Scene)})
