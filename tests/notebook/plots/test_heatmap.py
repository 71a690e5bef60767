"""Matrices are drawn as they are, with their names and numbers."""

import pytest
import torch
from matplotlib.colors import to_rgb

from mmtutor.notebook import heatmap
from mmtutor.notebook.plots import arithmetic, spectrograms


def test_the_heatmap_names_rows_and_columns():
    axis, bar = heatmap(torch.eye(2), ["q1", "q2"], ["g1", "g2"], "cosine").axes
    assert [label.get_text() for label in axis.get_yticklabels()] == ["q1", "q2"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["g1", "g2"]
    assert axis.images[0].get_array().tolist() == torch.eye(2).tolist()
    assert bar.get_ylabel() == "cosine"
    with pytest.raises(ValueError, match="got 2 names for 3 rows"):
        heatmap(torch.eye(3), ["a", "b"])
    with pytest.raises(ValueError, match="got 1 names for 3 columns"):
        heatmap(torch.eye(3), columns=["a"])


def test_several_matrices_stand_under_their_titles():
    weights = {"head 1": torch.eye(3), "head 2": torch.ones(3, 3)}
    axes = heatmap(weights, list("abc"), list("abc"), vmin=0, vmax=1).axes
    assert [axis.get_title() for axis in axes] == ["head 1", "head 2"]
    assert [label.get_text() for label in axes[1].get_xticklabels()] == ["a", "b", "c"]
    assert axes[1].images[0].get_array().tolist() == torch.ones(3, 3).tolist()
    assert [axis.images[0].get_clim() for axis in axes] == [(0, 1)] * 2


def test_without_limits_every_matrix_has_its_own_scale():
    axes = heatmap({"a": torch.tensor([[0.0, 1.0]]), "b": torch.tensor([[5.0, 9.0]])}).axes
    assert [axis.images[0].get_clim() for axis in axes] == [(0, 1), (5, 9)]


@pytest.mark.parametrize("cmap", ["viridis", "viridis_r", "Blues", "RdBu_r", "coolwarm"])
def test_numbers_in_cells_can_be_read(cmap):
    (axis,) = heatmap(torch.linspace(0, 1, 9)[None], text="{:.3g}", cmap=cmap).axes
    assert [text.get_text() for text in axis.texts][:3] == ["0", "0.125", "0.25"]
    drawn = axis.images[0]
    for text, value in zip(axis.texts, drawn.get_array()[0], strict=True):
        pair = [luminance(c) for c in (to_rgb(text.get_color()), drawn.cmap(drawn.norm(value)))]
        assert (max(pair) + 0.05) / (min(pair) + 0.05) > 3  # WCAG's bound for large text


def luminance(colour):
    """Relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_given_texts_go_into_their_cells():
    (axis,) = heatmap(torch.tensor([[1.0, 2.0]]), text=[["0.5 (1st)", "0.2 (2nd)"]]).axes
    assert [(text.get_text(), text.get_position()) for text in axis.texts] == [
        ("0.5 (1st)", (0, 0)),
        ("0.2 (2nd)", (1, 0)),
    ]


def test_spectrograms_show_what_they_are_given():
    low, high = torch.zeros(5, 7), torch.ones(5, 9)
    figure = spectrograms({"low": low, "high": high, "x": low}, 80.0, {"low": 1, "high": 2, "x": 3})
    images = [axis.get_images()[0] for axis in figure.axes if axis.get_images()]
    assert [tuple(image.get_array().shape) for image in images] == [(5, 7), (5, 9), (5, 7)]
    assert [image.get_extent() for image in images] == [[0, n, 0, 80] for n in (1, 2, 3)]
    assert images[0].origin == "lower"


def test_arithmetic_shows_every_number_and_sign():
    figure = arithmetic(("x", torch.tensor([1.0, 2.5])), "+", ("y", torch.eye(2)))
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert texts == ["1", "2.5", "+", "1", "0", "0", "1"]
    assert [axis.get_title() for axis in figure.axes] == ["x", "", "y"]
