"""The `shapes-questions` dataset: questions about pictures of `shapes`, and their exact answers.

Knows splits and columns. Questions come from `sample.py`, their answers from `forms.py`, words from
`words.py`, pixels from `shapes/render.py`. Nothing is downloaded or stored: one seed gives the same
bytes everywhere.

Prior "balanced". The answer is drawn when only the question is known, evenly among all possible
answers; the scene is then made to fit. Therefore nobody who sees the question alone can be right
more often than: exist, compare, relate 1/2; count 1/(max_objects + 1); query 1/2 for size, 1/5 for
shape, 1/6 or 1/7 for colour, as a shape comes in six or seven of the eight colours.

Prior "biased". Each question has a favourite answer, decided by the first shape that it names (if
it names none, colour; else size): of the possible answers in the order of ANSWERS, the one whose
number is that of the shape in SHAPES (colour in COLOURS, ...), counting round. So "is there a
circle?" is mostly yes, "is there a square?" mostly no. The favourite has probability 0.85, and the
rest share 0.15 evenly. In split "adversarial" the next possible answer has the 0.85: the other one,
where there are two.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.dataset import Dataset
from mmtutor.data.shapes.draws import IntArray
from mmtutor.data.shapes.questions import forms
from mmtutor.data.shapes.questions.forms import ANSWERS, ANSWERS_ZH, FORMS, MOST_OBJECTS, TYPES
from mmtutor.data.shapes.questions.sample import sample
from mmtutor.data.shapes.questions.words import chinese, english, programs
from mmtutor.data.shapes.render import MIN_PICTURE, masks, render
from mmtutor.data.shapes.scene import Scene

SPLITS = ("train", "val", "test", "unseen", "adversarial")
STREAM, PAIRS = 2, 3  # keep these random numbers apart from those of `shapes` and `moving-shapes`


def load(
    split: str = "train",
    n: int = 10_000,
    size: int = 64,
    seed: int = 0,
    max_objects: int = MOST_OBJECTS,
    types: tuple[str, ...] = TYPES,
    language: str = "en",
    prior: str = "balanced",
    with_masks: bool = False,
) -> Dataset:
    """N = n questions, each about a picture of its own; fewer are a prefix of more.

    train, val and test are drawn alike from streams of their own. In "unseen" every scene has an
    object whose colour and shape never stand together in the other splits, and questions that name
    colour and shape name such a pair. "adversarial" is for prior "biased" alone.

    Columns, K = max_objects and S = size; int64 and -1 where an object is absent, unless said
    otherwise:
        image: (N, 3, S, S) uint8.
        question, answer: N strings in the language chosen.
        question_zh: N strings.
        label: (N,) the answer, an index into ANSWERS and ANSWERS_ZH.
        type, form: N strings, of TYPES and FORMS; a form is a finer type.
        program: N strings, what is asked in whatever words, such as
            "query(colour, unique(filter(small, circle)))". `filter`: those of the scene that are
            so; `left_of` compares columns and `above` rows of the 3 x 3 grid.
        scene: (N,) equal exactly where the same objects stand in the same cells.
        image_id: (N,) the number of the picture, 0..N-1.
        count: (N,) number of objects, 2..K (3..K in "unseen").
        background, shape, colour, size, position: as in `shapes`, objects in reading order.
        asked: (N, K) bool, the objects that the question is about: those that match its descriptor
            or one of its two descriptors; none where it asks for something that is not there.
        masks: (N, K, S, S) bool, the pixels of each object; only with `with_masks`.
        target: (N, S, S) bool, the pixels of the objects asked about; only with `with_masks`.

    Args:
        types: which types of question, in equal shares.
        language: "en" or "zh", of `question` and `answer`.
        prior: "balanced" or "biased"; the module says what they are.

    Raises:
        ValueError: for an unknown split or an option out of range.
    """
    asked, scene = questions(split, n, seed, max_objects, types, prior)
    columns = _columns(asked, scene, size, language, with_masks)
    columns["image_id"] = torch.arange(n)
    return Dataset(columns, name=f"shapes-questions/{split}")


def pairs(
    n: int = 1_000,
    split: str = "test",
    size: int = 64,
    seed: int = 0,
    max_objects: int = MOST_OBJECTS,
    types: tuple[str, ...] = TYPES,
    language: str = "en",
    with_masks: bool = False,
) -> Dataset:
    """n pairs in the manner of VQA v2 (Goyal et al. 2017): one question, two pictures, two answers.

    Rows 2k and 2k + 1 are pair k. Their pictures differ in no more than the answers demand: objects
    that the question is not about are the same, in the same cells. Who does not look answers at
    most one of the two rightly. Options and columns are those of `load` with prior "balanced", and
    `pair` (2n,) int64, the k. They come from a stream of their own.
    """
    _check(split, n, seed, max_objects, types, "balanced")
    stream = (seed, SPLITS.index(split), PAIRS)
    asked, scene = sample(n, stream, max_objects, tuple(types), split == "unseen", twins=True)
    columns = _columns(asked, scene, size, language, with_masks)
    columns["image_id"] = torch.arange(2 * n)
    columns["pair"] = torch.arange(n).repeat_interleave(2)
    return Dataset(columns, name=f"shapes-questions/{split} pairs")


def questions(
    split: str = "train",
    n: int = 10_000,
    seed: int = 0,
    max_objects: int = MOST_OBJECTS,
    types: tuple[str, ...] = TYPES,
    prior: str = "balanced",
) -> tuple[forms.Questions, Scene]:
    """The questions and scenes behind `load`. Raises ValueError as `load` does."""
    _check(split, n, seed, max_objects, types, prior)
    favourite = None if prior == "balanced" else int(split == "adversarial")
    stream = (seed, SPLITS.index(split), STREAM)
    return sample(n, stream, max_objects, tuple(types), split == "unseen", favourite)


def _check(
    split: str, n: int, seed: int, max_objects: int, types: tuple[str, ...], prior: str
) -> None:
    checks.one_of(SPLITS, split=split)
    checks.one_of(("balanced", "biased"), prior=prior)
    checks.at_least(1, n=n)
    checks.at_least(0, seed=seed)
    checks.one_of(range(3, MOST_OBJECTS + 1), max_objects=max_objects)
    for name in checks.listed(str, types=types) or [None]:
        checks.one_of(TYPES, types=name)
    if split == "adversarial" and prior != "biased":
        raise ValueError("split 'adversarial' turns a bias round: it needs prior='biased'")


def _columns(
    asked: forms.Questions, scene: Scene, size: int, language: str, with_masks: bool
) -> dict[str, Tensor | list]:
    checks.at_least(MIN_PICTURE, size=size)
    checks.one_of(("en", "zh"), language=language)
    label, said_zh = forms.evaluate(asked, scene), chinese(asked)
    answers = np.array(ANSWERS if language == "en" else ANSWERS_ZH, dtype=object)
    about = forms.matching(asked, scene).any(axis=1)  # [N, K]
    columns: dict[str, Tensor | list] = {
        "image": torch.from_numpy(render(scene, size)),
        "question": english(asked) if language == "en" else said_zh,
        "question_zh": said_zh,
        "answer": answers[label].tolist(),
        "label": torch.from_numpy(label),
        "type": np.array(TYPES, dtype=object)[forms.TYPE_OF_FORM[asked.form]].tolist(),
        "form": np.array(FORMS, dtype=object)[asked.form].tolist(),
        "program": programs(asked),
        "scene": torch.from_numpy(_identity(scene)),
        "asked": torch.from_numpy(about),
    }
    for key in ("count", "background", "shape", "colour", "size", "position"):
        columns[key] = torch.from_numpy(getattr(scene, key))
    if with_masks:
        pixels = masks(scene, size)
        columns["masks"] = torch.from_numpy(pixels)
        columns["target"] = torch.from_numpy((pixels & about[..., None, None]).any(axis=1))
    return columns


def _identity(scene: Scene) -> IntArray:
    """(N,) one number for what stands in each of the nine cells; below 97 ** 9 < 2 ** 63."""
    digit = (len(forms.OBJECTS) + 1) ** np.maximum(scene.position, 0)
    return ((scene.object + 1) * digit).sum(axis=1)
