"""Evaluation by cause: repaint one object, render again, and see whether the answer follows.

Knows scenes of `shapes` and questions about a colour, for which the true effect of repainting any
object is known. Does not know how a model was made.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.data.shapes.questions.dataset import ANSWERS, questions
from mmtutor.data.shapes.questions.forms import FORMS, Questions, evaluate, matching
from mmtutor.data.shapes.questions.words import english
from mmtutor.data.shapes.render import render
from mmtutor.data.shapes.scene import COLOURS, HELD_OUT_SHAPE, IntArray, Scene
from mmtutor.evaluation.predict import predict
from mmtutor.evaluation.statistics.bootstrap import Interval, bootstrap_interval
from mmtutor.recipes.scorecard.candidates import Encode, encoded

FORM = FORMS.index("query colour")


class _Repainted(NamedTuple):
    """The same M questions about a colour, of three versions of the same scenes.

    Attributes:
        before: as they were.
        asked: the object that is asked about has another colour; so the answer is another.
        bystander: another object has that colour; so the answer is the same.
        new: (M,) int64, the label of the new colour.
    """

    before: Dataset
    asked: Dataset
    bystander: Dataset
    new: Tensor


class _Effect(NamedTuple):
    """How much likelier repainting an object makes the new colour as an answer, in [-1, 1].

    The truth is 1 for the object asked about and 0 for a bystander. `difference` is theirs, paired:
    0 for a model that cannot tell the two objects apart.
    """

    asked: Interval
    bystander: Interval
    difference: Interval


def repainted(n: int, split: str = "test", size: int = 36, seed: int = 0) -> _Repainted:
    """Those of n questions that ask for a colour, with the two interventions. 2 or 3 objects."""
    asked, scene = questions(split, n, seed, 3, ("query",))
    rows = np.flatnonzero(asked.form == FORM)
    asked, scene = _rows(asked, rows), _rows(scene, rows)
    about = matching(asked, scene)[:, 0]  # [M, K]
    here = about.argmax(axis=1)
    other = (~about & (scene.shape >= 0)).argmax(axis=1)
    new = _another(scene, here, other, np.random.default_rng(seed))
    versions = [scene, _painted(scene, here, new), _painted(scene, other, new)]
    datasets = [_asked(asked, version, size) for version in versions]
    return _Repainted(*datasets, new=torch.from_numpy(ANSWERS.index(COLOURS[0]) + new))


def effect(model: nn.Module, encode: Encode, pictures: _Repainted) -> _Effect:
    """E[P(new colour | do(an object has it)) - P(new colour)], with 95 % bootstrap intervals."""

    def chance(data: Dataset) -> Tensor:
        found = predict(model, encoded(data, encode))
        return found.logits.softmax(dim=1).gather(1, pictures.new.unsqueeze(1)).squeeze(1)

    before, asked, bystander = (chance(data).double() for data in pictures[:3])
    changes = (asked - before, bystander - before, asked - bystander)
    return _Effect(*map(bootstrap_interval, changes))


def _another(
    scene: Scene, here: IntArray, other: IntArray, generator: np.random.Generator
) -> IntArray:
    """(M,) a colour that neither object has, and in which training shows either's shape."""
    free = np.ones((len(scene), len(COLOURS)), dtype=bool)
    every = np.arange(len(scene))
    for which in (here, other):
        free[every, scene.colour[every, which]] = False
        free &= scene.shape[every, which][:, None] != HELD_OUT_SHAPE
    return np.where(free, generator.random(free.shape), -1).argmax(axis=1)


def _painted(scene: Scene, which: IntArray, colour: IntArray) -> Scene:
    colours = scene.colour.copy()
    colours[np.arange(len(colours)), which] = colour
    return replace(scene, colour=colours)


def _asked(asked: Questions, scene: Scene, size: int) -> Dataset:
    columns = {
        "image": torch.from_numpy(render(scene, size)),
        "label": torch.from_numpy(evaluate(asked, scene)),
        "question": english(asked),
    }
    return Dataset(columns, name="repainted")


def _rows(struct: Questions | Scene, rows: IntArray) -> Questions | Scene:
    return replace(struct, **{name: value[rows] for name, value in vars(struct).items()})
