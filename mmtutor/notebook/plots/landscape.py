"""A loss over a plane, and the paths that optimisers take over it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmtutor import checks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Range = tuple[float, float]
POINTS = 60  # along each side
MARKERS = ("o", "s", "^", "D", "v")


def landscape(
    loss: Callable[[Tensor], Tensor],
    x_range: Range,
    y_range: Range,
    paths: Mapping[str, Tensor] | None = None,
    names: tuple[str, str] = ("x", "y"),
) -> Figure:
    """A loss over a plane, as a surface and from above, with the paths of optimisers.

    Args:
        loss: from a point (2,) to a scalar; must allow `torch.func.vmap`.
        x_range, y_range: what is drawn of the plane.
        paths: (steps + 1, 2) by name; drawn from above, from a ring to a marker.
        names: of the two coordinates.
    """
    import matplotlib.pyplot as plt

    for name, ends in {"x_range": x_range, "y_range": y_range}.items():
        low, high = checks.listed((int, float), **{name: ends})
        checks.finite(**{name: high - low})
        if not low < high:
            raise ValueError(f"{name} must rise, got {ends}")
    x, y, z = _evaluated(loss, x_range, y_range)
    figure = plt.figure(figsize=(8.4, 3.8), layout="constrained")
    relief = figure.add_subplot(1, 2, 1, projection="3d")
    relief.plot_surface(x.numpy(), y.numpy(), z.numpy(), cmap="viridis", linewidth=0)
    relief.set(xlabel=names[0], ylabel=names[1], zlabel="loss")
    relief.view_init(elev=35, azim=-60)
    relief.set_box_aspect(None, zoom=0.85)  # room for the label of the upright axis
    plan = figure.add_subplot(1, 2, 2)
    _contours(plan, x, y, z)
    for number, (name, path) in enumerate((paths or {}).items()):
        points, colour = path.detach().cpu().numpy(), f"C{number + 1}"
        plan.plot(*points.T, "-", color=colour, marker=".", ms=4, lw=1.5, label=name)
        plan.plot(*points[0], "o", color=colour, ms=9, mfc="none")
        plan.plot(*points[-1], MARKERS[number % len(MARKERS)], color=colour, ms=8, mec="white")
    plan.set(xlabel=names[0], ylabel=names[1], xlim=x_range, ylim=y_range)
    if paths:
        plan.legend(fontsize="small", loc="upper right", frameon=True)
    plt.close(figure)
    return figure


def _evaluated(loss: Callable[[Tensor], Tensor], *ranges: Range) -> tuple[Tensor, ...]:
    """Coordinates and loss on a square grid, three tensors (POINTS, POINTS) of float64."""
    sides = (torch.linspace(*side, POINTS, dtype=torch.float64) for side in ranges)
    x, y = torch.meshgrid(*sides, indexing="xy")
    return x, y, torch.func.vmap(torch.func.vmap(loss))(torch.stack([x, y], dim=-1)).detach()


def _contours(axis: Axes, x: Tensor, y: Tensor, z: Tensor) -> None:
    """As much area between any two lines, so that valleys and cliffs both show."""
    from matplotlib.colors import BoundaryNorm

    levels = torch.quantile(z, torch.linspace(0, 1, 25, dtype=z.dtype)).unique().numpy()
    style = {"norm": BoundaryNorm(levels, 256), "cmap": "viridis", "alpha": 0.75}
    axis.contourf(x.numpy(), y.numpy(), z.numpy(), levels, **style)
    axis.grid(False)
