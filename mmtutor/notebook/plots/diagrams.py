"""Line drawings for the concept pages: boxes in columns, joined by arrows."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import TYPE_CHECKING

from mmtutor import checks
from mmtutor.notebook.plots.panels import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Edge = tuple[str, str]
Place = tuple[float, float]
INK, WRONG = "#22303c", "#c0392b"
FILLS = ("#e8f1fa", "#fdf1dc", "#e6f4ea", "#f3e8f7", "#eeeeee")
BOX_HEIGHT = 0.62  # in units of one row
BOX_SHARE = 0.66  # of the width of one column


def flowchart(
    columns: Sequence[Sequence[str]],
    edges: Sequence[Edge],
    *,
    wrong: Sequence[Edge] = (),
    headings: Sequence[str] = (),
    title: str = "",
    span: int = 0,
    axis: Axes | None = None,
) -> Figure:
    """Boxes in columns, left to right, and arrows between them.

    Args:
        columns: the texts of the boxes, one sequence a column; a text names its box.
        edges: arrows as (from, to) pairs of box texts.
        wrong: arrows that should not be there: dashed, in red, with a cross.
        headings: a heading above each column, from the left.
        title: a title above the drawing.
        span: leave room for this many columns, so that panels have boxes of one width.
        axis: draw on it; a new figure is made without it.

    Raises:
        ValueError: a box text is used twice, or an arrow names a box that is not there.
    """
    rows = max(len(checks.listed(str, columns=column)) for column in columns)
    if axis is None:
        _, (axis,) = panels(1, size=(7.0, 0.6 * rows + 0.4))
    centres = _centres(columns, rows)
    for x, column in enumerate(columns):
        for text in column:
            _box(axis, centres[text], text, FILLS[x % len(FILLS)])
    for edge in (*edges, *wrong):
        _arrow(axis, centres, edge, is_wrong=edge in wrong)
    for x, heading in enumerate(headings):
        axis.text(x, rows - 0.35, heading, ha="center", color=INK, weight="bold")
    top = rows - 0.1 if headings else rows - 0.4
    axis.set(xlim=(-0.4, max(span, len(columns)) - 0.6), ylim=(-0.6, top))
    axis.set_title(title, color=INK, fontsize=10, loc="left")
    axis.axis("off")
    return axis.figure


def _centres(columns: Sequence[Sequence[str]], rows: int) -> dict[str, Place]:
    centres: dict[str, Place] = {}
    for x, column in enumerate(columns):
        step = rows / len(column)
        for y, text in enumerate(column):
            if text in centres:
                raise ValueError(f"two boxes are called {text!r}; a text names one box")
            centres[text] = (x, rows - 0.5 - step * (y + 0.5))
    return centres


def _box(axis: Axes, centre: Place, text: str, colour: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = centre
    corner = (x - BOX_SHARE / 2, y - BOX_HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.08"
    patch = FancyBboxPatch(corner, BOX_SHARE, BOX_HEIGHT, boxstyle=style, fc=colour, ec=INK, lw=1)
    axis.add_patch(patch)
    text = fill(text, 11, break_long_words=False)
    axis.text(x, y, text, ha="center", va="center", color=INK, fontsize=8.5)


def _arrow(axis: Axes, centres: dict[str, Place], edge: Edge, *, is_wrong: bool) -> None:
    for name in edge:
        if name not in centres:
            raise ValueError(f"the arrow {edge} names a box that is not drawn: {name!r}")
    (x0, y0), (x1, y1) = (centres[name] for name in edge)
    x0, x1 = x0 + BOX_SHARE / 2, x1 - BOX_SHARE / 2
    style = {"arrowstyle": "-|>", "lw": 1.3, "shrinkA": 0, "shrinkB": 0}
    style |= {"color": WRONG, "linestyle": "--"} if is_wrong else {"color": INK}
    axis.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=style)
    if is_wrong:
        axis.plot((x0 + x1) / 2, (y0 + y1) / 2, "x", color=WRONG, ms=9, mew=2.5, zorder=5)
