"""Line drawings of how things are built: boxes and arrows.

A page says where each box stands and of what kind it is, so that one colour means one thing in the
whole book.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mmtutor import checks
from mmtutor.notebook.plots.panels import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

Place = tuple[float, float]
INK = "#22303c"
BOX_HEIGHT = 0.62  # in units of one row
KINDS = {  # kind of box -> its colour, and what the legend says of it
    "data": ("#e8f1fa", "what flows"),
    "layer": ("#fdf1dc", "learned"),
    "frozen": ("#dfe5ea", "learned before, kept"),
    "step": ("#ffffff", "computed, nothing learned"),
    "loss": ("#fbe3df", "loss"),
    "op": ("#ffffff", ""),
    "note": ("none", ""),
}
CELL = (1.12, 0.62)  # inches that one column and one row of a schematic take


def _rounded(
    axis: Axes, corner: Place, size: Place, radius: float, ec: str = INK, **style: Any
) -> Patch:
    """Draw a box with round corners, from its lower left corner; its outline."""
    from matplotlib.patches import FancyBboxPatch

    shape = f"round,pad=0,rounding_size={radius}"
    return axis.add_patch(FancyBboxPatch(corner, *size, boxstyle=shape, ec=ec, lw=1, **style))


def schematic(
    boxes: Mapping[str, tuple],
    arrows: Sequence[tuple],
    *,
    frames: Mapping[str, Sequence[str]] | None = None,
    legend: bool = True,
    axis: Axes | None = None,
) -> Figure:
    """The parts of a mechanism where the page puts them, with arrows from part to part.

    Keep to four columns, so that a phone can show the letters.

    Args:
        boxes: name -> (column, row, kind) or (column, row, kind, text); rows count downwards, both
            may be fractions, and the text is the name unless given. Kinds are those of `KINDS`:
            "op" is a small circle for a sign such as + or ×, "note" is text without a box.
        arrows: (from, to), (from, to, text) or (from, to, text, bend); bend 0 is straight, a line
            with 0.5 goes round what stands between, one with -0.5 on the other side.
        frames: title -> names of the boxes that a dashed frame joins.
        legend: say below what the colours mean, where there are several.
        axis: draw on it; a new figure is made without it.

    Raises:
        ValueError: there is no such kind, or an arrow or a frame names a box that is not there.
    """
    places = {name: (float(box[0]), -float(box[1])) for name, box in boxes.items()}
    for name in (
        n for names in [*(a[:2] for a in arrows), *(frames or {}).values()] for n in names
    ):
        if name not in places:
            raise ValueError(f"an arrow or frame names a box that is not drawn: {name!r}")
    (left, right), (low, high) = ((min(v), max(v)) for v in zip(*places.values(), strict=True))
    low, high = low - 0.6 - 0.45 * legend, high + (0.9 if frames else 0.55)
    if axis is None:
        size = ((right - left + 1.1) * CELL[0], (high - low) * CELL[1])
        _, (axis,) = panels(1, size=size)
    patches = {name: _part(axis, places[name], name, *box[2:]) for name, box in boxes.items()}
    for arrow in arrows:
        _route(axis, places, patches, *arrow)
    for title, names in (frames or {}).items():
        _frame(axis, title, [places[name] for name in names])
    axis.set(xlim=(left - 0.55, right + 0.55), ylim=(low, high))
    axis.axis("off")
    if legend:
        _legend(axis, {box[2] for box in boxes.values()})
    return axis.figure


def _part(axis: Axes, place: Place, name: str, kind: str, text: str | None = None) -> Patch:
    """Draw one box; returns its outline, at which arrows end."""
    from matplotlib.patches import Ellipse

    checks.one_of(tuple(KINDS), kind=kind)
    (x, y), text = place, name if text is None else text
    if kind == "op":
        oval = Ellipse(place, 0.3 * CELL[1] / CELL[0] * 1.6, 0.48, fc="#ffffff", ec=INK, lw=1)
        patch = axis.add_patch(oval)
    else:
        height = BOX_HEIGHT if kind != "note" else 0.26 * (text.count("\n") + 1)
        style = {"fc": KINDS[kind][0], "ec": "none" if kind == "note" else INK}
        patch = _rounded(axis, (x - 0.42, y - height / 2), (0.84, height), 0.07, **style)
    axis.text(x, y, text, ha="center", va="center", color=INK, fontsize=8.5, linespacing=1.1)
    return patch


def _route(
    axis: Axes,
    places: Mapping[str, Place],
    patches: Mapping[str, Patch],
    start: str,
    end: str,
    text: str = "",
    bend: float = 0.0,
) -> None:
    """An arrow between the outlines of two boxes, with a text beside its middle."""
    (x0, y0), (x1, y1) = places[start], places[end]
    style = {"arrowstyle": "-|>", "lw": 1.2, "color": INK, "shrinkA": 1, "shrinkB": 1}
    style |= {"patchA": patches[start], "patchB": patches[end]}
    style |= {"connectionstyle": f"arc3,rad={bend}"}
    axis.annotate("", xy=(x1, y1), xytext=(x0, y0), arrowprops=style, zorder=0.5)
    if text:  # in the middle of the bow, which matplotlib draws in inches, not in columns and rows
        across, up = (x1 - x0) * CELL[0], (y1 - y0) * CELL[1]
        x = (x0 + x1 + bend * up / CELL[0]) / 2
        y = (y0 + y1 - bend * across / CELL[1]) / 2
        box = {"fc": "white", "ec": "none", "pad": 0.8}
        axis.text(x, y, text, ha="center", va="center", color=INK, fontsize=7.5, bbox=box)


def _frame(axis: Axes, title: str, inside: Sequence[Place]) -> None:
    (left, right), (low, high) = ((min(v), max(v)) for v in zip(*inside, strict=True))
    left, low, right, high = left - 0.5, low - 0.42, right + 0.5, high + 0.62
    line = {"fc": "none", "ec": "#7a8793", "ls": "--"}
    _rounded(axis, (left, low), (right - left, high - low), 0.1, **line)
    axis.text(
        left + 0.06, high - 0.08, title, ha="left", va="top", color=INK, fontsize=8, style="italic"
    )


def _legend(axis: Axes, kinds: set[str]) -> None:
    from matplotlib.patches import Rectangle

    named = [
        Rectangle((0, 0), 1, 1, fc=fill, ec=INK, label=says)
        for k, (fill, says) in KINDS.items()
        if says and k in kinds
    ]
    if len(named) > 1:
        style = {"loc": "lower center", "ncols": len(named), "fontsize": 7.5, "handlelength": 1.0}
        axis.legend(handles=named, borderaxespad=0.0, columnspacing=0.9, handletextpad=0.4, **style)
