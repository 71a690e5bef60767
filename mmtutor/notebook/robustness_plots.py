"""The plots of the robustness chapter: spoiled and attacked pictures, loss surfaces, groups.

Knows finished pictures and numbers; computes none. Matplotlib is imported where it is used. Curves
with bands are `plots.curves`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from mmtutor.evaluation.robustness.curves import Trend
    from mmtutor.evaluation.statistics.intervals import Interval


def picture_rows(
    rows: Mapping[str, Sequence[Tensor]], columns: Sequence[str] = (), size: float = 0.9
) -> Figure:
    """Rows of pictures with a name before each row and, if given, over each column.

    Args:
        rows: pictures (3, H, W), uint8 or float in [0, 1], by the name of their row.
        size: width of a picture in inches.
    """
    import matplotlib.pyplot as plt

    count = max(map(len, rows.values()))
    figure, axes = plt.subplots(
        len(rows),
        count,
        figsize=(count * size + 1.2, len(rows) * size + 0.3),
        squeeze=False,
        layout="constrained",
    )
    for line, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis in line:
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_frame_on(False)
        for axis, picture in zip(line, pictures, strict=False):
            axis.imshow(_pixels(picture))
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
    for axis, title in zip(axes[0], columns, strict=False):
        axis.set_title(title, fontsize=8)
    plt.close(figure)
    return figure


def attacked_pictures(
    clean: Tensor, attacked: Tensor, said: Sequence[str], says: Sequence[str], magnify: float = 10
) -> Figure:
    """Pictures (N, 3, H, W) before and after, and the change between them, made visible.

    Args:
        clean, attacked: float in [0, 1].
        said, says: N answers before and after.
        magnify: factor on the change, which is shown around grey.
    """
    change = 0.5 + magnify * (attacked - clean)
    titles = [f"{one}\n→ {other}" for one, other in zip(said, says, strict=True)]
    rows = {
        "picture": list(clean),
        f"change × {magnify:g}": list(change.clamp(0, 1)),
        "attacked": list(attacked),
    }
    return picture_rows(rows, titles)


def loss_surfaces(surfaces: Mapping[str, Tensor], radius: float) -> Figure:
    """Loss (S, S) around an example, two panels a row: the gradient goes up, a random way right.

    Every panel has colours of its own, from its lowest to its highest loss.
    """
    import matplotlib.pyplot as plt

    rows = -(-len(surfaces) // 2)
    figure, axes = plt.subplots(
        rows, 2, figsize=(6.4, 2.6 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(surfaces) :]:
        axis.axis("off")
    reach = 255 * radius
    for axis, (name, surface) in zip(axes.flat, surfaces.items(), strict=False):
        drawn = axis.imshow(
            surface.numpy(), origin="lower", extent=(-reach, reach, -reach, reach), aspect="auto"
        )
        axis.set_title(name, fontsize=10)
        axis.grid(False)
        axis.tick_params(labelsize=8)
        figure.colorbar(drawn, label="loss").ax.tick_params(labelsize=8)
    for axis in axes[-1]:
        axis.set_xlabel("random signs / 255", fontsize=9)
    for axis in axes[:, 0]:
        axis.set_ylabel("gradient's signs / 255", fontsize=9)
    plt.close(figure)
    return figure


def grouped_bars(scores: Mapping[str, Mapping[str, Interval]], ylabel: str = "accuracy") -> Figure:
    """Scores with intervals: scores[way][group], a cluster of bars for each group.

    A legend names the ways, where there is more than one.
    """
    import matplotlib.pyplot as plt

    groups = list(next(iter(scores.values())))
    width = 0.8 / len(scores)
    figure, axis = plt.subplots(figsize=(1.2 + 1.3 * len(groups), 3.2), layout="constrained")
    for number, (way, by_group) in enumerate(scores.items()):
        x = torch.arange(len(groups)) + (number - (len(scores) - 1) / 2) * width
        points = [by_group[group] for group in groups]
        height = [p.estimate for p in points]
        ends = [[max(0.0, p.estimate - p.low) for p in points],
                [max(0.0, p.high - p.estimate) for p in points]]  # fmt: skip
        axis.bar(x.tolist(), height, width, yerr=ends, label=way, error_kw={"elinewidth": 1})
    axis.set_xticks(range(len(groups)), groups)
    axis.set(ylabel=ylabel, ylim=(0, 1))
    if len(scores) > 1:
        axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    plt.close(figure)
    return figure


def under_shift(
    points: Mapping[str, tuple[float, float]],
    special: Mapping[str, tuple[float, float]],
    ordinary: Trend,
) -> Figure:
    """Accuracy under shift over accuracy without, and the line that ordinary models keep to.

    Args:
        points: (without, under shift) of ordinary models, by name.
        special: the same of models that claim to be more robust.
    """
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(4.8, 3.6), layout="constrained")
    everyone = [x for x, _ in (*points.values(), *special.values())]
    line = torch.linspace(min(everyone) - 0.02, max(everyone) + 0.02, 50, dtype=torch.float64)
    axis.plot(line, ordinary.expected(line), color="grey", lw=1, label="ordinary models")
    for marker, group in (("o", points), ("*", special)):
        for name, (x, y) in group.items():
            axis.plot(x, y, marker, ms=5 if marker == "o" else 11, label=name)
    axis.set(xlabel="accuracy without shift", ylabel="accuracy under shift")
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    plt.close(figure)
    return figure


def _pixels(picture: Tensor):
    """(3, H, W), uint8 or float in [0, 1] -> what Matplotlib draws: NumPy (H, W, 3)."""
    whole = picture if picture.dtype == torch.uint8 else (picture.clamp(0, 1) * 255).round().byte()
    return whole.permute(1, 2, 0).numpy()
