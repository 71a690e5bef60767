"""Empty axes in rows, and images as Matplotlib and Pillow want them: what the others draw on."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, uint8

from mmtutor import checks

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

    checks.at_least(1, count=count)
    checks.at_least(0, columns=columns)
    columns = min(columns or count, count)
    rows = -(-count // columns)
    options = {"layout": "constrained", "figsize": (size[0] * columns, size[1] * rows)} | options
    figure, axes = plt.subplots(rows, columns, squeeze=False, **options)
    for axis in axes.flat[count:]:
        axis.remove()
    plt.close(figure)
    return figure, list(axes.flat[:count])


def as_labels(**argument: Any) -> list:
    """The argument, given by name, as a list; TypeError for a string, which is one label."""
    [(name, value)] = argument.items()
    value = list(value) if isinstance(value, Mapping | Set) else value
    return checks.listed(object, **{name: value})


def as_numbers(**argument: Any) -> Tensor:
    """The argument, given by name, as a tensor on the CPU; TypeError for what holds no numbers."""
    [(name, value)] = argument.items()
    try:
        numbers = torch.as_tensor(value).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        numbers = None
    if numbers is None or numbers.is_complex():
        came = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"{name} must be real numbers, got {came}")
    return numbers


def pixels(image: Tensor, stretch: bool = False) -> np.ndarray:
    """An image as bytes (H, W, 3).

    Args:
        image: (3, H, W), or grey (H, W); uint8, or float in [0, 1].
        stretch: scale it first, from its own smallest number (black) to its largest (white).

    Raises ValueError for numbers that are far outside, as those of a float image in 0..255.
    """
    checks.shaped(image=(image, "3 H W | H W"))
    checks.finite(image=image)
    image = image.detach().cpu()
    if stretch:
        image = image.float() - image.min()
        image = image / image.max().clamp(min=1e-12)
    if image.dtype != uint8:
        low, high = (bound.item() for bound in image.aminmax())
        if low < -1 or high > 2:
            raise ValueError(f"image must be uint8 or in [0, 1], got from {low:g} to {high:g}")
        image = (image.clamp(0, 1) * 255).round().to(uint8)
    return image.expand(3, *image.shape[-2:]).permute(1, 2, 0).numpy()
