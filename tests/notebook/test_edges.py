"""What cannot be drawn, shown or checked is refused in a sentence, where it was silent before."""

import numpy as np
import pytest
import torch

from mmtutor.notebook import curves, fails, gallery, image_grid, table
from mmtutor.notebook.plots import learning_curve, map_grid, pieces_in_boxes, players
from mmtutor.notebook.setup import default_preset
from mmtutor.training import History

PICTURE = torch.rand(3, 4, 4)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: image_grid([255 * PICTURE + 9]), r"image must be uint8 or in \[0, 1\]"),
        (lambda: image_grid([PICTURE * float("nan")]), "image must be finite"),
        (lambda: gallery([PICTURE.permute(1, 2, 0)]), r"image must be \(3, H, W\)"),
        (lambda: image_grid([PICTURE] * 2, "ab"), "titles must be a list"),
        (lambda: curves([1, 2, 3], {"a": [0.5]}, "x", "y"), "'a' has 1 numbers for 3 of x"),
        (lambda: curves([1, 2], {"a": "bc"}, "x", "y"), "line must be real numbers"),
        (lambda: curves([1, 2], {"a": [1, 2]}, "x", "y", log="z"), "log must be"),
        (lambda: learning_curve(History(loss=[1.0]), smooth=1.0), r"smooth must be in \[0, 1\)"),
        (lambda: players({"a": torch.zeros(9, dtype=torch.int16)}), "floating-point tensor"),
        (lambda: players({"a": torch.zeros(2, 900)}), r"must be \(T,\)"),
        (lambda: pieces_in_boxes({"a": "the cat"}), "must be a list"),
        (lambda: table(["ab", "cd"], ["x", "y"]), "rows must be a list"),
        (
            lambda: map_grid(PICTURE[None], {"a": torch.zeros(1, 4, 5)}),
            r"maps\['a'\] must be \(B, H, W\)",
        ),
        (lambda: fails(3), "call must be a Callable"),
    ],
)
def test_it_is_refused(call, said):
    with pytest.raises((TypeError, ValueError), match=said):
        call()


def test_arrays_and_one_number_are_drawn():
    figure = curves(
        np.arange(3), {"a": np.ones(3), "b": 0.5, "c": [[1, 2], [3, 4], [5, 6]]}, "", ""
    )
    assert list(figure.axes[0].lines[1].get_ydata()) == [0.5] * 3


def test_a_preset_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("MMTUTOR_PRESET", "huge")
    with pytest.raises(ValueError, match=r"\$MMTUTOR_PRESET must be 'tiny', 'cpu'"):
        default_preset()
