"""Scores side by side: bars in groups, and dots in rows, with intervals or repetitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmtutor.evaluation.statistics.bootstrap import Interval
from mmtutor.notebook.plots.panels import panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def bars(
    scores: Mapping[str, Mapping[str, float | Interval]],
    ylabel: str = "accuracy",
    ylim: tuple[float, float | None] = (0, 1.02),
) -> Figure:
    """A group of bars for each part, in it one bar for each model, with intervals where given.

    Args:
        scores: scores[model][part]; all models have the same parts. A legend names the models,
            where there is more than one.

    Raises:
        ValueError: there is no model, or the models have different parts.
    """
    if not scores or len({tuple(parts) for parts in scores.values()}) != 1:
        raise ValueError(f"expected models with the same parts, got {list(scores)}")
    parts, width = list(next(iter(scores.values()))), 0.8 / len(scores)
    beside = sum(map(len, scores)) > 40 or len(scores) > 4  # where the legend has room
    size = (min(max(4.4, 1.2 + 1.3 * len(parts)), 7.6) + 1.8 * beside, 3.4)
    figure, (axis,) = panels(1, size=size)
    for number, (model, found) in enumerate(scores.items()):
        places = [i + (number - (len(scores) - 1) / 2) * width for i in range(len(parts))]
        height, low, high = np.array([np.broadcast_to(score, 3) for score in found.values()]).T
        ends = np.maximum([height - low, high - height], 0)
        ends = ends if ends.any() else None
        axis.bar(places, height, 0.9 * width, yerr=ends, label=model, capsize=2)
    axis.set_xticks(range(len(parts)), parts)
    axis.set(ylabel=ylabel, ylim=ylim)
    if len(scores) > 1:
        above = {"loc": "lower center", "bbox_to_anchor": (0.5, 1), "ncols": len(scores)}
        right = {"loc": "center left", "bbox_to_anchor": (1, 0.5)}
        axis.legend(fontsize="small", **(right if beside else above))
    return figure


def dots(
    scores: Mapping[str, Mapping[str, Sequence[float] | Interval]],
    xlabel: str = "accuracy",
    marks: Mapping[str, float] | None = None,
    xlim: tuple[float, float] | None = None,
    columns: int = 0,
    size: tuple[float, float] | None = None,
) -> Figure:
    """A panel for each part, in it a row for each model: dots, and how far they may be trusted.

    Of repetitions every one is a dot, and a black stroke is their mean; an interval is one dot on
    a bar, which has the model's own colour in all panels.

    Args:
        scores: scores[model][part]; a part that a model lacks leaves its row empty.
        marks: where to draw a dotted line, by part: chance, say.
        xlim: of all panels; each its own if None.
        columns: panels in a row; all in one row if 0.
        size: width and height of a panel in inches.
    """
    parts = list(dict.fromkeys(part for row in scores.values() for part in row))
    size = size or (max(3.2, 6.4 / len(parts)), 0.9 + 0.34 * len(scores))
    figure, axes = panels(len(parts), columns, size, sharey=True)
    for axis, part in zip(axes, parts, strict=True):
        for row, found in enumerate(scores.values()):
            _row(axis, row, found.get(part, ()), coloured=len(parts) > 1)
        if marks:
            axis.axvline(marks[part], color="0.4", ls=":", lw=1.5)
        axis.set(title=part, xlabel=xlabel)
        if xlim:
            axis.set_xlim(xlim)
    axes[0].set_yticks(range(len(scores)), scores)
    axes[0].set_ylim(len(scores) - 0.5, -0.5)  # the first on top
    return figure


def _row(axis: Axes, row: int, found: Sequence[float] | Interval, coloured: bool) -> None:
    if isinstance(found, Interval):
        colour = f"C{row}" if coloured else "C0"
        axis.plot(found[1:], [row] * 2, color=colour, lw=3, alpha=0.35, solid_capstyle="butt")
        axis.plot(found.estimate, row, "o", color=colour, ms=5)
    elif len(found):
        axis.plot(found, [row] * len(found), "o", color="C0", alpha=0.6)
        axis.plot(sum(found) / len(found), row, "|", color="black", ms=14, mew=2)
