"""Pictures of joint learning: scores by task, fronts, gradients and their course.

Knows finished numbers; computes no result. Matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Scores = Mapping[str, Mapping[str, Sequence[float]]]


def score_dots(scores: Scores, chance: Mapping[str, float] | None = None) -> Figure:
    """A panel for each column of scores: way -> column -> a number in [0, 1] for each seed."""
    import matplotlib.pyplot as plt

    columns = list(dict.fromkeys(name for row in scores.values() for name in row))
    size = (3.2 * len(columns), 0.9 + 0.34 * len(scores))
    figure, axes = plt.subplots(
        1, len(columns), figsize=size, sharey=True, squeeze=False, layout="constrained"
    )
    ways = list(scores)[::-1]  # the first on top
    for axis, name in zip(axes[0], columns, strict=True):
        for row, way in enumerate(ways):
            values = scores[way].get(name, [])
            axis.plot(values, [row] * len(values), "o", color="C0", alpha=0.5)
            if values:
                axis.plot(sum(values) / len(values), row, "|", color="C3", ms=16, mew=2.5)
        if chance:
            axis.axvline(chance[name], color="0.5", linestyle=":")
        axis.set(title=name, xlabel="accuracy", xlim=(-0.03, 1.03))
        axis.set_yticks(range(len(ways)), ways)
        axis.set_ylim(-0.5, len(ways) - 0.5)
    plt.close(figure)
    return figure


def courses(lines: Mapping[str, Sequence[Sequence[float]]], label: str) -> Figure:
    """One colour for each name: a thin line for each seed and a thick one for their mean."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    for k, (name, runs) in enumerate(lines.items()):
        epochs = range(1, len(runs[0]) + 1)
        for run in runs:
            axis.plot(epochs, run, color=f"C{k}", alpha=0.3, linewidth=1)
        mean = [sum(values) / len(runs) for values in zip(*runs, strict=True)]
        axis.plot(epochs, mean, color=f"C{k}", label=name)
    axis.axhline(0, color="0.5", linewidth=1)
    axis.set(xlabel="epoch", ylabel=label)
    axis.legend()
    plt.close(figure)
    return figure


def fronts(possible: Mapping[str, Tensor], trained: Mapping[str, Tensor]) -> Figure:
    """What can be reached, as lines, and what training with fixed weights reached, as dots.

    Args:
        possible: name -> (N, 2) shares explained of task A and of task B.
        trained: the same names -> (M, 2).
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    for k, (name, line) in enumerate(possible.items()):
        axis.plot(*line.T.numpy(), color=f"C{k}", label=name, alpha=0.6)
        axis.plot(*trained[name].T.numpy(), "o", color=f"C{k}")
    axis.set(xlabel="explained of task A", ylabel="explained of task B", aspect="equal")
    axis.legend(loc="lower left")
    plt.close(figure)
    return figure


def band(x: Sequence[float], middle: Tensor, low: Tensor, high: Tensor, **labels: str) -> Figure:
    """A line with its interval, and zero: all (N,); `labels` go to the axes."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    axis.fill_between(x, low.numpy(), high.numpy(), alpha=0.25)
    axis.plot(x, middle.numpy())
    axis.axhline(0, color="0.3", linewidth=1)
    axis.set(**labels)
    plt.close(figure)
    return figure


def arrows(panels: Mapping[str, Mapping[str, Tensor]]) -> Figure:
    """Vectors (2,) from the origin: title -> name -> vector, a panel for each title."""
    import matplotlib.pyplot as plt

    size = (3.3 * len(panels), 3.2)
    figure, axes = plt.subplots(1, len(panels), figsize=size, squeeze=False, layout="constrained")
    for axis, (title, vectors) in zip(axes[0], panels.items(), strict=True):
        for k, (name, vector) in enumerate(vectors.items()):
            axis.annotate(
                "",
                xy=vector.tolist(),
                xytext=(0, 0),
                arrowprops={"arrowstyle": "-|>", "color": f"C{k}", "lw": 2},
            )
            axis.text(*(1.12 * vector).tolist(), name, color=f"C{k}", ha="center", va="center")
        axis.set(title=title, xlim=(-1.8, 2.6), ylim=(-0.6, 2.6), aspect="equal")
    plt.close(figure)
    return figure
