"""Numbers along an axis: curves with bands or repetitions, learning curves, many small curves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.evaluation.statistics.bootstrap import Interval
from mmtutor.notebook.plots.panels import as_labels, as_numbers, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from mmtutor.training import History

COLOURS = 8  # in the cycle of book.mplstyle; more lines than that are dashed


def curves(
    x: Sequence[float] | Tensor,
    lines: Mapping[Any, float | Sequence[float] | Sequence[Interval] | Tensor],
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
        lines: by the name in the legend. N numbers; one number, the same everywhere; N `Interval`s,
            the estimates in a band; or (N, R) repetitions, their mean over each of them pale.
        log: the axes with a logarithmic scale: "", "x", "y" or "xy".
        dashed: names of lines that are a reference: thin, dashed and grey.
        marker: Matplotlib's sign for the points themselves, where they are few; a logarithmic axis
            then names each of them.
    """
    checks.one_of(("", "x", "y", "xy"), log=log)
    as_labels(dashed=dashed)
    x = as_numbers(x=x)
    checks.shaped(x=(x, "N"))
    figure, (axis,) = panels(1)
    for number, (name, values) in enumerate(lines.items()):
        style = {"color": f"C{number}", "marker": marker, "label": name}
        if number >= COLOURS:
            style["ls"] = "--"
        if name in dashed:
            style |= {"color": "0.4", "ls": "--", "lw": 1.2, "marker": ""}
        _line(axis, x, values, style)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.set(**{f"{letter}scale": "log" for letter in log})
    if marker and "x" in log and len(x) <= 8:
        axis.set_xticks(x.tolist(), [f"{place:,.6g}" for place in x.tolist()])
        axis.set_xticks([], minor=True)
    if "x" not in log and len(x) > 2 and (x == x.round()).all():
        axis.xaxis.get_major_locator().set_params(integer=True)
    if legend:
        _legend(axis, len(lines))
    return figure


def learning_curve(history: History | Mapping[str, History], smooth: float = 0.9) -> Figure:
    """Training loss of every step, pale, and its running mean.

    Args:
        history: what `fit` returned; of several runs, by their names.
        smooth: weight of the past in the running mean, in [0, 1).
    """
    checks.within("[0, 1)", smooth=smooth)
    runs = history if isinstance(history, Mapping) else {"": history}
    figure, (axis,) = panels(1)
    for number, (name, run) in enumerate(runs.items()):
        steps, colour = range(1, len(run.loss) + 1), f"C{number}"
        axis.plot(steps, run.loss, alpha=0.3 / len(runs), color=colour)
        axis.plot(steps, _running_mean(run.loss, smooth), color=colour, label=name)
    axis.set(xlabel="optimiser step", ylabel="training loss")
    if len(runs) > 1:
        _legend(axis, len(runs))
    return figure


def small_multiples(
    lines: Mapping[str, Sequence[float] | Tensor],
    xlabel: str,
    ylabel: str,
    step: float = 1.0,
    columns: int = 0,
    size: tuple[float, float] = (2.4, 2.2),
) -> Figure:
    """Every curve in a panel of its own, with its own scale: for shapes that are to be compared.

    The scale of what is never negative begins at 0.

    Args:
        lines: title -> numbers that stand `step` apart, from 0.
        columns: panels in a row; all in one row if 0.
        size: width and height of a panel in inches.
    """
    checks.within("(0, inf)", step=step)
    figure, axes = panels(len(lines), columns, size)
    for axis, (title, values) in zip(axes, lines.items(), strict=True):
        values = as_numbers(lines=values)
        axis.plot(torch.arange(len(values)) * step, values, lw=1)
        axis.set_title(title, loc="left")
        if values.min() >= 0:
            axis.set_ylim(bottom=0)
    figure.supxlabel(xlabel, fontsize="medium")
    figure.supylabel(ylabel, fontsize="medium")
    return figure


def _line(axis: Axes, x: Tensor, values: Any, style: dict[str, Any]) -> None:
    if isinstance(values, Sequence) and isinstance(values[0], Interval):
        values, low, high = torch.tensor(values).T
        axis.fill_between(x, low, high, alpha=0.15, color=style["color"], lw=0)
    values = as_numbers(line=values).float()
    if values.ndim and len(values) != len(x):
        raise ValueError(f"line {style['label']!r} has {len(values)} numbers for {len(x)} of x")
    if values.ndim == 2:
        each = {"marker": "o", "ls": "", "ms": 5} if style["marker"] else {"lw": 1}
        axis.plot(x, values, color=style["color"], alpha=0.4, **each)
        style = style | {"marker": ""}
        values = values.mean(1)
    axis.plot(x, values.expand(len(x)), **style)


def _legend(axis: Axes, lines: int) -> None:
    """Inside where it is small, beside the axis where it is not."""
    beside = {"loc": "center left", "bbox_to_anchor": (1, 0.5)} if lines > 5 else {}
    axis.legend(fontsize="small", **beside)


def _running_mean(values: Sequence[float], weight: float) -> np.ndarray:
    """Exponential mean, corrected for its start."""
    from scipy.signal import lfilter

    return lfilter([1 - weight], [1, -weight], values) / (
        1 - weight ** np.arange(1, len(values) + 1)
    )
