"""The `shapes` dataset: pictures of coloured shapes with captions and exact ground truth.

Knows columns. Scenes come from `scene.py`, pixels from `render.py`, sentences from `captions.py`,
sounds from `sound.py`. Nothing is downloaded or stored: one seed gives the same bytes everywhere.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data.dataset import Dataset
from mmtutor.data.shapes.captions import chinese, english
from mmtutor.data.shapes.render import MIN_PICTURE, masks, render
from mmtutor.data.shapes.scene import Scene, exchange_colours, meaning, scenes
from mmtutor.data.shapes.sound import NOTE, waveforms


def load(
    split: str = "train",
    n: int = 10_000,
    size: int = 64,
    seed: int = 0,
    max_objects: int = 2,
    with_masks: bool = False,
    with_sound: bool = False,
) -> Dataset:
    """N = n examples of `split`; fewer are a prefix of more.

    train, val and test are drawn alike from streams of their own. In "unseen" every scene has an
    object whose colour and shape never stand together in the other splits
    (`scene.HELD_OUT_SHAPE`).

    Columns, K = max_objects and S = size; int64 and -1 where an object is absent, unless said
    otherwise:
        image: (N, 3, S, S) uint8.
        caption, caption_zh: N strings, in one of several wordings.
        foil: N strings: the English caption with the colours of the first two objects exchanged,
            which is false of the picture; "" for a lone object.
        scene: (N,) equal exactly where captions mean the same, in whatever words: all rows with a
            query's scene answer it. If its own row alone counts as right, the best R@1 that a tie
            of t rows allows is 1 / t.
        count: (N,) number of objects, 1..K, drawn evenly.
        background: (N,) grey shade.
        shape, colour, size, position: (N, K) indices into `scene.SHAPES`, COLOURS, SIZES and
            POSITIONS (a cell of the 3 x 3 grid, row-major).
        relation: (N, K - 1) how object k stands to object k + 1, an index into RELATIONS.
        masks: (N, K, S, S) bool, the pixels of each object; only with `with_masks`.
        audio: N waveforms (T,) float32 in [-1, 1], T = count * `sound.NOTE`, one note for
            each object in reading order, as `sound` says; only with `with_sound`.

    Raises:
        ValueError: for an unknown split or an option out of range.
    """
    checks.at_least(MIN_PICTURE, size=size)
    scene = scenes(split, n, seed, max_objects)
    columns = _columns(scene, size)
    if with_masks:
        columns["masks"] = torch.from_numpy(masks(scene, size))
    if with_sound:
        columns["audio"] = sounds(scene)
    return Dataset(columns, name=f"shapes/{split}")


def sounds(scene: Scene) -> list[Tensor]:
    """What each scene sounds like: N waveforms (T,) float32 in [-1, 1]; see `sound`."""
    samples = torch.from_numpy(waveforms(scene)).float() / 32768
    return [row[: count * NOTE] for row, count in zip(samples, scene.count.tolist(), strict=True)]


def _columns(scene: Scene, size: int) -> dict[str, Tensor | list]:
    """The columns that `load` always gives."""
    foils = np.where(scene.count > 1, english(exchange_colours(scene)), "").tolist()
    columns: dict[str, Tensor | list] = {
        "image": torch.from_numpy(render(scene, size)),
        "caption": english(scene),
        "caption_zh": chinese(scene),
        "foil": foils,
        "scene": torch.from_numpy(meaning(scene)),
    }
    for key in ("count", "background", "shape", "colour", "size", "position", "relation"):
        columns[key] = torch.from_numpy(getattr(scene, key))
    return columns
