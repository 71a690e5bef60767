"""Plots of losses and of the paths that optimisers take over them.

Knows finished numbers, and functions of one point that it evaluates on a grid; knows no loss, no
optimiser and no data. Matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Range = tuple[float, float]
GRID = 60  # points along each side of a landscape
MARKERS = ("o", "s", "^", "D", "v")


def panels(named: Mapping[str, Sequence[float]], ylabel: str = "training loss") -> Figure:
    """One small curve a panel, each with its own scale: for shapes that are to be compared."""
    import matplotlib.pyplot as plt

    shape = (2.4 * len(named), 2.2)
    figure, axes = plt.subplots(1, len(named), figsize=shape, squeeze=False, layout="constrained")
    for axis, (name, values) in zip(axes.flat, named.items(), strict=True):
        axis.plot(values)
        axis.set_title(name)
        axis.set(xlabel="step", ylim=(0, None))
    axes[0, 0].set_ylabel(ylabel)
    plt.close(figure)
    return figure


def bars(named: Mapping[str, Tensor], labels: Sequence[str], ylabel: str) -> Figure:
    """Bars side by side: for each of the `labels`, one bar of every entry (len(labels),)."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
    width, places = 0.8 / len(named), torch.arange(len(labels))
    for number, (name, values) in enumerate(named.items()):
        axis.bar(_array(places + number * width), _array(values), width, label=name)
    axis.set_xticks(_array(places + 0.4 - width / 2), labels)
    axis.set_ylabel(ylabel)
    axis.legend(fontsize="small")
    plt.close(figure)
    return figure


def dots(named: Mapping[str, Sequence[float]], xlabel: str, chance: float | None = None) -> Figure:
    """One line for each entry, with a dot for each of its values; chance is a dashed line."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 0.5 + 0.4 * len(named)), layout="constrained")
    for row, values in enumerate(named.values()):
        axis.plot(values, [row] * len(values), "o", alpha=0.7)
    axis.set_yticks(range(len(named)), named)
    axis.invert_yaxis()
    axis.set(xlabel=xlabel, xlim=(-0.02, 1))
    if chance is not None:
        axis.axvline(chance, color="0.4", ls="--", lw=1.2)
    plt.close(figure)
    return figure


def fitted_lines(x: Tensor, y: Tensor, lines: Mapping[str, tuple[float, float]]) -> Figure:
    """Points (N,) and (N,), straight lines by (slope, intercept), and the errors of the last."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    ends = torch.stack([x.min(), x.max()])
    for name, (slope, intercept) in lines.items():
        axis.plot(_array(ends), _array(slope * ends + intercept), label=name)
    axis.vlines(_array(x), _array(y), _array(slope * x + intercept), color="0.7", lw=1)
    axis.plot(_array(x), _array(y), "o", color="black", ms=4)
    axis.set(xlabel="x", ylabel="y")
    axis.legend(fontsize="small")
    plt.close(figure)
    return figure


def landscape(
    loss: Callable[[Tensor], Tensor],
    x_range: Range,
    y_range: Range,
    paths: Mapping[str, Tensor] | None = None,
    names: tuple[str, str] = ("x", "y"),
    solid: bool = True,
) -> Figure:
    """A loss over a plane, as a surface and from above, with the paths of optimisers.

    Args:
        loss: from a point (2,) to a scalar; must allow `torch.func.vmap`.
        x_range, y_range: what is drawn of the plane.
        paths: (steps + 1, 2) by name; drawn from above, from a ring to a marker.
        names: of the two coordinates.
        solid: draw the surface too.
    """
    import matplotlib.pyplot as plt

    x, y, z = grid(loss, x_range, y_range)
    figure = plt.figure(figsize=(8.4 if solid else 6.0, 3.8), layout="constrained")
    if solid:
        relief = figure.add_subplot(1, 2, 1, projection="3d")
        relief.plot_surface(_array(x), _array(y), _array(z), cmap="viridis", linewidth=0)
        relief.set(xlabel=names[0], ylabel=names[1], zlabel="loss")
        relief.view_init(elev=35, azim=-60)
        relief.set_box_aspect(None, zoom=0.85)  # room for the label of the upright axis
    plan = figure.add_subplot(1, 2, 2) if solid else figure.add_subplot()
    _contours(plan, x, y, z)
    for number, (name, path) in enumerate((paths or {}).items()):
        _draw_path(plan, name, path, f"C{number + 1}", MARKERS[number % len(MARKERS)])
    plan.set(xlabel=names[0], ylabel=names[1], xlim=x_range, ylim=y_range)
    if paths:
        plan.legend(fontsize="small", loc="upper right", frameon=True)
    plt.close(figure)
    return figure


def grid(
    loss: Callable[[Tensor], Tensor], x_range: Range, y_range: Range
) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates and loss on a square grid, three tensors (GRID, GRID) of float64."""
    x, y = torch.meshgrid(
        torch.linspace(*x_range, GRID, dtype=torch.float64),
        torch.linspace(*y_range, GRID, dtype=torch.float64),
        indexing="xy",
    )
    return x, y, torch.func.vmap(torch.func.vmap(loss))(torch.stack([x, y], dim=-1))


def _contours(axis: Axes, x: Tensor, y: Tensor, z: Tensor) -> None:
    """As much area between any two lines, so that valleys and cliffs both show."""
    from matplotlib.colors import BoundaryNorm

    levels = _array(torch.quantile(z, torch.linspace(0, 1, 25, dtype=z.dtype)).unique())
    filled = (_array(x), _array(y), _array(z), levels)
    axis.contourf(*filled, norm=BoundaryNorm(levels, 256), cmap="viridis", alpha=0.75)
    axis.grid(False)


def _draw_path(axis: Axes, name: str, path: Tensor, colour: str, marker: str) -> None:
    points = _array(path)
    axis.plot(*points.T, "-", color=colour, marker=".", ms=4, lw=1.5, label=name)
    axis.plot(*points[0], "o", color=colour, ms=9, mfc="none")
    axis.plot(*points[-1], marker, color=colour, ms=8, mec="white")


def _array(x: Tensor):
    return x.detach().cpu().numpy()
