"""Scenes of `shapes`, what is made of them, and the other synthetic data."""

from __future__ import annotations

import math
import random as standard
from dataclasses import fields, replace
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from mmtutor.data.shapes import captions, dataset, facts, motion, render, scene, sound
from mmtutor.data.shapes.draws import Draws, whole
from mmtutor.data.shapes.questions import dataset as asking
from mmtutor.data.shapes.questions import forms
from mmtutor.data.shapes.questions import words as saying
from mmtutor.data.shapes.scene import Scene, scenes
from mmtutor.data.shapes.variants import VARIANTS, variants, wordings
from mmtutor.data.synthetic import bits, stick_figures, text_tasks, textures
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    Kind,
    Sizes,
    constantly,
    count,
    given,
    labels,
    number,
    option,
    optional,
    text,
    texts,
)

Random = standard.Random

SEED = count(0)
N = count(1, 6)
OBJECTS = count(1, 3).but(**{"too large": constantly(4, 100)})
MANY = count(3, 5).but(**{"too large": constantly(6, 100)})
PICTURE = count(32, 40)
PARTS = [field.name for field in fields(Scene)]


def drawn(random: Random, sizes: Sizes) -> Scene:
    return scenes("train", sizes["N"], random.randrange(99), random.randint(2, 3))


def in_pairs(random: Random, sizes: Sizes) -> Scene:
    """Two objects of different shapes: facts name shapes, so that equal ones are one."""
    drawn = scenes("val", 40, random.randrange(99), 2)
    rows = np.flatnonzero((drawn.count == 2) & (drawn.shape[:, 0] != drawn.shape[:, -1]))[:5]
    return Scene(**{key: getattr(drawn, key)[rows] for key in PARTS})


SCENE = given(drawn)


def rows_of(scene: Scene) -> list[list[tuple[str, str, str]]]:
    """Each scene's objects in words: (size, colour, shape)."""
    return [
        [
            (scene_word("SIZES", s.size[i, k]), scene_word("COLOURS", s.colour[i, k]), word)
            for k, word in enumerate(scene_word("SHAPES", x) for x in s.shape[i, : s.count[i]])
        ]
        for s in [scene]
        for i in range(len(s))
    ]


def scene_word(table: str, code: int) -> str:
    return getattr(scene, table)[code]


def says_all(value: list[str], a: SimpleNamespace) -> bool:
    return all(
        all(f"a {' '.join(thing)}" in said for thing in things)
        for said, things in zip(value, rows_of(a.scene), strict=True)
    )


def says_all_zh(value: list[str], a: SimpleNamespace) -> bool:
    colours, shapes = captions.COLOURS_ZH, captions.SHAPES_ZH
    return all(
        all(colours[a.scene.colour[i, k]] in said for k in range(a.scene.count[i]))
        and all(shapes[a.scene.shape[i, k]] in said for k in range(a.scene.count[i]))
        for i, said in enumerate(value)
    )


def whole_scene(
    count: object, shape: object, colour: object, position: object, wording: object
) -> Scene:
    """One object a scene."""
    made = scenes("train", 3, max_objects=1)
    parts = {"count": count, "shape": shape, "colour": colour, "position": position}
    return replace(made, **parts, wording=wording)


def codes(pattern: str, low: int, high: int) -> Kind:
    """An array of int64 from low to high; N is 3."""
    shape = [3 if letter == "N" else int(letter) for letter in pattern.split()]
    return Kind(
        lambda random, sizes: np.random.default_rng(random.getrandbits(31)).integers(
            low, high + 1, shape
        ),
        bad={
            "no array": constantly(None, 3, "abc", [1], {"a": 1}),
            "too small": lambda random, x: x - high - 10,
            "too large": lambda random, x: x + high + 10,
            "another type": lambda random, x: random.choice(
                [x.astype(float), x > 0, x.astype("i4")]
            ),
            "another shape": lambda random, x: random.choice([x[:2], x[None], x[..., None]]),
            "empty": lambda random, x: x[:0],
        },
    )


def kept(array: np.ndarray) -> None:
    whole(array=(array, "3 2", 0, 9))


def words_of(n: int, stream: tuple[int, ...], words: int, times: int) -> np.ndarray:
    draws = Draws(n, stream, words, times)
    return np.stack([draws.below(6) for _ in range(words)])


STREAM = Kind(
    lambda random, sizes: (random.randrange(99), 1),
    bad={"no stream": constantly(None, 3, "abc", (-1,), (0.5,), ("a",), (None,))},
    same={"list": lambda random, x: list(x), "numpy": lambda random, x: tuple(map(np.int64, x))},
)


def both_ways(value: np.ndarray, a: SimpleNamespace) -> bool:
    """Equal exactly where the captions' facts are."""
    said = facts.facts_of(a.scene)
    return all(
        (value[i] == value[j]) == (said[i] == said[j])
        for i in range(len(said))
        for j in range(len(said))
        # two objects that swap names in another order are another scene, but the same facts
        if len(said[i] | said[j]) < 99 and a.scene.count[i] < 3 > a.scene.count[j]
    )


def scored(value: tuple, a: SimpleNamespace) -> bool:
    """By the set: what is said and so, of what is said and of what is so."""
    for i, (caption, truth) in enumerate(zip(a.captions, a.truth, strict=True)):
        said = facts.facts_said(caption)
        both = len(said & truth)
        expected = (both / max(len(said), 1), both / len(truth))
        if not np.allclose([value.precision[i], value.recall[i]], expected):
            return False
    return bool(((value.f1 >= 0) & (value.f1 <= 1)).all())


TRUTH = Kind(
    lambda random, sizes: facts.facts_of(scenes("val", sizes["N"], random.randrange(99))),
    bad={
        "no list": constantly(None, 3, "abc", {"a": 1}),
        "no set": lambda random, x: [*x[:-1], random.choice([None, "abc", ["a"]])],
        "empty set": lambda random, x: [*x[:-1], frozenset()],
        "empty": constantly([]),
    },
    same={"sets": lambda random, x: [set(s) for s in x]},
    pattern="N",
)


def caption_of(random: Random) -> str:
    return captions.english(scenes("val", 1, random.randrange(999)))[0]


# Motion.


def positions(value: np.ndarray, a: SimpleNamespace) -> bool:
    """Frame by frame, from where it was before."""
    if not ((value >= 0) & (value < a.size)).all():
        return False
    step = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
    line = a.motion[:, :] < 4
    gone = np.diff(value, axis=1) % a.size  # [N, F - 1, K, 2]
    expected = (a.speed[..., None] * step[a.motion % 4]) % a.size  # [N, K, 2]
    return bool(
        (gone == expected[:, None])[:, :, :][np.broadcast_to(line[:, None], gone.shape[:3])].all()
    )


TYPES = Kind(
    lambda random, sizes: tuple(random.sample(forms.TYPES, 2)),
    bad={"no types": constantly(None, 3, "exist", (), ("why",), (None,), [["exist"]], b"count")},
    same={"list": lambda random, x: list(x)},
)


def asked(random: Random, sizes: Sizes) -> tuple[forms.Questions, Scene]:
    return asking.questions("train", 20, random.randrange(99))


def questions_only(random: Random, sizes: Sizes) -> forms.Questions:
    return asked(random, sizes)[0]


ASKED = given(questions_only)
THEIR_SCENE = given(lambda random, sizes: asking.questions("train", 20, 3)[1])
THEIR_QUESTIONS = given(lambda random, sizes: asking.questions("train", 20, 3)[0]).but(
    fewer=lambda random, x: asking.questions("train", 5, 3)[0]
)


def answered(value: dataset.Dataset, a: SimpleNamespace) -> bool:
    counted = [
        (answer, int(asked.sum()))
        for answer, kind, asked in zip(
            value.column("answer"), value.column("type"), value.column("asked"), strict=True
        )
        if kind == "count"
    ]
    return len(value) == a.n and all(answer == str(number) for answer, number in counted)


def twins(value: dataset.Dataset, a: SimpleNamespace) -> bool:
    label, said = value.column("label"), value.column("question")
    return bool((label[::2] != label[1::2]).all()) and said[::2] == said[1::2]


def counts_match(value: np.ndarray, a: SimpleNamespace) -> bool:
    """What is counted, and what is there, by the objects that match."""
    found = forms.matching(a.questions, a.scene)[:, 0].sum(axis=1)
    said = [forms.ANSWERS[label] for label in value]
    return all(
        said[i] == (str(n) if form == forms.COUNT else "yes" if n else "no")
        for i, (form, n) in enumerate(zip(a.questions.form, found, strict=True))
        if form in (forms.COUNT, forms.EXIST)
    )


def matched(value: np.ndarray, a: SimpleNamespace) -> bool:
    size, colour, shape = forms.DESCRIPTORS[a.questions.first].T[..., None]
    s = a.scene
    fits = (
        ((size < 0) | (s.size == size))
        & ((colour < 0) | (s.colour == colour))
        & ((shape < 0) | (s.shape == shape))
        & (s.shape >= 0)
    )
    return np.array_equal(value[:, 0], fits)


def form_questions(form: object, first: object, second: object, wording: object) -> object:
    return forms.Questions(form, first, second, wording)


# Synthetic data.


def xor_of(value: Tensor, a: SimpleNamespace) -> bool:
    w = a.world
    if a.task == "xor":
        return torch.equal(value, (w["a0"] + w["b0"]) % 2)
    return torch.equal(value, w["a0"] * w["b0"])


WORLD = given(lambda random, sizes: bits.worlds(torch.randint(32, (5,)))).but(
    **{
        "lacks a bit": lambda random, w: {k: v for k, v in w.items() if k != "a0"},
        "two": lambda random, w: {**w, "c": w["c"] + 1},
        "another length": lambda random, w: {**w, "c": w["c"][:2]},
        "no tensor": lambda random, w: {**w, "a0": random.choice([None, [1], "a"])},
    }
)
BAGS = Kind(
    lambda random, sizes: [[random.choice("ab") for _ in range(2)] for _ in range(sizes["N"])],
    bad={
        "strings": lambda random, x: ["".join(bag) for bag in x],
        "no list": constantly(None, 3, "abc", {"a": 1}),
        "no bag": lambda random, x: [*x[:-1], random.choice([None, 3, "a"])],
        "no unit": lambda random, x: [*x[:-1], [["a"]]],
        "empty": constantly([]),
    },
    same={"tuples": lambda random, x: tuple(map(tuple, x))},
    pattern="N",
)


def best_rule(value: float, a: SimpleNamespace) -> bool:
    of_bag: dict[str, list[int]] = {}
    for bag, label in zip(a.bags, a.labels.tolist(), strict=True):
        of_bag.setdefault("".join(sorted(bag)), []).append(label)
    right = sum(max(found.count(x) for x in found) for found in of_bag.values())
    return math.isclose(value, right / len(a.labels))


TWO = {
    "no two": constantly(None, 3, "ab", (1,), (1, 2, 3), ("a", "b"), (None, 1)),
    "NaN": constantly((math.nan, 1.0), (1.0, math.inf)),
}


def photograph(random: Random, sizes: Sizes) -> Tensor:
    return torch.randint(256, (3, 24, 20)).byte()


PHOTOGRAPH = Kind(
    photograph,
    bad={
        "no tensor": constantly(None, "abc", 3, [1], {"a": 1}),
        "another type": lambda random, x: random.choice([x.float() / 255, x.long()]),
        "another shape": lambda random, x: random.choice([x[0], x[:2], x[None]]),
    },
)


def moved(value: tuple, a: SimpleNamespace) -> bool:
    """The second picture shows at x + flow what the first shows at x, for whole steps."""
    right, down = (math.trunc(x) for x in a.shift)
    if (right, down) != a.shift:
        return True
    h, w = value.first.shape
    first = value.first[max(0, -down) : h - max(0, down), max(0, -right) : w - max(0, right)]
    second = value.second[max(0, down) : h + min(0, down), max(0, right) : w + min(0, right)]
    return torch.allclose(first, second, atol=1e-4)


ENTRIES = [
    entry(captions.english, scene=SCENE, holds=says_all),
    entry(captions.chinese, scene=SCENE, holds=says_all_zh),
    entry(
        dataset.load,
        split=option("train", "val", "test", "unseen"),
        n=N,
        size=PICTURE,
        seed=SEED,
        max_objects=OBJECTS,
        holds=lambda v, a: (
            v.column("image").shape == (a.n, 3, a.size, a.size)
            and bool((v.column("count") <= a.max_objects).all())
        ),
    ),
    entry(
        dataset.sounds,
        scene=SCENE,
        holds=lambda v, a: all(
            len(x) == n * sound.NOTE and 0 < x.abs().max() <= 1
            for x, n in zip(v, a.scene.count, strict=True)
        ),
    ),
    entry(kept, of=whole, array=codes("N 2", 0, 9), holds=lambda v, a: v is None),
    entry(
        words_of,
        of=Draws,
        n=count(1, 4),
        stream=STREAM,
        words=count(1, 4),
        times=count(1, 2),
        holds=lambda v, a: (
            v.shape == (a.words, a.n * a.times)
            and np.array_equal(v[:, :: a.times], v[:, a.times - 1 :: a.times])
            and ((v >= 0) & (v < 6)).all()
        ),
    ),
    entry(
        facts.facts_said,
        caption=text(caption_of),
        holds=lambda v, a: all(word in a.caption for fact in v for word in fact[:1]) and len(v) > 2,
    ),
    entry(
        facts.facts_of,
        scene=SCENE,
        holds=lambda v, a: v == [facts.facts_said(c) for c in captions.english(a.scene)],
    ),
    entry(facts.fact_score, captions=texts("N", caption_of), truth=TRUTH, holds=scored),
    entry(
        motion.load,
        split=option("train", "unseen"),
        n=N,
        frames=count(2, 4),
        size=PICTURE,
        seed=SEED,
        max_objects=OBJECTS,
        motions=count(1, 6).but(**{"too large": constantly(7, 99)}),
        holds=lambda v, a: (
            v.column("video").shape == (a.n, a.frames, 3, a.size, a.size)
            and bool((v.column("label") < a.motions).all())
        ),
    ),
    entry(
        motion.paths,
        motion=codes("N 2", 0, 5),
        speed=codes("N 2", 1, 2),
        start=codes("N 2 2", 0, 31),
        phase=codes("N 2", 0, 7),
        frames=count(1, 5),
        size=count(32, 40).without("too small"),  # the torus may be smaller than what starts on it
        holds=positions,
    ),
    entry(
        asking.load,
        split=option("train", "val", "unseen"),
        n=N,
        size=PICTURE,
        seed=SEED,
        max_objects=MANY,
        types=TYPES,
        language=option("en", "zh"),
        prior=option("balanced", "biased"),
        holds=answered,
    ),
    entry(
        asking.pairs,
        n=N,
        split=option("train", "unseen"),
        size=PICTURE,
        seed=SEED,
        max_objects=MANY,
        types=TYPES,
        language=option("en", "zh"),
        holds=twins,
    ),
    entry(
        asking.questions,
        split=option("train", "unseen"),
        n=N,
        seed=SEED,
        max_objects=MANY,
        types=TYPES,
        prior=option("balanced", "biased"),
        holds=lambda v, a: len(v[0]) == len(v[1]) == a.n and v[1].max_objects == a.max_objects,
    ),
    entry(
        form_questions,
        of=forms.Questions,
        form=codes("N", 0, len(forms.FORMS) - 1),
        first=codes("N", 0, 188),
        second=codes("N", 0, 188),
        wording=codes("N 2", 0, 5),
        holds=lambda v, a: v.two.tolist() == [form >= forms.SAME for form in a.form],
    ),
    entry(forms.matching, questions=THEIR_QUESTIONS, scene=THEIR_SCENE, holds=matched),
    entry(forms.evaluate, questions=THEIR_QUESTIONS, scene=THEIR_SCENE, holds=counts_match),
    entry(
        saying.english,
        questions=ASKED,
        holds=lambda v, a: all(q.endswith("?") and q.islower() for q in v) and len(v) == 20,
    ),
    entry(
        saying.chinese,
        questions=ASKED,
        holds=lambda v, a: all(q.endswith("？") for q in v) and not any(q.isascii() for q in v),
    ),
    entry(
        saying.programs,
        questions=ASKED,
        holds=lambda v, a: [q.count("filter") for q in v] == (1 + a.questions.two).tolist(),
    ),
    entry(
        render.render,
        scene=SCENE,
        picture_size=PICTURE,
        holds=lambda v, a: (
            v.shape == (len(a.scene), 3, a.picture_size, a.picture_size)
            and np.array_equal(v[:, 0, 0, 0], render.SHADES[a.scene.background])
        ),
    ),
    entry(
        render.masks,
        scene=SCENE,
        picture_size=PICTURE,
        holds=lambda v, a: np.array_equal(v.any(axis=(2, 3)).sum(axis=1), a.scene.count),
    ),
    entry(
        render.radii,
        picture_size=PICTURE,
        holds=lambda v, a: v == (a.picture_size // 10, a.picture_size // 6),
    ),
    entry(
        render.stencils,
        radius=count(1, 8),
        holds=lambda v, a: (
            v.shape == (6, 2 * a.radius, 2 * a.radius) and 0 <= v.min() <= v.max() <= render.FULL
        ),
    ),
    entry(
        whole_scene,
        of=Scene,
        count=codes("N", 1, 1).without("too small"),  # up to nine objects
        shape=codes("N 1", 0, 5),
        colour=codes("N 1", 0, 7),
        position=codes("N 1", 0, 8),
        wording=codes("N 2", 0, 11),
        holds=lambda v, a: np.array_equal(v.object % 6, a.shape) and v.relation.shape == (3, 0),
    ),
    entry(
        scenes,
        split=option("train", "val", "test", "unseen"),
        n=N,
        seed=SEED,
        max_objects=OBJECTS,
        holds=lambda v, a: all(
            np.array_equal(getattr(v, key), getattr(longer(a), key)[: a.n]) for key in PARTS
        ),
    ),
    entry(
        scene.meaning,
        scene=SCENE,
        holds=both_ways,
    ),
    entry(
        scene.exchange_colours,
        scene=SCENE,
        holds=lambda v, a: (
            np.array_equal(np.sort(v.colour), np.sort(a.scene.colour))
            and np.array_equal((v.colour != a.scene.colour).any(axis=1), a.scene.count > 1)
        ),
    ),
    entry(sound._tones, holds=lambda v, a: v.shape == (9, 8, sound.NOTE) and abs(v).max() <= 1),
    entry(
        sound.waveforms,
        scene=SCENE,
        holds=lambda v, a: [
            int(row.nonzero()[0].max() // sound.NOTE) + 1 for row in v
        ] == a.scene.count.tolist(),
    ),
    entry(
        wordings,
        scene=SCENE,
        n=count(1, 6).but(**{"too large": constantly(7, 99)}),
        holds=lambda v, a: all(
            len({facts.facts_said(c) for c in said}) == 1 and len(set(said)) == a.n for said in v
        ),
    ),
    entry(
        lambda scene: list(variants(scene)),
        of=variants,
        scene=given(in_pairs).but(lone=lambda random, x: scenes("val", 9, max_objects=1)),
        holds=lambda v, a: [
            all(
                (facts.facts_said(c) <= truth) == (name in VARIANTS[:3])
                for c, truth in zip(said, facts.facts_of(a.scene), strict=True)
            )
            for name, said in v[:-1]
        ].count(False) == 0,
    ),
    entry(
        bits.load,
        split=option("train", "val", "test"),
        n=N,
        task=option(*bits.QUESTIONS),
        seed=SEED,
        noise=number("[0, inf)"),
        holds=lambda v, a: v.column("a").shape == (a.n, 3, 8) and v.column("label").max() < 4,
    ),
    entry(
        bits.worlds,
        number=optional(labels("N", below=32)),
        holds=lambda v, a: torch.equal(
            sum(v[name] << i for i, name in enumerate(bits.BITS)),
            torch.arange(32) if a.number is None else a.number,
        ),
    ),
    entry(bits.answer, task=option("xor", "and"), world=WORLD, holds=xor_of),
    entry(
        bits.classes,
        task=option(*bits.QUESTIONS),
        holds=lambda v, a: v == (2 if a.task in ("unique", "redundant", "and", "xor") else 4),
    ),
    entry(
        bits.joint,
        task=option(*bits.QUESTIONS),
        holds=lambda v, a: (
            torch.isclose(v.sum(), torch.ones((), dtype=torch.float64))
            and v.shape == (8, 8, bits.classes(a.task))
        ),
    ),
    entry(
        stick_figures.load,
        split=option("train", "val", "test"),
        n=N,
        size=PICTURE,
        seed=SEED,
        holds=lambda v, a: (
            v.column("image").shape == (a.n, 3, a.size, a.size)
            and v.column("joints").shape == (a.n, 13, 2)
        ),
    ),
    entry(
        stick_figures.walk,
        frames=count(1, 5),
        size=PICTURE,
        holds=lambda v, a: v[0].shape[:1] == v[1].shape[:1] == (a.frames,),
    ),
    entry(
        text_tasks.leading_colour,
        split=option("train", "unseen"),
        n=N,
        language=option("en", "zh"),
        seed=SEED,
        holds=lambda v, a: (
            len(v) == 2 * a.n and bool((v.column("label")[::2] != v.column("label")[1::2]).all())
        ),
    ),
    entry(
        text_tasks.recall,
        n=N,
        fillers=count(0, 4),
        symbols=count(1, 4),
        seed=SEED,
        holds=lambda v, a: (
            torch.equal(v.column("tokens")[:, 0] - 2, v.column("label"))
            and v.column("tokens").shape == (a.n, 1 + a.fillers)
        ),
    ),
    entry(text_tasks.bag_ceiling, bags=BAGS, labels=labels("N", 2).without(
        "negative", "too large", "one axis more"  # any whole numbers
    ), holds=best_rule),
    entry(
        textures.pair,
        size=count(1, 16),
        shift=Kind(
            lambda random, sizes: (random.randint(-1, 1), random.randint(0, 1)),
            bad=TWO,
            same={"list": lambda random, x: list(x)},
        ),
        angle=number("(-inf, inf)", 0, 0),
        zoom=number("(0, inf)", 1, 1),
        wavelengths=Kind(
            lambda random, sizes: (8.0, 24.0),
            bad=TWO | {"too short": constantly((2, 8), (0, 8), (-3, 8), (9, 3))},
        ),
        seed=SEED,
        holds=moved,
    ),
    entry(
        textures.photograph_pair,
        picture=PHOTOGRAPH,
        shift=Kind(
            lambda random, sizes: (random.randint(-2, 2), random.randint(-2, 2)),
            bad=TWO | {"too far": constantly((99, 0)), "fractions": constantly((0.5, 1.0))},
        ),
        factor=count(1, 3).but(**{"too large": constantly(99)}),
        holds=lambda v, a: torch.equal(v.flow[:, 0, 0], torch.tensor(a.shift) / a.factor),
    ),
]  # fmt: skip


def longer(a: SimpleNamespace) -> Scene:
    return scenes(a.split, a.n + 3, a.seed, a.max_objects)


EXEMPT = {
    "mmtutor.data.shapes.questions.sample.sample": "behind `questions`, which checks and is swept",
    "mmtutor.data.synthetic.text_tasks.language_of": "needs a set that is fetched; see its tests",
}
