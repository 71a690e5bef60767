"""Empty axes in rows, and pictures as Matplotlib and Pillow want them: what the others draw on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, uint8

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def panels(
    count: int, columns: int = 0, size: tuple[float, float] = (6.4, 3.6), **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` axes in rows. It is closed: a cell shows it by ending with its name.

    Args:
        columns: axes in a row; all in one row if 0.
        size: width and height of each, in inches.
        options: what else `matplotlib.pyplot.subplots` takes.

    Raises:
        ValueError: `count` is 0.
    """
    import matplotlib.pyplot as plt

    if count < 1:
        raise ValueError("there is nothing to draw: count is 0, expected at least 1")
    columns = min(columns or count, count)
    rows = -(-count // columns)
    options = {"layout": "constrained", "figsize": (size[0] * columns, size[1] * rows)} | options
    figure, axes = plt.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.flat[count:]:
        axis.remove()
    plt.close(figure)
    return figure, list(axes.flat[:count])


def pixels(picture: Tensor, stretch: bool = False) -> np.ndarray:
    """A picture as bytes (H, W, 3).

    Args:
        picture: (3, H, W), or grey (H, W); uint8, or float in [0, 1].
        stretch: scale it first, from its own smallest number (black) to its largest (white).
    """
    picture = picture.detach().cpu()
    if stretch:
        picture = picture.float() - picture.min()
        picture = picture / picture.max().clamp(min=1e-12)
    if picture.dtype != uint8:
        picture = (picture.clamp(0, 1) * 255).round().to(uint8)
    return picture.expand(3, *picture.shape[-2:]).permute(1, 2, 0).numpy()
