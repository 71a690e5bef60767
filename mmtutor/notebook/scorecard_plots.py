"""One figure for several scorecards, a table of one standard, and a table of ranks.

Knows finished cards; measures nothing. There is no total, because there is none. Matplotlib is
imported where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmtutor.evaluation.scorecard.measures import Measure, Scorecard, last, ranks
from mmtutor.evaluation.statistics.intervals import Interval
from mmtutor.notebook.setup import COLOURS

if TYPE_CHECKING:
    from IPython.display import Markdown
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARROWS = {"high": "→ better", "low": "better ←"}
SIGNS = {"high": "↑", "low": "↓"}
COLUMNS = 4


def scorecard_figure(cards: Sequence[Scorecard], columns: int = COLUMNS) -> Figure:
    """Every measure in a panel of its own: a dot for each model on its 95 % interval.

    An arrow says which way is better; scales are the measure's own. Panels stand in the order of
    the standards, each under the name of its standard.

    Args:
        cards: of models that sat the same exam.
        columns: panels in a row.
    """
    import matplotlib.pyplot as plt

    places = _places(cards[0])
    rows = -(-len(places) // columns)
    height = 0.75 + 0.17 * len(cards)
    figure, axes = plt.subplots(
        rows, columns, figsize=(8.6, rows * height), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(places) :]:
        axis.axis("off")
    for number, (axis, place) in enumerate(zip(axes.flat, places, strict=False)):
        _panel(axis, cards, *place, named=number % columns == 0)
    plt.close(figure)
    return figure


def standard_table(cards: Sequence[Scorecard], standard: str) -> Markdown:
    """One standard in numbers: each measure with its interval, a line for each model."""
    from mmtutor.notebook.tables import table

    first = cards[0].measures[standard]
    header = ["model", *(f"{n}{_unit(c)} {SIGNS[c.better]}" for n, c in first.items())]
    rows = [[card.model, *(_cell(card[standard, name]) for name in first)] for card in cards]
    return table(rows, header)


def rank_table(cards: Sequence[Scorecard]) -> Markdown:
    """The rank of each model by each measure; the model that is surely last is marked ▼."""
    from mmtutor.notebook.tables import table

    rows = []
    for standard, name in _places(cards[0]):
        found, worst = ranks(cards, standard, name), last(cards, standard, name)
        cells = [f"{found[c.model]}{' ▼' if c.model == worst else ''}" for c in cards]
        rows.append([standard, name, *cells])
    return table(rows, ["standard", "measure", *(card.model for card in cards)])


def in_words(interval: Interval, digits: int = 9) -> str:
    """The estimate with its bounds, where they say anything: "0.58 (0.54 to 0.617)".

    Three significant digits, and at most `digits` after the point.
    """
    estimate, low, high = (f"{round(x, digits) + 0.0:.3g}" for x in interval)
    return estimate if low == high else f"{estimate} ({low} to {high})"


def _cell(measure: Measure) -> str:
    """A share as it is; a cost with the prefix of its thousands: "178µ (147µ to 5.94m)"."""
    if measure.unit == "share":
        return in_words(measure.interval)
    estimate, low, high = (_prefixed(x) for x in measure.interval)
    return estimate if low == high else f"{estimate} ({low} to {high})"


def _prefixed(x: float) -> str:
    """Three significant digits with the prefix of the thousands: 4253 -> "4.25k"."""
    from matplotlib.ticker import EngFormatter

    return EngFormatter(sep="")(float(f"{x:.3g}"))


def _unit(measure: Measure) -> str:
    return "" if measure.unit == "share" else f" [{measure.unit}]"


def _places(card: Scorecard) -> list[tuple[str, str]]:
    return [(standard, name) for standard, cells in card.measures.items() for name in cells]


def _panel(axis: Axes, cards: Sequence[Scorecard], standard: str, name: str, named: bool) -> None:
    cells = [card[standard, name] for card in cards]
    for row, cell in enumerate(cells):
        _dot(axis, row, cell)
    names = [card.model for card in cards] if named else []
    axis.set_yticks(range(len(cards)), names or [""] * len(cards), fontsize=7)
    axis.set_ylim(len(cards) - 0.4, -0.6)
    axis.tick_params(axis="x", labelsize=6.5)
    values = [x for c in cells for x in c.interval if math.isfinite(x)]
    if cells[0].unit != "share" and values and min(values) > 0:
        _ends(axis, min(values), max(values))
    axis.set_title(f"{standard}\n{name}{_unit(cells[0])}", fontsize=7.5, loc="left")
    axis.set_xlabel(ARROWS[cells[0].better], fontsize=6.5, labelpad=1)


def _ends(axis: Axes, low: float, high: float) -> None:
    """A logarithmic scale with its two ends in round numbers."""
    from matplotlib.ticker import EngFormatter

    axis.set_xscale("log")
    axis.minorticks_off()
    axis.set_xticks([low, high], [EngFormatter(sep="", places=1)(x) for x in (low, high)])


def _dot(axis: Axes, row: int, cell: Measure) -> None:
    estimate, low, high = cell.interval
    colour = COLOURS[row % len(COLOURS)]
    axis.plot([low, high], [row, row], color=colour, lw=3, alpha=0.35, solid_capstyle="butt")
    axis.plot([estimate], [row], "o", color=colour, ms=4)
