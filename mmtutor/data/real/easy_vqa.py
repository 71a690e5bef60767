"""easy-VQA: 48,248 questions about 5,000 pictures of one coloured shape each (Zhou 2019).

Knows the files of the wheel `easy-vqa`, and the kept form: one safetensors file. Does not know how
a wheel is fetched and read safely, or how a picture is decoded (`pictures.py`).

For the reader of a score: no picture stands in both splits. In each split most questions ask for
yes or no, and many contain "not" or "no". Whoever answers a question of the test split, without its
picture, with the commonest answer in train is right 67.0 % of the time: 82.5 % for "yes/no", since
seven of eight colours and two of three shapes are absent; 34.8 % for "shape"; 12.0 % for "colour".
"""

from __future__ import annotations

import json
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmtutor.checks import at_least, one_of, within
from mmtutor.data.dataset import Dataset
from mmtutor.data.fetch import FetchError, located
from mmtutor.data.fetch.pictures import PictureError, decode, opened

SIDE = 64
_FILE = "questions.safetensors"
_SPLITS = ("train", "test")
# The answers to each type of question. The wheel lists the same 13 answers in no order.
TYPES = {
    "shape": ("circle", "rectangle", "triangle"),
    "colour": ("black", "blue", "brown", "gray", "green", "red", "teal", "yellow"),
    "yes/no": ("yes", "no"),
}
ANSWERS = tuple(chain.from_iterable(TYPES.values()))
_TYPE_OF = {answer: kind for kind, answers in TYPES.items() for answer in answers}


def load(
    split: str = "train",
    *,
    n: int | None = None,
    holdout: int = 0,
    root: Path | str | None = None,
) -> Dataset:
    """The questions in their published order, those about one picture together.

    They are read from the cache that `mmtutor.data.fetch.get` fills.

    Columns: image, a list of N uint8 (3, 64, 64): questions about one picture share one tensor;
    question (str), lower case with a question mark; answer (str); label (N,) int64, an index into
    ANSWERS; type (str): "shape", "colour" or "yes/no", the kind of answer asked for; image_id (N,)
    int64, the published number of the picture, counted from 0 in train and again in test.

    Args:
        split: "train" (4,000 pictures, 38,575 questions), "test" (1,000 pictures, 9,673 questions),
            or "val": with `holdout`, pictures taken out of train to choose settings by.
        n: only the first n questions.
        holdout: how many pictures, the last of the published train split, make up "val" and are
            left out of "train".
        root: the cache folder, `cache_dir()` if None.

    Raises:
        FileNotFoundError: they are not in the cache.
        ValueError: for an unknown split, a "val" without holdout, or numbers out of range.
    """
    from safetensors import safe_open

    one_of(("train", "val", "test"), split=split)
    source = "test" if split == "test" else "train"
    with safe_open(located("easy-vqa", root) / _FILE, framework="pt") as stored:
        pictures = stored.get_tensor(f"{source}_image")
        asked = json.loads(stored.get_tensor(f"{source}_questions").numpy().tobytes())
    first, last = 0, len(pictures)
    at_least(int(split == "val"), holdout=holdout)
    if source == "train":
        within(f"[0, {last})", holdout=holdout)
        first, last = (last - holdout, last) if split == "val" else (0, last - holdout)
    rows = [row for row in asked if first <= row[2] < last]
    n = len(rows) if n is None else n
    at_least(1, n=n)
    within(f"[1, {len(rows)}]", n=n)
    return _dataset(rows[:n], pictures, f"easy-vqa/{split}")


def prepare(files: Path, folder: Path) -> str:
    """Write the kept form of the wheel's files to `folder`; what it is, in words.

    Raises:
        FetchError: a file is missing or damaged; the message names it.
    """
    from safetensors.torch import save

    tensors, asked = {}, 0
    for split in _SPLITS:
        rows = _questions(files / split / "questions.json")
        count = 1 + max(image_id for _, _, image_id in rows)
        paths = [files / split / "images" / f"{number}.png" for number in range(count)]
        pictures = torch.from_numpy(np.stack([_picture(path) for path in paths]))  # [N, 64, 64, 3]
        text = bytearray(json.dumps(rows).encode())
        tensors[f"{split}_image"] = pictures.permute(0, 3, 1, 2).contiguous()
        tensors[f"{split}_questions"] = torch.frombuffer(text, dtype=torch.uint8)
        asked += len(rows)
    (folder / _FILE).write_bytes(save(tensors))
    return f"{asked:,} questions"


def _dataset(rows: list[list], pictures: Tensor, name: str) -> Dataset:
    questions, answers, image_ids = map(list, zip(*rows, strict=True))
    shared = list(pictures)
    columns: dict[str, Tensor | list] = {
        "image": [shared[image_id] for image_id in image_ids],
        "question": questions,
        "answer": answers,
        "label": torch.tensor([ANSWERS.index(answer) for answer in answers]),
        "type": [_TYPE_OF[answer] for answer in answers],
        "image_id": torch.tensor(image_ids),
    }
    return Dataset(columns, name=name)


def _questions(path: Path) -> list[list]:
    """[question, answer, picture's number] of each question of a split."""
    try:
        rows = json.loads(path.read_bytes())
        usable = all(
            isinstance(text, str) and answer in _TYPE_OF and type(image_id) is int and image_id >= 0
            for text, answer, image_id in rows
        )
    except (OSError, ValueError, TypeError) as error:
        raise FetchError(f"{path} is missing or damaged ({error})") from error
    if not rows or not usable:
        raise FetchError(f"{path} is damaged: expected [question, known answer, picture] rows")
    return rows


def _picture(path: Path) -> np.ndarray:
    """uint8 (64, 64, 3)."""
    try:
        data = path.read_bytes()
        if opened(data).size != (SIDE, SIDE):
            raise PictureError(f"not a PNG of {SIDE} x {SIDE} pixels")
        return decode(data, SIDE)
    except (OSError, PictureError) as error:
        raise FetchError(f"{path} is missing or damaged ({error})") from error
