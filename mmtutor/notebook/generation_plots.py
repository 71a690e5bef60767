"""The plots of the chapter on scoring generated text.

Knows finished numbers and two sentences; computes no score. Matplotlib is imported where used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mmtutor.evaluation.statistics.intervals import Interval


def verdicts(scores: Mapping[str, Sequence[float]], columns: Sequence[str]) -> Figure:
    """Every metric's score of every candidate, coloured by the place that the metric gives it.

    Args:
        scores: scores[metric], one for each column, higher is better.
        columns: names of the candidates.
    """
    import matplotlib.pyplot as plt

    places = [[sum(x > y for x in row) + 1 for y in row] for row in scores.values()]
    size = (1.1 * len(columns) + 2.2, 0.36 * len(scores) + 0.7)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    axis.imshow(places, cmap="viridis_r", vmin=1, vmax=len(columns), aspect="auto")
    for y, row in enumerate(scores.values()):
        for x, score in enumerate(row):
            ink = "black" if places[y][x] <= 2 else "white"
            text = f"{score:.2f}  ({_ordinal(places[y][x])})"
            axis.text(x, y, text, ha="center", va="center", color=ink, fontsize=9)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(scores)), list(scores))
    axis.xaxis.tick_top()
    axis.grid(False)
    plt.close(figure)
    return figure


def intervals(found: Mapping[str, Interval], label: str, zero: str = "") -> Figure:
    """A point with its interval for each name, under each other; a line at 0 with its meaning."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 0.36 * len(found) + 1.1), layout="constrained")
    for y, (estimate, low, high) in enumerate(found.values()):
        axis.plot([low, high], [y, y], color="C0", linewidth=2)
        axis.plot(estimate, y, "o", color="C0")
    axis.axvline(0, color="grey", linewidth=1, linestyle="--")
    axis.text(0, -0.6, f" {zero}", color="grey", fontsize=8)
    axis.set_yticks(range(len(found)), list(found))
    axis.set_ylim(len(found) - 0.5, -1)
    axis.set_xlabel(label)
    plt.close(figure)
    return figure


def longest_common(candidate: str, reference: str) -> Figure:
    """The table of longest common subsequences, one row for each word of the candidate.

    The cell at a word of each holds the length for the sentences up to there; the words of one
    longest common subsequence are marked.
    """
    import matplotlib.pyplot as plt

    rows, columns = candidate.split(), reference.split()
    table = _lengths(rows, columns)
    size = (0.62 * len(columns) + 1.6, 0.42 * len(rows) + 0.9)
    figure, axis = plt.subplots(figsize=size, layout="constrained")
    axis.imshow([line[1:] for line in table[1:]], cmap="Blues", vmax=1.6 * table[-1][-1])
    _write(axis, table, _path(table, rows, columns))
    axis.set_xticks(range(len(columns)), columns, rotation=35, ha="left")
    axis.set_yticks(range(len(rows)), rows)
    axis.xaxis.tick_top()
    axis.grid(False)
    plt.close(figure)
    return figure


def _write(axis: Axes, table: list[list[int]], path: set[tuple[int, int]]) -> None:
    for i, line in enumerate(table[1:]):
        for j, length in enumerate(line[1:]):
            weight = "bold" if (i, j) in path else "normal"
            box = {"edgecolor": "C1", "facecolor": "none"} if (i, j) in path else None
            axis.text(j, i, length, ha="center", va="center", weight=weight, bbox=box)


def _lengths(rows: Sequence[str], columns: Sequence[str]) -> list[list[int]]:
    table = [[0] * (len(columns) + 1) for _ in range(len(rows) + 1)]
    for i, word in enumerate(rows):
        for j, other in enumerate(columns):
            longer = table[i][j] + 1 if word == other else 0
            table[i + 1][j + 1] = max(longer, table[i][j + 1], table[i + 1][j])
    return table


def _path(
    table: list[list[int]], rows: Sequence[str], columns: Sequence[str]
) -> set[tuple[int, int]]:
    """Where the words of one longest common subsequence stand in both."""
    i, j, path = len(rows), len(columns), set()
    while i and j:
        if rows[i - 1] == columns[j - 1]:
            i, j = i - 1, j - 1
            path.add((i, j))
        elif table[i - 1][j] >= table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return path


def _ordinal(place: int) -> str:
    return f"{place}{('st', 'nd', 'rd')[place - 1] if place <= 3 else 'th'}"
