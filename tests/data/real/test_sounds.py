"""Sound files, resampling, what is measured of a recording, and the spoken stamps."""

import math

import librosa
import numpy as np
import pytest
import soundfile
import torch

from mmtutor.data.dataset import Dataset
from mmtutor.data.real import stamps
from mmtutor.data.real.sounds import (
    FRAME,
    RATE,
    _levels,
    _pitch,
    _quietest,
    _read,
    _trim,
    effects,
    first_words,
    measure,
    resample,
    spoken,
    tags,
    with_audio,
)


def tone(hz: float, seconds: float, rate: int = RATE) -> torch.Tensor:
    time = torch.arange(int(seconds * rate), dtype=torch.float64) / rate
    return torch.sin(2 * math.pi * hz * time).float()


# ------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("ending", ["wav", "ogg"])
def test_a_file_becomes_one_channel_at_our_rate(tmp_path, ending):
    path = tmp_path / f"tone.{ending}"
    stereo = torch.stack([0.5 * tone(300, 1, 44_100), 0.1 * tone(300, 1, 44_100)], dim=1)
    soundfile.write(path, stereo.numpy(), 44_100)
    sound = _read(path)
    assert sound.shape == (RATE,)
    assert sound.dtype == torch.float32
    difference = (sound - 0.3 * tone(300, 1))[500:-500]
    assert difference.square().mean().sqrt() < 0.02
    assert _read(path, seconds=0.25).shape == (RATE // 4,)


def test_what_is_no_sound_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no sound file .*none\.ogg"):
        _read(tmp_path / "none.ogg")
    (tmp_path / "text.ogg").write_text("not a sound")
    with pytest.raises(ValueError, match=r"text\.ogg is not a sound file that can be read"):
        _read(tmp_path / "text.ogg")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), RATE)
    with pytest.raises(ValueError, match=r"empty\.wav holds no sample"):
        _read(tmp_path / "empty.wav")


@pytest.mark.parametrize("source", [44_100, 8_000, 11_127, 48_000])
def test_resampling_keeps_what_both_rates_can_hold(source):
    sound = tone(700, 0.5, source) * torch.hann_window(int(0.5 * source), periodic=False)
    resampled = resample(sound, source, RATE)
    assert len(resampled) == math.ceil(len(sound) * RATE / source)
    expected = tone(700, 0.5)[: len(resampled)]
    expected = expected * torch.sin(math.pi * torch.arange(len(expected)) / (RATE / 2)) ** 2
    torch.testing.assert_close(resampled[: len(expected)], expected, rtol=0, atol=2e-3)


def test_resampling_folds_nothing_down():
    high = tone(15_000, 0.5, 44_100) * torch.hann_window(22_050)
    assert resample(high, 44_100, RATE).abs().max() < 1e-3
    assert resample(high, 44_100, 44_100) is high


def test_resampling_agrees_with_librosa():
    generator = torch.Generator().manual_seed(0)
    spectrum = torch.fft.rfft(torch.randn(4410, generator=generator))
    spectrum[600:] = 0  # nothing above 6 kHz
    smooth = torch.fft.irfft(spectrum) * torch.hann_window(4410)
    expected = librosa.resample(smooth.numpy(), orig_sr=44_100, target_sr=RATE, res_type="soxr_vhq")
    np.testing.assert_allclose(resample(smooth, 44_100, RATE).numpy(), expected, atol=2e-3)


# ------------------------------------------------------------------------------ measurements


def test_trim_leaves_the_loud_part():
    silence = torch.zeros(10 * FRAME)
    sound = torch.cat([silence, tone(400, 0.2), silence])
    assert len(_trim(sound)) == int(0.2 * RATE) + 4 * FRAME
    assert torch.equal(_trim(silence), silence)
    assert len(_trim(torch.ones(5))) == 5


def test_the_quietest_stretch_is_found():
    loud = tone(400, 0.2)
    sound = torch.cat([loud, 0.01 * tone(400, 0.1), loud]) + 0.3
    found = _quietest(sound, 0.05)
    assert len(found) == int(0.05 * RATE)
    assert (found - 0.3).abs().max() < 0.011
    assert _quietest(loud, 1.0) is loud


def test_measurements_are_right_for_a_known_sound():
    assert _levels(torch.ones(RATE)).abs().max() < 1e-4
    sound = torch.cat([0.5 * tone(150, 0.5), 0.005 * tone(150, 0.5)]) + 0.01
    found = measure(sound)
    assert found["level"] == pytest.approx(10 * math.log10(0.125), abs=1.5)
    assert found["floor"] == pytest.approx(found["level"] - 40, abs=2.5)
    assert found["offset"] == pytest.approx(10, abs=0.2)
    assert found["pitch"] == pytest.approx(150, rel=0.02)


@pytest.mark.parametrize("hz", [90, 133, 220, 350])
def test_pitch_of_a_sound_with_harmonics(hz):
    sound = sum(tone(hz * k, 0.3) / k for k in range(1, 6))
    assert _pitch(sound) == pytest.approx(hz, rel=0.02)


def test_noise_and_short_sounds_have_no_pitch():
    noise = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    assert math.isnan(_pitch(noise))
    assert math.isnan(_pitch(torch.ones(10)))


# ------------------------------------------------------------------------- the spoken stamps


def test_first_words():
    assert first_words(["¡Un loro!", "una vaca", "...", ""]) == ["un", "una", "", ""]


def test_spoken_captions_are_listed_with_their_groups(stamps_cache):
    data = spoken(["es", "ca"])
    assert set(data.column("language")) == {"es", "ca"}
    assert 1200 < len(data) < 1400
    names = data.column("name")
    pairs = set(zip(names, data.column("group").tolist(), strict=True))
    assert len(pairs) == len(set(names)), "a stamp has one group in every language"
    with pytest.raises(ValueError, match=r"languages must be 'be', .* got 'tlh'"):
        spoken(["tlh"])


def test_recordings_are_decoded_as_asked(stamps_cache):
    data = spoken(["fr"]).subset(range(3))
    for part in ("all", "speech", "quietest"):
        decoded = with_audio(data, 0.2, part)
        assert all(0 < len(x) <= RATE // 5 for x in decoded.column("audio"))
        cut = {"all": lambda x: x, "speech": _trim, "quietest": lambda x: _quietest(x, 0.2)}[part]
        for path, x in zip(data.column("path"), decoded.column("audio"), strict=True):
            assert torch.equal(x, cut(_read(path, seconds=1.2))[: RATE // 5])
    with pytest.raises(ValueError, match="part must be 'all', 'speech' or 'quietest', got 'loud'"):
        with_audio(data, 0.2, "loud")
    assert isinstance(tags(data.column("path")[0]), dict)


def test_effects_are_sounds(stamps_cache):
    """Each is the sound of its own stamp, and what is decoded is what the file holds."""
    data = effects()
    assert isinstance(data, Dataset)
    assert len(data) > 100
    whole = stamps.load("all")
    sounds = dict(zip(whole.column("name"), whole.column("sound"), strict=True))
    assert set(data.column("name")) == {name for name, path in sounds.items() if path}
    assert data.column("path") == [sounds[name] for name in data.column("name")]
    decoded = with_audio(data.subset(range(0, 100, 20)), 1.0, "all")
    for path, x in zip(decoded.column("path"), decoded.column("audio"), strict=True):
        there, rate = soundfile.read(path, dtype="float32", always_2d=True)
        assert len(x) == min(RATE, math.ceil(len(there) * RATE / rate))
        right = librosa.resample(there.mean(1)[: 2 * rate], orig_sr=rate, target_sr=RATE)[: len(x)]
        assert np.corrcoef(x[FRAME:-FRAME], right[FRAME:-FRAME])[0, 1] > 0.99
