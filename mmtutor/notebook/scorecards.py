"""Scorecards to look at: one figure, tables of a card, a standard and of ranks, and a page.

Knows finished cards; measures nothing. There is no total, because there is none. Matplotlib is
imported where it is used.
"""

from __future__ import annotations

import io
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmtutor.evaluation.scorecard.measures import Measure, Scorecard, last, ranks, write
from mmtutor.evaluation.scorecard.standards import scorecard
from mmtutor.files import atomic_file
from mmtutor.notebook.plots.bars import dots
from mmtutor.notebook.tables import in_words, table

if TYPE_CHECKING:
    from IPython.display import Markdown
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARROWS = {"high": "→ better", "low": "better ←"}
SIGNS = {"high": "↑", "low": "↓"}
HEADER = ("standard", "measure", "value", "noise floor", "✗ is beyond it")
PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Scorecard</title>
<style>body {{ font: 15px sans-serif; margin: 2em; max-width: 70em }} img {{ max-width: 100% }}
td {{ padding: 2px 12px 2px 0; border-bottom: 1px solid #ddd }} figure {{ display: inline-block;
width: 180px; margin: 6px; vertical-align: top; font-size: 13px }}</style>
<h1>Scorecard</h1>
{body}
</html>
"""


def scorecard_figure(cards: Sequence[Scorecard], columns: int = 3) -> Figure:
    """Every measure in a panel of its own: a dot for each model on its 95 % interval.

    An arrow says which way is better; scales are the measure's own. Panels stand in the order of
    the standards, each under the name of its standard. A grey stroke is the noise floor, and a
    cross the place of a measure that is on the bad side of it.

    Args:
        cards: of models that sat the same exam.
        columns: panels in a row.
    """
    import matplotlib.pyplot as plt

    cells = {at: cell for card in reversed(cards) for at, cell in _cells(card).items()}
    cells = {at: cells[at] for at in dict.fromkeys(at for card in cards for at in _cells(card))}
    titles = {at: f"{at[0]}\n{at[1]}{_unit(cell)}" for at, cell in cells.items()}
    found = {c.model: {titles[at]: x.interval for at, x in _cells(c).items()} for c in cards}
    with plt.rc_context({"font.size": 7, "axes.titlelocation": "left"}):
        size = (6.6 / columns, 0.75 + 0.17 * len(cards))
        figure = dots(found, columns=columns, size=size)
        for axis, place in zip(figure.axes, cells, strict=False):
            there = [_cells(card).get(place) for card in cards]
            _scale(axis, [cell for cell in there if cell])
            _floors(axis, there)
    return figure


def card_table(card: Scorecard) -> Markdown:
    """One card in numbers: each measure, its interval, its noise floor, and "✗" on the bad side."""
    return table(_lines(card), HEADER)


def evaluated(answers: str | Path, data: str | Path, name: str, folder: Path | None) -> str:
    """The card of stored answers as plain text, and with a folder `write_report` of it.

    Errors as of `scorecard`; what is missing is a ValueError.
    """
    try:
        card = scorecard(answers, data, name)
    except KeyError as error:
        raise ValueError(error.args[0]) from None
    rows = [HEADER, *_lines(card)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    lines += [f"left out: {cell}: it needs {what}" for cell, what in card.left_out.items()]
    if folder is not None:
        write_report([card], folder)
        lines.append(f"Written to {folder}: cards.json, cards.png, cards.html")
    return "\n".join(lines)


def write_report(cards: Sequence[Scorecard], folder: str | Path) -> None:
    """`cards.json`, `cards.png`, and `cards.html`, a page with figure, tables and errors.

    Each appears whole or not at all; the page needs no other file. Raises CacheError.
    """
    import matplotlib.pyplot as plt

    folder, picture = Path(folder), io.BytesIO()
    figure = scorecard_figure(cards)
    figure.savefig(picture, format="png", dpi=150, bbox_inches="tight")
    plt.close(figure)
    body = [f"<img src='{_embedded(picture.getvalue())}' alt='Every measure of every model'>"]
    for card in cards:
        body += [f"<h2>{escape(card.model)}</h2>", _html(HEADER, _lines(card))]
        if card.left_out:
            body += ["<h3>Left out</h3>", _html(("cell", "it needs"), list(card.left_out.items()))]
        if card.errors:
            body += ["<h3>Errors, the surest first</h3>", *map(_wrong, card.errors)]
    page = PAGE.format(body="\n".join(body))
    for name, content in {"cards.png": picture.getvalue(), "cards.html": page.encode()}.items():
        with atomic_file(folder / name) as file:
            file.write(content)
    write(cards, folder / "cards.json")


def standard_table(cards: Sequence[Scorecard], standard: str) -> Markdown:
    """One standard in numbers: each measure with its interval, a line for each model."""
    first = cards[0].measures[standard]
    header = ["model", *(f"{n}{_unit(c)} {SIGNS[c.better]}" for n, c in first.items())]
    rows = [[card.model, *(_cell(card[standard, name]) for name in first)] for card in cards]
    return table(rows, header)


def rank_table(cards: Sequence[Scorecard]) -> Markdown:
    """The rank of each model by each measure; the model that is surely last is marked ▼."""
    rows = []
    for standard, name in _cells(cards[0]):
        found, worst = ranks(cards, standard, name), last(cards, standard, name)
        cells = [f"{found[c.model]}{' ▼' if c.model == worst else ''}" for c in cards]
        rows.append([standard, name, *cells])
    return table(rows, ["standard", "measure", *(card.model for card in cards)])


def _cells(card: Scorecard) -> dict[tuple[str, str], Measure]:
    return {(s, n): cell for s, cells in card.measures.items() for n, cell in cells.items()}


def _lines(card: Scorecard) -> list[list[str]]:
    return [
        [standard, f"{name}{_unit(cell)} {SIGNS[cell.better]}", _cell(cell)]
        + (["", ""] if cell.floor is None else [f"{cell.floor:.3g}", "✗" if cell.flagged else ""])
        for (standard, name), cell in _cells(card).items()
    ]


def _html(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in (header, *rows)]
    return f"<table>{''.join(f'<tr>{line}</tr>' for line in lines)}</table>"


def _wrong(error: Mapping[str, Any]) -> str:
    """One wrong answer under its picture."""
    sure = "" if error["sure"] is None else f" ({error['sure']:.0%} sure)"
    words = f"{error['question']} — it said {error['said']}{sure}; right: {error['right']}"
    picture = ""
    if "image" in error:
        picture = f"<img src='{_embedded(_thumbnail(error['image']))}' alt=''>"
    return f"<figure>{picture}<figcaption>{escape(words)}</figcaption></figure>"


def _thumbnail(image: Tensor) -> bytes:
    """(3, H, W), uint8 or in [0, 1], as a small PNG."""
    from PIL import Image

    pixels = image if image.dtype == torch.uint8 else (255 * image).round().byte()
    picture, written = Image.fromarray(pixels.permute(1, 2, 0).numpy()), io.BytesIO()
    picture.thumbnail((160, 160))
    picture.save(written, "PNG")
    return written.getvalue()


def _embedded(picture: bytes) -> str:
    return f"data:image/png;base64,{b64encode(picture).decode()}"


def _unit(measure: Measure) -> str:
    return "" if measure.unit == "share" else f" [{measure.unit}]"


def _cell(measure: Measure) -> str:
    """A share as it is; a cost with the prefix of its thousands: "178µ (147µ to 5.94m)"."""
    if measure.unit == "share":
        return in_words(measure.interval)
    estimate, low, high = (_prefixed(float(f"{x:.3g}")) for x in measure.interval)
    return estimate if low == high else f"{estimate} ({low} to {high})"


def _prefixed(x: float, places: int | None = None) -> str:
    """A number with the prefix of its thousands: 4250 -> "4.25k"."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="", places=places)(x)


def _floors(axis: Axes, cells: Sequence[Measure | None]) -> None:
    for row, cell in enumerate(cells):
        if cell is not None and cell.floor is not None:
            axis.plot(cell.floor, row, "|", color="0.4", ms=9, zorder=1)
            if cell.flagged:
                axis.plot(cell.interval.estimate, row, "x", color="black", ms=7)


def _scale(axis: Axes, cells: Sequence[Measure]) -> None:
    """The way that is better; a logarithmic scale for a cost, with its ends in round numbers."""
    axis.set_xlabel(ARROWS[cells[0].better], labelpad=1)
    values = [x for cell in cells for x in cell.interval if math.isfinite(x)]
    if cells[0].unit == "share" or not values or min(values) <= 0:
        return
    ends = [min(values), max(values)]
    axis.set_xscale("log")
    axis.minorticks_off()
    axis.set_xticks(ends, [_prefixed(x, places=1) for x in ends])
