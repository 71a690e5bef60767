"""The plots of the interpretability chapter: maps over pictures, and scores of words.

Knows finished maps and numbers; computes none. Matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def map_grid(
    images: Tensor,
    maps: Mapping[str, Tensor],
    titles: Sequence[str] = (),
    masks: Tensor | None = None,
    size: float = 1.15,
) -> Figure:
    """A row for each picture: itself, then a column for each method.

    A map without negative numbers goes from white to red, one with a sign from blue to red; each is
    scaled by its own largest size.

    Args:
        images: (B, 3, H, W) float in [0, 1].
        maps: (B, H, W) by the name of the method.
        titles: one for each picture, or none.
        masks: (B, H, W) bool, outlined on every map.
    """
    import matplotlib.pyplot as plt

    rows, columns = len(images), 1 + len(maps)
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, size * rows + 0.4), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for row, (line, image) in enumerate(zip(axes, images, strict=True)):
        line[0].imshow(image.clamp(0, 1).permute(1, 2, 0).numpy())
        if titles:
            line[0].set_title(titles[row], fontsize=8, wrap=True)
        for axis, (name, found) in zip(line[1:], maps.items(), strict=True):
            _map(axis, found[row])
            if masks is not None and masks[row].any():
                axis.contour(masks[row].float().numpy(), [0.5], colors="black", linewidths=0.8)
            if not row:
                axis.set_title(name.replace(" ", "\n", 1), fontsize=9)
    for axis in axes.flat:
        axis.axis("off")
    plt.close(figure)
    return figure


def part_scores(groups: Mapping[str, tuple[Sequence[str], Tensor]], label: str) -> Figure:
    """Bars side by side: for each title the names of the parts and their scores (n,)."""
    import matplotlib.pyplot as plt

    longest = max(len(names) for names, _ in groups.values())
    figure, axes = plt.subplots(
        1, len(groups), figsize=(3.1 * len(groups), 0.28 * longest + 0.9), squeeze=False,
        layout="constrained",
    )  # fmt: skip
    for axis, (title, (names, scores)) in zip(axes[0], groups.items(), strict=True):
        values = scores.tolist()
        colours = ["C3" if value > 0 else "C0" for value in values]
        axis.barh(range(len(values)), values, color=colours)
        axis.set_yticks(range(len(values)), names, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=9)
        axis.set_xlabel(label, fontsize=8)
    plt.close(figure)
    return figure


def feature_maps(maps: Tensor, columns: int = 8, size: float = 0.9) -> Figure:
    """Channels (C, h, w) of one layer, each scaled by its own range."""
    import matplotlib.pyplot as plt

    rows = -(-len(maps) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(size * columns, size * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for axis, channel in zip(axes.flat, maps, strict=False):
        axis.imshow(channel.detach().numpy(), cmap="viridis")
    plt.close(figure)
    return figure


def _map(axis: Axes, values: Tensor) -> None:
    values = values.detach()
    peak = values.abs().max().item() or 1.0
    if values.min() < 0:
        axis.imshow(values.numpy(), cmap="RdBu_r", vmin=-peak, vmax=peak)
    else:
        axis.imshow(values.numpy(), cmap="Reds", vmin=0, vmax=peak)
