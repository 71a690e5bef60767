"""The plots of the chapter on images: filters, feature maps, heat maps, numbers in squares, curves.

Knows finished tensors and numbers; loads nothing and trains nothing.
Matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from mmtutor.notebook.plots import image_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def filter_grid(kernels: Tensor, columns: int = 12, size: float = 0.6) -> Figure:
    """Kernels (N, 3, k, k) as small colour pictures; in each, grey is 0 and its extremes are full.

    A common scale would leave weak kernels invisible: compare shapes, not strengths.
    """
    if kernels.ndim != 4 or kernels.shape[1] != 3:
        raise ValueError(f"expected kernels (N, 3, k, k), got {tuple(kernels.shape)}")
    kernels = kernels.detach()
    strongest = kernels.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    return image_grid(list(0.5 + kernels / strongest / 2), columns=columns, size=size)


def feature_maps(maps: Tensor, columns: int = 8, size: float = 1.0) -> Figure:
    """Channels (C, H, W) as grey pictures, each from its smallest (black) to its largest value."""
    maps = maps.detach()
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    scaled = (maps - low) / (high - low).clamp(min=1e-12)
    return image_grid([m.expand(3, -1, -1) for m in scaled], columns=columns, size=size)


def heat_maps(maps: Mapping[str, Tensor], boxes: Sequence[int] = (), size: float = 2.6) -> Figure:
    """Maps (H, W) side by side, each on its own colour scale.

    Args:
        boxes: for each map the side of a square drawn around its middle pixel, or none at all.
    """
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(maps), figsize=(size * len(maps), size * 1.15), squeeze=False, layout="constrained"
    )
    for axis, (title, values) in zip(axes[0], maps.items(), strict=True):
        axis.imshow(values.detach().numpy())
        axis.set_title(title)
        axis.axis("off")
    for axis, values, side in zip(axes[0], maps.values(), boxes, strict=False):
        corner = [length // 2 - side / 2 for length in values.shape[::-1]]
        axis.add_patch(plt.Rectangle(corner, side, side, fill=False, edgecolor="white", lw=1.5))
    plt.close(figure)
    return figure


def number_squares(grids: Mapping[str, Tensor], size: float = 1.7) -> Figure:
    """Small matrices (H, W) side by side with their numbers written in, brighter where larger."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(grids), figsize=(size * len(grids), size * 1.2), squeeze=False, layout="constrained"
    )
    for axis, (title, grid) in zip(axes[0], grids.items(), strict=True):
        grid = grid.detach()
        axis.imshow(grid.numpy(), cmap="Blues", vmin=0, vmax=1.6 * max(grid.max().item(), 1e-12))
        for i, row in enumerate(grid.tolist()):
            for j, value in enumerate(row):
                axis.text(j, i, f"{value:g}", ha="center", va="center", fontsize=8)
        axis.set_title(title)
        axis.set(xticks=[], yticks=[])
        axis.grid(False)
    plt.close(figure)
    return figure


def data_need(scores: Mapping[str, Mapping[int, Sequence[float]]], chance: float) -> Figure:
    """Accuracy against the number of training pictures: a dot a seed, a line through the means."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    for colour, (name, by_size) in enumerate(scores.items()):
        means = [sum(values) / len(values) for values in by_size.values()]
        axis.plot(list(by_size), means, color=f"C{colour}", label=name)
        for n, values in by_size.items():
            axis.plot([n] * len(values), values, "o", color=f"C{colour}", alpha=0.5)
    axis.axhline(chance, color="grey", ls=":", label="chance")
    sizes = sorted({n for by_size in scores.values() for n in by_size})
    axis.set(xscale="log", xlabel="training pictures", ylabel="test accuracy", ylim=(0, 1))
    axis.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axis.minorticks_off()
    axis.legend(loc="lower right")
    plt.close(figure)
    return figure
