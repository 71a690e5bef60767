"""Drawings show the boxes and arrows they were given, and refuse what cannot be drawn."""

import pytest
import torch

from mmtutor.notebook import diagrams

COLUMNS = (("picture", "text"), ("join",))


def texts(figure) -> list[str]:
    return [text.get_text().replace("\n", " ") for ax in figure.axes for text in ax.texts]


def test_every_box_is_drawn_and_every_wrong_arrow_is_crossed_out():
    figure = diagrams.flow(COLUMNS, [("picture", "join")], wrong=[("text", "join")])
    assert {"picture", "text", "join"} <= set(texts(figure))
    (cross,) = figure.axes[0].lines
    assert cross.get_marker() == "x"
    assert len(figure.axes[0].patches) == 3


def test_a_box_has_one_name_and_an_arrow_two_boxes():
    with pytest.raises(ValueError, match="two boxes are called 'text'"):
        diagrams.flow((("text",), ("text",)), ())
    with pytest.raises(ValueError, match="not drawn: 'sound'"):
        diagrams.flow(COLUMNS, [("sound", "join")])


def test_the_common_architecture_ends_in_one_output():
    assert texts(diagrams.architecture()).count("output") == 1


def test_the_panels_cross_out_six_arrows_and_name_three_places():
    crosses = [line for ax in diagrams.article_arrows().axes for line in ax.lines]
    assert len(crosses) == 6
    assert [ax.get_title("left") for ax in diagrams.fusion_places().axes] == [
        "early",
        "middle",
        "late",
    ]


def test_the_match_table_says_yes_on_its_diagonal_only():
    figure = diagrams.match_table(torch.rand(2, 3, 8, 8), ["a", "b"])
    assert [ax.get_xlabel() for ax in figure.axes] == ["yes", "no", "no", "yes"]
    with pytest.raises(ValueError, match="as many captions as pictures, got 1 and 2"):
        diagrams.match_table(torch.rand(2, 3, 8, 8), ["a"])


def test_a_waveform_is_cut_to_its_first_milliseconds():
    (line,) = diagrams.waveform(torch.zeros(1000), rate=1000, milliseconds=20).axes[0].lines
    assert len(line.get_xdata()) == 20
