"""What the page carries: pictures, clips and sounds, without loss, under captions in any script."""

import base64
import io
import re

import pytest
import soundfile
import torch
from PIL import Image

from mmtutor.notebook import gallery
from mmtutor.notebook.plots import animation, pieces_in_boxes, players


def embedded(page: str) -> list[bytes]:
    return [base64.b64decode(code) for code in re.findall(r"base64,([^\"]+)", page)]


def test_the_gallery_escapes_its_captions_and_keeps_chinese():
    shown = gallery([torch.zeros(3, 4, 4, dtype=torch.uint8)] * 2, ["<b>", "红色的圆"]).data
    assert shown.count("<img") == 2
    assert "&lt;b&gt;" in shown
    assert "红色的圆" in shown


def test_the_gallery_carries_its_pictures_without_loss():
    picture = torch.arange(48, dtype=torch.uint8).view(3, 4, 4)
    (code,) = embedded(gallery([picture]).data)
    shown = Image.open(io.BytesIO(code))
    assert shown.size == (4, 4)
    assert list(shown.tobytes()) == picture.permute(1, 2, 0).flatten().tolist()


def test_a_player_carries_its_sound_without_loss():
    sound = torch.linspace(-1.5, 1.5, 1000)
    page = players({"蛙 <frog>": sound}, 8000).data
    assert "蛙 &lt;frog&gt;" in page
    assert "<audio controls" in page
    (code,) = embedded(page)
    samples, rate = soundfile.read(io.BytesIO(code), dtype="int16")
    assert rate == 8000
    expected = (sound.clamp(-1, 1) * 32767).round().to(torch.int16)
    assert samples.tolist() == expected.tolist()


def test_players_stand_in_the_order_given():
    page = players({"one": torch.zeros(400), "two": torch.ones(400)}).data
    assert page.index(">one<") < page.index(">two<")
    assert len(embedded(page)) == 2


def test_an_animation_is_a_gif_of_the_frames_with_any_caption():
    clip = torch.stack([torch.full((3, 6, 8), value, dtype=torch.uint8) for value in (0, 99, 200)])
    shown = animation([clip, clip / 255], ["<b> 向左", "two"]).data
    assert "&lt;b&gt; 向左" in shown
    assert len(embedded(shown)) == 2
    for code in embedded(shown):
        gif = Image.open(io.BytesIO(code))
        assert (gif.n_frames, gif.size, gif.info["loop"]) == (3, (8, 6), 0)
        gif.seek(1)
        assert gif.convert("RGB").getpixel((3, 3)) == (99, 99, 99)
    with pytest.raises(ValueError, match="not empty, got 2 and 1 elements"):
        animation([clip, clip], ["one"])


def test_every_piece_gets_a_box_and_any_script_is_kept():
    shown = pieces_in_boxes({"a <b>": ["␣x", " red", "<E7>"], "zh": ["红色"]}).data
    assert shown.count("<span") == 4
    assert "(3)" in shown
    assert "␣red" in shown
    assert "红色" in shown
    assert "&lt;E7&gt;" in shown
    assert "a &lt;b&gt;" in shown
