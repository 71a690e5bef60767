import pytest
import torch

from mmtutor.notebook.text_plots import attention_map, pieces_in_boxes, position_map


def test_every_piece_gets_a_box_and_any_script_is_kept():
    shown = pieces_in_boxes({"a <b>": ["␣x", " red", "<E7>"], "zh": ["红色"]}).data
    assert shown.count("<span") == 4
    assert "(3)" in shown
    assert "␣red" in shown
    assert "红色" in shown
    assert "&lt;E7&gt;" in shown
    assert "a &lt;b&gt;" in shown


def test_attention_has_a_square_for_each_head_with_named_rows():
    weights = torch.eye(3).expand(2, 3, 3)
    axes = attention_map(weights, ["a", "b", "c"]).axes
    assert len(axes) == 2
    assert [label.get_text() for label in axes[1].get_xticklabels()] == ["a", "b", "c"]
    assert axes[0].images[0].get_array().tolist() == torch.eye(3).tolist()
    with pytest.raises(ValueError, match="got 2 pieces for weights over 3"):
        attention_map(weights, ["a", "b"])


def test_positions_draw_what_they_are_given():
    table = torch.arange(6.0).view(2, 3)
    assert position_map(table).axes[0].images[0].get_array().tolist() == table.tolist()
