"""Plots of the VQA lab: scores with their intervals, side by side.

Knows finished numbers. Computes none. Matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mmtutor.evaluation.statistics.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def interval_bars(
    scores: Mapping[str, Mapping[str, Interval]],
    label: str = "accuracy",
    chance: float | None = None,
) -> Figure:
    """A group of bars for each part, in it one bar for each model, with 95 % intervals.

    Args:
        scores: by the model's name, its scores by the name of the part; all have the same parts.
        chance: where to draw a dashed line.

    Raises:
        ValueError: there is no model, or the models have different parts.
    """
    import matplotlib.pyplot as plt

    if not scores or len({tuple(parts) for parts in scores.values()}) != 1:
        raise ValueError(f"expected models with the same parts, got {list(scores)}")
    figure, axis = plt.subplots(layout="constrained")
    names, width = list(next(iter(scores.values()))), 0.8 / len(scores)
    for number, (model, parts) in enumerate(scores.items()):
        places = [i + (number - (len(scores) - 1) / 2) * width for i in range(len(names))]
        found = list(parts.values())
        below = [max(0.0, s.estimate - s.low) for s in found]
        above = [max(0.0, s.high - s.estimate) for s in found]
        heights = [s.estimate for s in found]
        axis.bar(places, heights, 0.9 * width, yerr=[below, above], label=model, capsize=2)
    if chance is not None:
        axis.axhline(chance, color="0.4", ls="--", lw=1.2)
    axis.set_xticks(range(len(names)), names)
    axis.set(ylabel=label, ylim=(0, 1.02))
    if len(scores) > 1:
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1)}
        axis.legend(fontsize="small", ncols=min(len(scores), 4), **place)
    plt.close(figure)
    return figure


def percent(score: Interval) -> str:
    """An interval in percent, for a table: "93.1 (92.0 to 94.2)"."""
    return f"{100 * score.estimate:.1f} ({100 * score.low:.1f} to {100 * score.high:.1f})"
