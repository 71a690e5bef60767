"""Drawings, tables and checks of a page."""

from __future__ import annotations

import math
from contextlib import redirect_stdout
from io import StringIO
from itertools import count as count_up

import torch

from mmtutor.evaluation.statistics.bootstrap import Interval
from mmtutor.notebook.checks import check
from mmtutor.notebook.plots import (
    arithmetic,
    bars,
    colour_wheel,
    curves,
    flow_colours,
    gallery,
    heatmap,
    image_grid,
    learning_curve,
    map_grid,
    pieces_in_boxes,
    players,
    schematic,
    small_multiples,
    spectrograms,
)
from mmtutor.notebook.plots.panels import panels, pixels
from mmtutor.notebook.random_captions import random_examples
from mmtutor.notebook.tables import in_words, percent, table
from mmtutor.notebook.widgets import Control
from mmtutor.training import History
from tests.sweep.entries import entry
from tests.sweep.kinds import (
    constant,
    count,
    flag,
    floats,
    masks,
    number,
    option,
    optional,
    text,
    texts,
)


def pictures(pattern: str):
    """Float pictures in [0, 1]; other forms of them are refused or drawn alike."""
    far = {"bytes as floats": lambda random, x: x * 200 + 50}
    return floats(pattern, 0, 1).but(**far).without("half")


def quietly_checked(answer, expected, hint, tolerance):
    with redirect_stdout(StringIO()):
        check(answer, expected, hint, tolerance)


def axes(figure) -> int:
    return len(figure.axes)


# "images", whose refusals say which each "image" must be; one axis less makes three grey ones.
SEVERAL = pictures("N 3 H W").without("one axis less", "empty", "no tensor")

NUMBERS = count_up()  # a box's text is its own

ENTRIES = [
    entry(
        quietly_checked,
        of=check,
        answer=constant([1, 2.0]),
        expected=constant([1, 2.0]),
        hint=text(),
        tolerance=number("[0, inf)"),
        holds=lambda value, a: value is None,
    ),
    entry(
        pixels,
        image=pictures("3 H W").without("one axis less"),  # a grey one is fine
        stretch=constant(False),
        holds=lambda value, a: (
            value.shape == (*a.image.shape[1:], 3)
            and abs(value.transpose(2, 0, 1) / 255 - a.image.numpy()).max() <= 0.5 / 255 + 1e-6
        ),
    ),
    entry(
        panels,
        count=count(1, 7),
        columns=count(0, 3),
        holds=lambda value, a: len(value[1]) == a.count,
    ),
    entry(
        lambda image, columns: image_grid(image, columns=columns),
        of=image_grid,
        image=SEVERAL,
        columns=count(0, 3),
        holds=lambda value, a: axes(value) == len(a.image),
    ),
    entry(
        lambda image: gallery(image),
        of=gallery,
        image=SEVERAL,
        holds=lambda value, a: value.data.count("<img") == len(a.image),
    ),
    entry(
        lambda images, maps, masks: map_grid(images, {"maps": maps}, masks=masks),
        of=map_grid,
        images=pictures("B 3 8 9").without("bytes as floats"),  # of one image, says the refusal
        maps=floats("B 8 9", 0, 1),
        masks=optional(masks("B 8 9")),
        holds=lambda value, a: axes(value) == 2 * len(a.images),
    ),
    entry(
        flow_colours,
        flow=floats("2 H W"),
        longest=optional(number("(0, inf)")),
        holds=lambda value, a: value.shape == (3, *a.flow.shape[1:]) and value.min() >= 0,
    ),
    entry(
        colour_wheel,
        size=count(1, 9),
        holds=lambda value, a: value.shape == (3, a.size, a.size),
    ),
    entry(
        lambda waveform, rate: players({"waveform": waveform}, rate),
        of=players,
        waveform=floats("T", -1, 1).without("half", "double"),
        rate=count(1, 16000),
        with_sizes={"T": 400},
        holds=lambda value, a: value.data.count("<audio") == 1,
    ),
    entry(
        lambda pieces: pieces_in_boxes({"pieces": pieces}),
        of=pieces_in_boxes,
        pieces=texts("N").without("empty", "array"),
        holds=lambda value, a: value.data.count("<span") == len(a.pieces),
    ),
    entry(
        lambda text, kind: schematic({"x": (0, 0, "data"), "y": (1, 0, kind, text)}, [("x", "y")]),
        of=schematic,
        text=option("state", "a\nb").without("typo", "no option"),
        kind=option("data", "layer", "frozen", "step", "loss", "op", "note"),
        holds=lambda value, a: a.text in {text.get_text() for text in value.axes[0].texts},
    ),
    entry(
        lambda x, line, log: curves(x, {"line": line}, "x", "y", log),
        of=curves,
        x=floats("N", 1, 2).without("NaN", "infinite", "half"),
        line=floats("N", 1, 2).without("NaN", "infinite", "half", "one axis more"),
        log=option("x", "y", "xy").without("typo", "no option"),
        holds=lambda value, a: torch.equal(
            torch.tensor(value.axes[0].lines[0].get_ydata()), a.line
        ),
    ),
    entry(
        lambda smooth: learning_curve(History(loss=[3.0, 2.0, 1.0]), smooth),
        of=learning_curve,
        smooth=number("[0, 1)"),
        holds=lambda value, a: math.isclose(
            value.axes[0].lines[1].get_ydata()[-1],
            sum(x * a.smooth**k for k, x in enumerate([1, 2, 3]))
            / sum(a.smooth**k for k in range(3)),
        ),
    ),
    entry(
        lambda step: small_multiples({"a": [1.0, 2.0]}, "x", "y", step),
        of=small_multiples,
        step=number("(0, inf)"),
        holds=lambda value, a: math.isclose(
            value.axes[0].lines[0].get_xdata()[1], a.step, rel_tol=1e-6
        ),
    ),
    entry(
        lambda values: heatmap(values, text="{:.1f}"),
        of=heatmap,
        values=floats("H W").without("NaN", "infinite", "half"),
        holds=lambda value, a: len(value.axes[0].texts) == a.values.numel(),
    ),
    entry(
        lambda power, top: spectrograms({"power": power}, top, 1.0),
        of=spectrograms,
        power=floats("F N").without("NaN", "infinite", "half"),
        top=number("(0, inf)").without("no number", "infinite", "NaN", "outside", "text"),
        holds=lambda value, a: math.isclose(value.axes[0].images[0].get_extent()[3], a.top),
    ),
    entry(
        lambda values: arithmetic(("values", values), "+", ("b", values)),
        of=arithmetic,
        values=floats("H W").without("half", "one axis less"),  # a vector is fine
        holds=lambda value, a: axes(value) == 3,
    ),
    entry(
        lambda score: bars({"a": {"x": score}}),
        of=bars,
        score=number("[0, 1]").without("outside", "no number", "infinite", "NaN", "text"),
        holds=lambda value, a: math.isclose(value.axes[0].patches[0].get_height(), a.score),
    ),
    entry(
        lambda word: Control(lambda word: word.upper(), word=word),
        of=Control,
        word=texts("N").without("None in it", "number in it", "list in it", "bytes in it"),
        holds=lambda value, a: value.frame(word="one").parts == ["ONE"],
    ),
    entry(
        random_examples,
        n=count(1, 5),
        seed=count(0, 9),
        holds=lambda value, a: len(value.candidates) == len(value.references) == a.n,
    ),
    entry(
        lambda rows, header: table([rows, rows], header),
        of=table,
        rows=texts("N").without("None in it", "number in it", "list in it", "bytes in it"),
        header=texts("N").without("None in it", "number in it", "list in it", "bytes in it"),
        holds=lambda value, a: value.data.count("\n") == 3,
    ),
    entry(
        lambda score, sign: percent(Interval(score, 0.0, 1.0), sign),
        of=percent,
        score=number("[0, 1]").without("outside", "infinite", "NaN", "no number"),
        sign=flag(),
        holds=lambda value, a: value.startswith(f"{100 * a.score:.1f}"),
    ),
    entry(
        lambda digits: in_words(Interval(0.5, 0.0, 1.0), digits),
        of=in_words,
        digits=count(1, 9).without("too small"),
        holds=lambda value, a: value == "0.5 (0 to 1)",
    ),
]
