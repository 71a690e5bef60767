"""The plots of the fusion chapter: small arithmetic, score grids and curves.

Knows finished numbers; computes none. Matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mmtutor.evaluation.statistics.intervals import Interval

Part = str | tuple[str, Tensor]


def arithmetic(*parts: Part) -> Figure:
    """A computation in pictures: named vectors or matrices as coloured cells, signs between them.

    Args:
        parts: signs such as "+", and (name, values) pairs, values (D,) or (H, W); a vector stands
            upright.
    """
    import matplotlib.pyplot as plt

    grids = [part if isinstance(part, str) else (part[0], _upright(part[1])) for part in parts]
    widths = [_width(grid) for grid in grids]
    height = max(len(grid[1]) for grid in grids if not isinstance(grid, str))
    peak = max(grid[1].abs().max().item() for grid in grids if not isinstance(grid, str))
    size = (0.62 * sum(widths), 0.5 * height + 0.5)
    figure, axes = plt.subplots(1, len(grids), figsize=size, width_ratios=widths)
    for axis, grid in zip(axes, grids, strict=True):
        axis.axis("off")
        if isinstance(grid, str):
            axis.text(0.5, 0.5, grid, ha="center", va="center", fontsize=13)
        else:
            _cells(axis, *grid, peak)
    plt.close(figure)
    return figure


def score_grid(
    scores: Mapping[str, Mapping[str, Interval]], chance: Mapping[str, float] | None = None
) -> Figure:
    """Accuracy in percent of every entrant (row) on every task (column), as coloured cells.

    Args:
        scores: scores[entrant][task], intervals in [0, 1].
        chance: what guessing scores on each task; a last row.
    """
    import matplotlib.pyplot as plt

    rows, columns = list(scores), list(next(iter(scores.values())))
    values = [[scores[row][column].estimate for column in columns] for row in rows]
    if chance is not None:
        rows.append("guessing")
        values.append([chance[column] for column in columns])
    figure, axis = plt.subplots(
        figsize=(1.15 * len(columns) + 1.8, 0.32 * len(rows) + 0.8), layout="constrained"
    )
    axis.imshow(values, vmin=0.2, vmax=1, aspect="auto", cmap="viridis")
    for y, line in enumerate(values):
        for x, value in enumerate(line):
            ink = "black" if value > 0.7 else "white"
            axis.text(x, y, f"{100 * value:.0f}", ha="center", va="center", color=ink, fontsize=9)
    axis.set_xticks(range(len(columns)), [name.replace(" + ", "\n+ ") for name in columns])
    axis.set_yticks(range(len(rows)), rows)
    axis.xaxis.tick_top()
    axis.grid(False)
    plt.close(figure)
    return figure


def _upright(values: Tensor) -> Tensor:
    values = values.detach().float()
    return values.unsqueeze(1) if values.ndim == 1 else values


def _width(grid: Part) -> float:
    """In cells."""
    return 0.35 + 0.2 * len(grid) if isinstance(grid, str) else grid[1].shape[1] + 0.3


def _cells(axis: Axes, name: str, values: Tensor, peak: float) -> None:
    """A matrix (H, W) as cells with its numbers, under its name."""
    axis.imshow(values.numpy(), cmap="RdBu_r", vmin=-1.6 * peak, vmax=1.6 * peak)
    for y, row in enumerate(values.tolist()):
        for x, value in enumerate(row):
            axis.text(x, y, f"{value:.3g}", ha="center", va="center", fontsize=9)
    axis.set_title(name, fontsize=10)
