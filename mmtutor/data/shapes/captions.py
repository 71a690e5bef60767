"""Sentences about a `Scene`, in English and Chinese.

Knows the words and the ways of saying a scene. Does not know pixels or sampling. A caption
describes its scene in full: a caption of one object is false of a picture with two.

    a small red circle to the left of a large blue square
    一个小的红色圆形在一个大的蓝色正方形左边
    there is a large green ring in the top left corner
    左上角有一个绿色的大圆环
    a small red star is above a large pink ring, which is left of a small black cross
    一个红色的小星形位于一个粉色的大圆环的上方，后者在一个黑色的小十字形左边
"""

from __future__ import annotations

from itertools import product

import numpy as np

from mmtutor import checks
from mmtutor.data.shapes.scene import COLOURS, SHAPES, SIZES, Scene


def _table(entries: object) -> np.ndarray:
    return np.array(entries, dtype=object)


PHRASE = _table(
    [f"a {size} {colour} {shape}" for size, colour, shape in product(SIZES, COLOURS, SHAPES)]
)
PLACE = _table(
    [
        ("at the top left", "in the top left corner"),
        ("at the top centre", "in the middle of the top row"),
        ("at the top right", "in the top right corner"),
        ("at the middle left", "in the middle of the left column"),
        ("in the centre", "in the middle"),
        ("at the middle right", "in the middle of the right column"),
        ("at the bottom left", "in the bottom left corner"),
        ("at the bottom centre", "in the middle of the bottom row"),
        ("at the bottom right", "in the bottom right corner"),
    ]
)
RELATION = _table(
    [
        ("left of", "to the left of"),
        ("right of", "to the right of"),
        ("above", "over"),
        ("below", "under"),
    ]
)
OPENING, LINK = _table(["", "there is ", ""]), _table([" ", " ", " is "])

SHAPES_ZH = ("圆形", "正方形", "三角形", "星形", "十字形", "圆环")
COLOURS_ZH = ("红色", "橙色", "黄色", "绿色", "蓝色", "紫色", "粉色", "黑色")
SIZES_ZH = ("小", "大")
PHRASE_ZH = _table(
    [
        (f"一个{size}的{colour}{shape}", f"一个{colour}的{size}{shape}")
        for size, colour, shape in product(SIZES_ZH, COLOURS_ZH, SHAPES_ZH)
    ]
)
CELLS_ZH = (
    *("左上角", "顶部中间", "右上角"),
    *("左侧中间", "正中间", "右侧中间"),
    *("左下角", "底部中间", "右下角"),
)
PLACE_ZH = _table([(cell, f"画面{cell}") for cell in CELLS_ZH])
RELATION_ZH = _table([("左边", "左侧"), ("右边", "右侧"), ("上方", "上面"), ("下方", "下面")])


def english(scene: Scene) -> list[str]:
    """One English caption a scene: N strings."""
    checks.instance(Scene, scene=scene)
    frame, word = scene.wording[:, 0] % 3, scene.wording[:, 0] // 3 % 2
    phrase, relation = PHRASE[scene.object], RELATION[scene.relation, word[:, None]]
    text = OPENING[frame] + phrase[:, 0] + LINK[frame]
    lone = PLACE[scene.position[:, 0], word]
    for k in range(1, scene.max_objects):
        join = "" if k == 1 else ", which is "
        more = join + relation[:, k - 1] + " " + phrase[:, k]
        text = text + np.where(scene.count > k, more, "")
    return np.where(scene.count == 1, text + lone, text).tolist()


def chinese(scene: Scene) -> list[str]:
    """One Chinese caption a scene: N strings."""
    checks.instance(Scene, scene=scene)
    wording = scene.wording[:, 1]
    frame, word, style = wording % 3, wording // 3 % 2, wording // 6
    phrase = PHRASE_ZH[scene.object, style[:, None]]
    first, lone = phrase[:, 0], PLACE_ZH[scene.position[:, 0], word]
    text = _stand(frame, first, lone, "")
    for k in range(1, scene.max_objects):
        side = RELATION_ZH[scene.relation[:, k - 1], word]
        if k == 1:
            # 后者, the latter, must be the object named last: no inverted frame before it
            plain = np.where((scene.count > 2) & (frame == 2), 0, frame)
            text = np.where(scene.count > 1, _stand(plain, first, phrase[:, 1], side), text)
        else:
            text = text + np.where(scene.count > k, "，后者在" + phrase[:, k] + side, "")
    return text.tolist()


def _stand(
    frame: np.ndarray, what: np.ndarray, where: np.ndarray, side: np.ndarray | str
) -> np.ndarray:
    """`what` is at `where` (the `side` of it), said in the way that `frame` chooses."""
    of = "的" if isinstance(side, np.ndarray) else ""
    ways = (
        what + "在" + where + side,
        what + "位于" + where + of + side,
        where + of + side + "有" + what,
    )
    return np.choose(frame, np.stack(ways))
