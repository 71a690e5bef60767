import matplotlib as mpl
import torch

from mmtutor.evaluation import Interval
from mmtutor.evaluation.robustness.curves import Trend
from mmtutor.notebook.robustness_plots import (
    attacked_pictures,
    grouped_bars,
    loss_surfaces,
    picture_rows,
    under_shift,
)

mpl.use("Agg")


def test_the_change_is_shown_around_grey_and_magnified():
    clean = torch.full((2, 3, 4, 4), 0.5)
    attacked = clean + torch.tensor([0.02, -0.02]).view(2, 1, 1, 1)
    figure = attacked_pictures(clean, attacked, ["a", "b"], ["b", "b"], magnify=10)
    axes = figure.axes
    assert [a.get_title() for a in axes[:2]] == ["a\n→ b", "b\n→ b"]
    shown = [axes[2 + k].images[0].get_array()[0, 0, 0] for k in range(2)]
    assert [int(x) for x in shown] == [178, 76]  # 0.5 +- 0.2 of 255, rounded
    assert axes[2].get_ylabel() == "change × 10"


def test_rows_may_be_of_unequal_length():
    pictures = list(torch.zeros(3, 3, 4, 4, dtype=torch.uint8))
    figure = picture_rows({"one": pictures, "two": pictures[:1]}, ["a", "b", "c"])
    assert [bool(axis.images) for axis in figure.axes] == [True] * 4 + [False] * 2


def test_surfaces_bars_and_shift_are_drawn():
    figure = loss_surfaces({"a": torch.rand(5, 5), "b": torch.zeros(5, 5)}, 0.1)
    assert [axis.get_title() for axis in figure.axes[:2]] == ["a", "b"]
    scores = {
        way: {"many": Interval(0.9, 0.8, 1.0), "few": Interval(0.5, 0.5, 0.6)}
        for way in ("before", "after")
    }
    axis = grouped_bars(scores).axes[0]
    assert len(axis.patches) == 4
    assert [t.get_text() for t in axis.get_xticklabels()] == ["many", "few"]
    points = {"small": (0.7, 0.4), "large": (0.9, 0.7)}
    axis = under_shift(points, {"noise": (0.8, 0.7)}, Trend(1.0, -1.0)).axes[0]
    assert len(axis.lines) == 4
