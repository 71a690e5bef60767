import base64
import io
import re

import pytest
import soundfile
import torch

from mmtutor.notebook.audio_plots import (
    aliasing_plot,
    loss_curves,
    player,
    players,
    spectrogram_plot,
    waveform_plot,
)


def embedded(page: str) -> list[bytes]:
    return [base64.b64decode(code) for code in re.findall(r"base64,([^\"]+)", page)]


def test_a_player_carries_its_sound_without_loss():
    sound = torch.linspace(-1.5, 1.5, 1000)
    page = player(sound, 8000, "蛙 <frog>").data
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


def test_spectrograms_show_what_they_are_given():
    low, high = torch.zeros(5, 7), torch.ones(5, 9)
    figure = spectrogram_plot(
        {"low": low, "high": high, "x": low}, 80.0, {"low": 1, "high": 2, "x": 3}
    )
    images = [axis.get_images()[0] for axis in figure.axes if axis.get_images()]
    assert [tuple(image.get_array().shape) for image in images] == [(5, 7), (5, 9), (5, 7)]
    assert [image.get_extent()[1] for image in images] == [1, 2, 3]
    assert images[0].origin == "lower"


def test_the_alias_passes_through_every_sample():
    figure = aliasing_plot(900.0, 1000, 0.01)
    _, heard, samples = (line.get_data() for line in figure.axes[0].get_lines())
    assert len(samples[0]) == 11
    assert "heard: 100 Hz" in [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
    for x, y in zip(*samples, strict=True):
        nearest = abs(heard[0] - float(x)).argmin()
        assert float(heard[1][nearest]) == pytest.approx(float(y), abs=0.02)


def test_lines_are_the_numbers_given():
    x = torch.arange(4.0)
    loss = loss_curves({"one": [4.0, 2.0, 0.0], "short": [1.0]}, window=2).axes[0].get_lines()
    assert loss[0].get_ydata().tolist() == [3.0, 1.0]
    assert len(waveform_plot({"a": x, "b": x}).axes) == 2
