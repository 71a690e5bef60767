"""The plots that several chapters share. Each takes finished numbers and returns what it drew.

Knows tensors, texts and histories; loads nothing and computes no result.
Matplotlib is imported where it is used.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, uint8

from mmtutor.evaluation.statistics.intervals import Interval
from mmtutor.notebook.setup import COLOURS

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mmtutor.training import History


def image_grid(
    images: Sequence[Tensor], titles: Sequence[str] = (), columns: int = 5, size: float = 1.6
) -> Figure:
    """Pictures in rows, each under its title.

    Args:
        images: each (3, H, W), uint8 or float in [0, 1].
        titles: one for each picture, or none. Chinese needs a font on this machine; where there
            may be none, use `gallery`.
        columns: pictures in a row.
        size: width of one picture in inches.
    """
    import matplotlib.pyplot as plt

    _require_titles(images, titles)
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    shape = (columns * size, rows * size * (1.25 if titles else 1.0))
    figure, axes = plt.subplots(rows, columns, figsize=shape, squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.axis("off")
    for axis, image in zip(axes.flat, images, strict=False):
        axis.imshow(_bytes(image))
    for axis, title in zip(axes.flat, titles, strict=False):
        axis.set_title(title, fontsize=8, wrap=True)
    plt.close(figure)
    return figure


def gallery(images: Sequence[Tensor], titles: Sequence[str] = (), size: int = 112) -> HTML:
    """Pictures in rows as HTML, each over its caption in any script: the browser has the fonts.

    Args:
        images: each (3, H, W), uint8 or float in [0, 1].
        titles: one for each picture, or none.
        size: width of one picture in pixels.
    """
    from IPython.display import HTML

    _require_titles(images, titles)
    captions = [html.escape(title) for title in titles] or [""] * len(images)
    cells = [
        f'<figure style="width:{size}px;margin:0;font-size:0.8em;text-align:center">'
        f'<img src="data:image/png;base64,{_png(image)}" alt="{caption or "picture"}" '
        f'style="width:100%;border-radius:4px"><figcaption>{caption}</figcaption></figure>'
        for image, caption in zip(images, captions, strict=True)
    ]
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(cells)}</div>')


def learning_curve(history: History, smooth: float = 0.9) -> Figure:
    """Training loss of every step, pale, and its running mean, with any per-epoch scores beside.

    Args:
        history: what `fit` returned.
        smooth: weight of the past in the running mean, in [0, 1).
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    axis.plot(history.loss, alpha=0.3, color="C0")
    axis.plot(_running_mean(history.loss, smooth), color="C0")
    axis.set(xlabel="optimiser step", ylabel="training loss")
    plt.close(figure)
    return figure


def curves(
    x: Sequence[float] | Tensor,
    lines: Mapping[Any, Sequence[float] | Sequence[Interval] | Tensor],
    xlabel: str,
    ylabel: str,
    log: str = "",
    dashed: Collection[str] = (),
    marker: str = "",
    legend: bool = True,
) -> Figure:
    """Several lines over one axis.

    Args:
        x: (N,) positions.
        lines: by the name in the legend, N values; of `Interval`s, the estimates in a band.
        log: the axes with a logarithmic scale: "", "x", "y" or "xy".
        dashed: names of lines that are a reference: thin, dashed and grey.
        marker: Matplotlib's sign for the points themselves, where they are few.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    x = torch.as_tensor(x)
    for number, (name, values) in enumerate(lines.items()):
        drawn, *band = _bounds(values)
        style = {"color": "0.4", "ls": "--", "lw": 1.2} if name in dashed else {}
        if number >= len(COLOURS):
            style = {"ls": "--"} | style
        axis.plot(x, drawn, marker=marker, label=name, **style)
        if band:
            axis.fill_between(x, *band, alpha=0.15)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.set(**{f"{letter}scale": "log" for letter in log})
    if legend:
        _legend(axis, len(lines))
    plt.close(figure)
    return figure


def similarity_heatmap(
    similarity: Tensor, rows: Sequence[str] = (), columns: Sequence[str] = (), label: str = "cosine"
) -> Figure:
    """A matrix of scores (Q, G) as colours, with optional names of its rows and columns."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    drawn = axis.imshow(similarity.detach().float().cpu().numpy())
    axis.grid(False)
    if rows:
        axis.set_yticks(range(len(rows)), rows)
    if columns:
        axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
    figure.colorbar(drawn, label=label)
    plt.close(figure)
    return figure


def _bounds(values: Sequence[float] | Sequence[Interval] | Tensor) -> list[Tensor]:
    """The values (N,), or the estimates, lower and upper bounds of intervals, (N,) each."""
    if isinstance(values[0], Interval):
        return list(torch.tensor(values).T)
    return [torch.as_tensor(values).detach().float()]


def _legend(axis: Axes, lines: int) -> None:
    """Inside where it is small, beside the axis where it is not."""
    beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if lines > 5 else {}
    axis.legend(fontsize="small", **beside)


def _require_titles(images: Sequence[Tensor], titles: Sequence[str]) -> None:
    if not len(images):
        raise ValueError("there are no images to show")
    if titles and len(titles) != len(images):
        raise ValueError(f"got {len(titles)} titles for {len(images)} images")


def _bytes(image: Tensor):
    """(3, H, W) of uint8 or float in [0, 1] -> NumPy (H, W, 3) of uint8."""
    if image.dtype != uint8:
        image = (image.clamp(0, 1) * 255).round().to(uint8)
    return image.detach().cpu().permute(1, 2, 0).numpy()


def _png(image: Tensor) -> str:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(_bytes(image)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _running_mean(values: Sequence[float], weight: float) -> list[float]:
    """Exponential mean, corrected for its start."""
    mean, result = 0.0, []
    for step, value in enumerate(values, 1):
        mean = weight * mean + (1 - weight) * value
        result.append(mean / (1 - weight**step))
    return result
