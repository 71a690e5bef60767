"""One figure for several scorecards, a table of one standard, and a table of ranks.

Knows finished cards; measures nothing. There is no total, because there is none. Matplotlib is
imported where it is used.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mmtutor.evaluation.scorecard.measures import Measure, Scorecard, last, ranks
from mmtutor.notebook.plots.bars import dots
from mmtutor.notebook.tables import in_words, table

if TYPE_CHECKING:
    from IPython.display import Markdown
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ARROWS = {"high": "→ better", "low": "better ←"}
SIGNS = {"high": "↑", "low": "↓"}


def scorecard_figure(cards: Sequence[Scorecard], columns: int = 3) -> Figure:
    """Every measure in a panel of its own: a dot for each model on its 95 % interval.

    An arrow says which way is better; scales are the measure's own. Panels stand in the order of
    the standards, each under the name of its standard.

    Args:
        cards: of models that sat the same exam.
        columns: panels in a row.
    """
    import matplotlib.pyplot as plt

    places = {f"{s}\n{n}{_unit(cards[0][s, n])}": (s, n) for s, n in _places(cards[0])}
    scores = {c.model: {title: c[at].interval for title, at in places.items()} for c in cards}
    with plt.rc_context({"font.size": 7, "axes.titlelocation": "left"}):
        size = (6.6 / columns, 0.75 + 0.17 * len(cards))
        figure = dots(scores, columns=columns, size=size)
        for axis, place in zip(figure.axes, places.values(), strict=True):
            _scale(axis, [card[place] for card in cards])
    return figure


def standard_table(cards: Sequence[Scorecard], standard: str) -> Markdown:
    """One standard in numbers: each measure with its interval, a line for each model."""
    first = cards[0].measures[standard]
    header = ["model", *(f"{n}{_unit(c)} {SIGNS[c.better]}" for n, c in first.items())]
    rows = [[card.model, *(_cell(card[standard, name]) for name in first)] for card in cards]
    return table(rows, header)


def rank_table(cards: Sequence[Scorecard]) -> Markdown:
    """The rank of each model by each measure; the model that is surely last is marked ▼."""
    rows = []
    for standard, name in _places(cards[0]):
        found, worst = ranks(cards, standard, name), last(cards, standard, name)
        cells = [f"{found[c.model]}{' ▼' if c.model == worst else ''}" for c in cards]
        rows.append([standard, name, *cells])
    return table(rows, ["standard", "measure", *(card.model for card in cards)])


def _places(card: Scorecard) -> list[tuple[str, str]]:
    return [(standard, name) for standard, cells in card.measures.items() for name in cells]


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
