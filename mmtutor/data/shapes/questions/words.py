"""Questions in English and Chinese, and as programs.

Knows the words and the ways of asking. Does not know what is true of a scene.

    what colour is the small circle?
    小的圆形是什么颜色？
    query(colour, unique(filter(small, circle)))

    are there more red things than blue things?
    红色的物体比蓝色的物体多吗？
    more(count(filter(red)), count(filter(blue)))
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np

from mmtutor import checks
from mmtutor.data.shapes.captions import COLOURS_ZH, SHAPES_ZH, SIZES_ZH
from mmtutor.data.shapes.draws import IntArray
from mmtutor.data.shapes.questions.forms import DESCRIPTORS, FORMS, MORE, QUERY, RELATE, Questions
from mmtutor.data.shapes.scene import COLOURS, SHAPES, SIZES

# Of each form: the ways of asking in both languages, and its program.
WAYS = tomllib.loads(Path(__file__).with_name("ways.toml").read_text("utf-8"))


def english(questions: Questions) -> list[str]:
    """One English question each, lower case: N strings."""
    checks.instance(Questions, questions=questions)
    way, noun = questions.wording[:, 0] % 3, questions.wording[:, 0] // 3
    return _fill(_ENGLISH, questions, way, _PHRASES[_NUMBER[questions.form], noun])


def chinese(questions: Questions) -> list[str]:
    """One Chinese question each: N strings."""
    checks.instance(Questions, questions=questions)
    way, style = questions.wording[:, 1] % 3, questions.wording[:, 1] // 3
    return _fill(_CHINESE, questions, way, _PHRASES_ZH[style])


def programs(questions: Questions) -> list[str]:
    """What each question asks, in whatever words: N strings, equal for equal questions."""
    checks.instance(Questions, questions=questions)
    way = np.zeros_like(questions.form)
    return _fill(_PROGRAM, questions, way, _FILTERS[way])


def _fill(
    templates: np.ndarray, questions: Questions, way: IntArray, phrases: np.ndarray
) -> list[str]:
    """Put the phrases (N, 189) of both descriptors into the templates (15, W, 3): N strings."""
    head, middle, tail = templates[questions.form, way].T
    rows = np.arange(len(questions))
    second = np.where(questions.two, phrases[rows, questions.second], "")
    return (head + phrases[rows, questions.first] + middle + second + tail).tolist()


def _templates(kind: str) -> np.ndarray:
    """(15, W, 3) objects: what stands before, between and after the two descriptors."""
    return _table([[(*way.split("{}"), "")[:3] for way in WAYS[form][kind]] for form in FORMS])


def _names(descriptor: list[int], *vocabulary: tuple[str, ...]) -> list[str]:
    """A descriptor's size, colour and shape in words; "" for what it does not mention."""
    return [
        names[value] if value >= 0 else ""
        for names, value in zip(vocabulary, descriptor, strict=True)
    ]


def _phrase(descriptor: list[int], number: int, thing: str) -> str:
    """With an article (number 0), bare (1), or in the plural (2)."""
    size, colour, shape = _names(descriptor, SIZES, COLOURS, SHAPES)
    phrase = " ".join(word for word in (size, colour, shape or thing) if word)
    if number == 2:
        return phrase + ("es" if shape == "cross" else "s")
    article = "an " if phrase[0] in "aeiou" else "a "
    return article + phrase if number == 0 else phrase


def _phrase_zh(descriptor: list[int], style: int) -> str:
    """小的红色圆形 or 红色的小圆形."""
    size, colour, shape = _names(descriptor, SIZES_ZH, COLOURS_ZH, SHAPES_ZH)
    noun = shape or "物体"
    if style == 0 and size:
        return f"{size}的{colour}{noun}"
    return f"{colour}的{size}{noun}" if colour else size + noun


def _filter(descriptor: list[int]) -> str:
    words = [word for word in _names(descriptor, SIZES, COLOURS, SHAPES) if word]
    return f"filter({', '.join(words)})"


def _table(entries: object) -> np.ndarray:
    return np.array(entries, dtype=object)


_LISTED = DESCRIPTORS.tolist()
_ENGLISH, _CHINESE, _PROGRAM = map(_templates, ("english", "chinese", "program"))
_NUMBER = np.array([0, 2, *[1] * (MORE - QUERY), *[2] * (RELATE - MORE), *[1] * 4])  # of each form
_PHRASES = _table(
    [
        [[_phrase(d, number, thing) for d in _LISTED] for thing in ("thing", "object")]
        for number in range(3)
    ]
)  # [3, 2, 189]
_PHRASES_ZH = _table([[_phrase_zh(d, style) for d in _LISTED] for style in range(2)])
_FILTERS = _table([[_filter(d) for d in _LISTED]])
