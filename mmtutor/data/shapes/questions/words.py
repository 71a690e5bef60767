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

import numpy as np

from mmtutor.data.shapes.captions import COLOURS_ZH, SHAPES_ZH, SIZES_ZH
from mmtutor.data.shapes.questions.forms import (
    ATTRIBUTES,
    DESCRIPTORS,
    FORMS,
    MORE,
    QUERY,
    RELATE,
    Questions,
)
from mmtutor.data.shapes.scene import COLOURS, SHAPES, SIZES, IntArray

ENGLISH = {
    "exist": ("is there {}?", "is there {} in the picture?", "does the picture contain {}?"),
    "count": (
        "how many {} are there?",
        "how many {} does the picture contain?",
        "what is the number of {}?",
    ),
    **{
        f"query {attribute}": (
            f"what {attribute} is the {{}}?",
            f"what is the {attribute} of the {{}}?",
            f"which {attribute} does the {{}} have?",
        )
        for attribute in ATTRIBUTES
    },
    **{
        f"same {attribute}": (
            f"is the {{}} the same {attribute} as the {{}}?",
            f"do the {{}} and the {{}} have the same {attribute}?",
            f"is the {attribute} of the {{}} the same as that of the {{}}?",
        )
        for attribute in ATTRIBUTES
    },
    **{
        word: (
            f"are there {word} {{}} than {{}}?",
            f"does the picture contain {word} {{}} than {{}}?",
            f"is the number of {{}} {than} than the number of {{}}?",
        )
        for word, than in (("more", "greater"), ("fewer", "smaller"))
    },
    "equal": (
        "are there exactly as many {} as {}?",
        "does the picture contain exactly as many {} as {}?",
        "is the number of {} the same as the number of {}?",
    ),
    **{
        relation: (
            f"is the {{}} {relation} the {{}}?",
            f"is the {{}} {other} the {{}}?",
            f"does the {{}} lie {other} the {{}}?",
        )
        for relation, other in (
            ("left of", "to the left of"),
            ("right of", "to the right of"),
            ("above", "higher up than"),
            ("below", "lower down than"),
        )
    },
}
CHINESE = {
    "exist": ("图中有{}吗？", "画面里有没有{}？", "图中是否有{}？"),
    "count": ("图中有几个{}？", "画面里一共有多少个{}？", "{}有多少个？"),
    "query size": ("{}是大的还是小的？", "图中{}是大还是小？", "{}的大小是什么？"),
    "query colour": ("{}是什么颜色？", "图中{}是哪种颜色？", "{}的颜色是什么？"),
    "query shape": ("{}是什么形状？", "图中{}是哪种形状？", "{}的形状是什么？"),
    "same size": ("{}和{}大小相同吗？", "{}的大小和{}的一样吗？", "{}与{}一样大吗？"),
    "same colour": ("{}和{}颜色相同吗？", "{}的颜色和{}的一样吗？", "{}与{}是同一种颜色吗？"),
    "same shape": ("{}和{}形状相同吗？", "{}的形状和{}的一样吗？", "{}与{}是同一种形状吗？"),
    "more": ("{}比{}多吗？", "图中{}多于{}吗？", "{}的数量比{}的大吗？"),
    "fewer": ("{}比{}少吗？", "图中{}少于{}吗？", "{}的数量比{}的小吗？"),
    "equal": ("{}和{}一样多吗？", "图中{}与{}数量相同吗？", "{}的数量等于{}的数量吗？"),
    **{
        relation: (
            f"{{}}在{{}}的{side}吗？",
            f"{{}}位于{{}}的{other}吗？",
            f"{{}}是不是在{{}}的{side}？",
        )
        for relation, side, other in (
            ("left of", "左边", "左侧"),
            ("right of", "右边", "右侧"),
            ("above", "上方", "上面"),
            ("below", "下方", "下面"),
        )
    },
}
PROGRAM = {
    "exist": ("exist({})",),
    "count": ("count({})",),
    **{f"query {name}": (f"query({name}, unique({{}}))",) for name in ATTRIBUTES},
    **{f"same {name}": (f"same({name}, unique({{}}), unique({{}}))",) for name in ATTRIBUTES},
    **{name: (f"{name}(count({{}}), count({{}}))",) for name in FORMS[MORE:RELATE]},
    **{name: (f"{name.replace(' ', '_')}(unique({{}}), unique({{}}))",) for name in FORMS[RELATE:]},
}


def english(questions: Questions) -> list[str]:
    """One English question each, lower case: N strings."""
    way, noun = questions.wording[:, 0] % 3, questions.wording[:, 0] // 3
    return _fill(_ENGLISH, questions, way, _PHRASES[_NUMBER[questions.form], noun])


def chinese(questions: Questions) -> list[str]:
    """One Chinese question each: N strings."""
    way, style = questions.wording[:, 1] % 3, questions.wording[:, 1] // 3
    return _fill(_CHINESE, questions, way, _PHRASES_ZH[style])


def programs(questions: Questions) -> list[str]:
    """What each question asks, in whatever words: N strings, equal for equal questions."""
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


def _templates(ways: dict[str, tuple[str, ...]]) -> np.ndarray:
    """(15, W, 3) objects: what stands before, between and after the two descriptors."""
    parts = [[(*text.split("{}"), "")[:3] for text in ways[form]] for form in FORMS]
    return np.array(parts, dtype=object)


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
_ENGLISH, _CHINESE, _PROGRAM = map(_templates, (ENGLISH, CHINESE, PROGRAM))
_NUMBER = np.array([0, 2, *[1] * (MORE - QUERY), *[2] * (RELATE - MORE), *[1] * 4])  # of each form
_PHRASES = _table(
    [
        [[_phrase(d, number, thing) for d in _LISTED] for thing in ("thing", "object")]
        for number in range(3)
    ]
)  # [3, 2, 189]
_PHRASES_ZH = _table([[_phrase_zh(d, style) for d in _LISTED] for style in range(2)])
_FILTERS = _table([[_filter(d) for d in _LISTED]])
