"""Matrices as colours: scores, attention, spectrograms, and arithmetic with small matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mmtutor import checks
from mmtutor.notebook.plots.panels import as_numbers, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage


def heatmap(
    values: Tensor | Mapping[str, Tensor],
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    label: str = "",
    text: str | Sequence[Sequence[Any]] = "",
    per_row: int = 0,
    size: tuple[float, float] | None = None,
    **options: Any,
) -> Figure:
    """Matrices as colours, each on a scale of its own unless `vmin` and `vmax` are given.

    Args:
        values: (H, W), or several by their titles.
        rows, columns: names of the rows and of the columns, or none.
        label: what the colours mean; draws the scale beside each.
        text: what to write into the cells: a format such as "{:.2f}", or the texts (H, W).
        per_row: matrices in a row; all in one row if 0.
        size: width and height of each in inches.
        options: what else `matplotlib.pyplot.imshow` takes.

    Raises:
        ValueError: there are not as many names as rows or columns.
    """
    named = values if isinstance(values, Mapping) else {"": values}
    several = len(named) > 1
    figure, axes = panels(len(named), per_row, size or ((3.2, 3.2) if several else (6.4, 3.6)))
    for place, (axis, (title, matrix)) in enumerate(zip(axes, named.items(), strict=True)):
        matrix = as_numbers(values=matrix).float()
        checks.shaped(values=(matrix, "H W"))
        _require_names(matrix, rows, columns)
        drawn = axis.imshow(matrix.numpy(), **options)
        axis.grid(False)
        if text:
            axis.set(xticks=[], yticks=[])
            _write(axis, drawn, matrix, text)
        _name_cells(axis, rows, columns, named=place % (per_row or len(named)) == 0)
        axis.set_title(title)
        if label:
            figure.colorbar(drawn, label=label)
    return figure


def spectrograms(
    power: Mapping[str, Tensor],
    top: float | Mapping[str, float],
    seconds: float | Mapping[str, float],
    label: str = "frequency (Hz)",
    **options: Any,
) -> Figure:
    """Sounds as spectrograms, two in a row, with time to the right and frequency upwards.

    Args:
        power: title -> (bins, N), already a logarithm.
        top: what the highest bin stands for, of all or of each.
        seconds: how long the sound is, of all or of each.
        label: of the upright axis.
        options: what else `matplotlib.pyplot.imshow` takes.
    """
    figure, axes = panels(len(power), 2, (3.4, 2.3))
    style = {"origin": "lower", "aspect": "auto", "cmap": "magma"} | options
    for axis, (title, image) in zip(axes, power.items(), strict=True):
        checks.shaped(power=(image, "F N"))
        axis.imshow(
            as_numbers(power=image).numpy(),
            extent=(0, _of(seconds, title), 0, _of(top, title)),
            **style,
        )
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("seconds", fontsize=8)
        axis.set_ylabel(label, fontsize=8)
        axis.grid(False)
    return figure


def arithmetic(*parts: str | tuple[str, Tensor]) -> Figure:
    """A computation in pictures: named vectors or matrices as coloured cells, signs between them.

    Args:
        parts: signs such as "+", and (name, values) pairs, values (D,) or (H, W); a vector stands
            upright.
    """
    for part in parts:
        if not isinstance(part, str):
            name, values = part
            checks.shaped(**{name: (values, "D | H W")})
            checks.finite(**{name: values})
    grids = {
        place: part[1].detach().float().reshape(len(part[1]), -1)
        for place, part in enumerate(parts)
        if not isinstance(part, str)
    }
    widths = [
        grids[place].shape[1] + 0.3 if place in grids else 0.35 + 0.2 * len(part)
        for place, part in enumerate(parts)
    ]
    size = (0.62 * sum(widths), 0.5 * max(map(len, grids.values())) + 0.5)
    figure, axes = panels(len(parts), figsize=size, width_ratios=widths, layout=None)
    peak = 1.6 * max(grid.abs().max().item() for grid in grids.values())
    for place, (axis, part) in enumerate(zip(axes, parts, strict=True)):
        axis.axis("off")
        if place not in grids:
            axis.text(0.5, 0.5, part, ha="center", va="center", fontsize=13)
            continue
        drawn = axis.imshow(grids[place].numpy(), cmap="RdBu_r", vmin=-peak, vmax=peak)
        _write(axis, drawn, grids[place], "{:.3g}")
        axis.set_title(part[0], fontsize=10)
    return figure


def _require_names(matrix: Tensor, rows: Sequence[str], columns: Sequence[str]) -> None:
    for names, length, what in ((rows, len(matrix), "rows"), (columns, matrix.shape[1], "columns")):
        if len(names) not in (0, length):
            raise ValueError(f"got {len(names)} names for {length} {what}")


def _name_cells(axis: Axes, rows: Sequence[str], columns: Sequence[str], named: bool) -> None:
    """The rows have their names only where the axis stands at the left."""
    if len(rows):
        axis.set_yticks(range(len(rows)), rows if named else [""] * len(rows))
    if len(columns):
        slanted = sum(map(len, columns)) > 40 or len(columns) > 6
        turn = {"rotation": 45, "ha": "right"} if slanted else {}
        axis.set_xticks(range(len(columns)), columns, **turn)


def _write(axis: Axes, drawn: AxesImage, matrix: Tensor, text: Any) -> None:
    """The texts into their cells, black on bright colours and white on dark ones."""
    for y, row in enumerate(matrix.tolist()):
        for x, value in enumerate(row):
            red, green, blue, _ = drawn.cmap(drawn.norm(value))
            bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.5
            written = text.format(value) if isinstance(text, str) else text[y][x]
            style = {"color": "black" if bright else "white", "fontsize": 9}
            axis.text(x, y, written, ha="center", va="center", **style)


def _of(value: float | Mapping[str, float], title: str) -> float:
    return value[title] if isinstance(value, Mapping) else value
