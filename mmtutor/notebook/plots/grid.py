"""Images in rows, and maps beside the images that they explain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from mmtutor import checks
from mmtutor.notebook.plots.panels import as_labels, panels, pixels

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def image_grid(
    images: Sequence[Tensor],
    titles: Sequence[str] = (),
    columns: int = 5,
    size: float = 1.6,
    stretch: bool = False,
) -> Figure:
    """Images in rows, each under its title.

    Args:
        images: each (3, H, W) or grey (H, W), uint8 or float in [0, 1].
        titles: one for each image, or none. Chinese needs a font on this machine; where there
            may be none, use `gallery`.
        columns: images in a row.
        size: width of one image in inches.
        stretch: show each from its own smallest number (black) to its largest (white).
    """
    require_titles(images, titles)
    shape = (size, size * (1.25 if titles else 1.0))
    figure, axes = panels(len(images), columns, shape)
    for axis, image in zip(axes, images, strict=True):
        axis.imshow(pixels(image, stretch))
        axis.axis("off")
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(title, fontsize=8, wrap=True)
    return figure


def image_rows(
    rows: Mapping[str, Sequence[Tensor]], titles: Sequence[str] = (), size: float = 0.9
) -> Figure:
    """Rows of images, which may be of unequal length, each after its name.

    Args:
        rows: images as in `image_grid`, by the name of their row.
        titles: over the columns.
        size: width of one image in inches.
    """
    checks.same_length(rows=rows)
    as_labels(titles=titles)
    columns = max(map(len, rows.values()))
    shape = (columns * size + (1.2 if any(rows) else 0), len(rows) * size + 0.3 * bool(titles))
    bare = {"xticks": [], "yticks": [], "frame_on": False}
    figure, axes = panels(len(rows) * columns, columns, figsize=shape, subplot_kw=bare)
    for row, (name, images) in enumerate(rows.items()):
        line = axes[row * columns : (row + 1) * columns]
        for axis, image in zip(line, images, strict=False):
            axis.imshow(pixels(image))
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    for axis, title in zip(axes, titles, strict=False):
        axis.set_title(title, fontsize=8)
    return figure


def map_grid(
    images: Tensor,
    maps: Mapping[str, Tensor],
    titles: Sequence[str] = (),
    masks: Tensor | None = None,
    size: float = 1.15,
) -> Figure:
    """A row for each image: itself, then a column for each method.

    A map without negative numbers goes from white to red, one with a sign from blue to red; each is
    scaled by its own largest size.

    Args:
        images: (B, 3, H, W) float in [0, 1].
        maps: (B, H, W) by the name of the method.
        titles: one for each image, or none.
        masks: (B, H, W) bool, outlined on every map.
    """
    named = {f"maps[{name!r}]": found for name, found in maps.items()}
    shapes = {name: (found, "B H W") for name, found in named.items()}
    checks.shaped(images=(images, "B 3 H W"), masks=(masks, "B H W | None"), **shapes)
    checks.finite(images=images, **named)
    masks = None if masks is None else checks.as_mask(masks=masks)
    require_titles(images, titles)
    rows, columns = len(images), 1 + len(maps)
    shape = (size * columns, size * rows + 0.4)
    figure, axes = panels(rows * columns, columns, figsize=shape)
    for row in range(rows):
        line = axes[row * columns : (row + 1) * columns]
        line[0].imshow(pixels(images[row]))
        if titles:
            line[0].set_title(titles[row], fontsize=8, wrap=True)
        for axis, (name, found) in zip(line[1:], maps.items(), strict=True):
            _map(axis, found[row].detach().cpu().numpy())
            if masks is not None and masks[row].any():
                outlined = masks[row].cpu().float().numpy()
                axis.contour(outlined, [0.5], colors="black", linewidths=0.8)
            if not row:
                axis.set_title(name.replace(" ", "\n", 1), fontsize=9)
    for axis in axes:
        axis.axis("off")
    return figure


def require_titles(images: Sequence[Tensor], titles: Sequence[str]) -> None:
    """Raises ValueError where there are no images, or not as many titles as images."""
    checks.same_length(images=images)
    if as_labels(titles=titles):
        checks.same_length(images=images, titles=titles)


def _map(axis: Axes, values: np.ndarray) -> None:
    peak = abs(values).max() or 1.0
    signed = bool(values.min() < 0)
    axis.imshow(values, cmap="RdBu_r" if signed else "Reds", vmin=-peak if signed else 0, vmax=peak)
