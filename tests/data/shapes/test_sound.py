"""The sound of a scene: pinned samples, one note for each object, every attribute audible."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmtutor.data import collate, load
from mmtutor.data.shapes.dataset import sounds
from mmtutor.data.shapes.scene import COLOURS, SHAPES, scenes
from mmtutor.data.shapes.sound import (
    LOUDNESS,
    NOTE,
    RATE,
    SECONDS,
    TIMBRES,
    _envelopes,
    _notes,
    _pitches,
    _tones,
    waveforms,
)


def test_samples_are_pinned():
    digest = hashlib.sha256(waveforms(scenes("test", 16, 7, 3)).tobytes()).hexdigest()
    assert digest == "ec265a008ee45e4f345f7d49dd6a4a54424f06f035be85617f0f63bca189bbc5"


def test_every_note_is_the_formula_rounded():
    cell, colour, shape, size = 5, 2, 3, 1
    time = np.arange(NOTE) / RATE
    hz = 220 * 2 * 3 / 2  # middle row, third column
    tone = sum(np.sin(2 * np.pi * hz * h * time) for h in (1, 3, 5)) / 3
    place = time / SECONDS[size]
    edge = np.minimum(np.minimum(time, SECONDS[size] - time) / 0.005, 1)
    expected = tone * np.sin(5 * np.pi * place) ** 2 * edge * LOUDNESS[size]
    found = _notes()[cell, colour, shape, size]
    assert np.abs(found - 32767 * expected).max() <= 0.5 + 1e-6


def test_no_two_things_sound_alike_and_none_is_folded():
    assert len(np.unique(_notes().reshape(-1, NOTE), axis=0)) == 9 * len(COLOURS) * len(SHAPES) * 2
    assert _pitches().max() * TIMBRES.shape[1] < RATE / 2
    assert len(TIMBRES) == len(COLOURS)
    assert np.abs(_tones()).max() <= 1
    assert (_envelopes() >= 0).all()
    assert (_envelopes().max(axis=(0, 2)) <= LOUDNESS).all()


def test_a_small_object_is_shorter_and_softer():
    small, large = _notes()[:, :, 1, 0], _notes()[:, :, 1, 1]
    assert (small[..., int(SECONDS[0] * RATE) :] == 0).all()
    assert np.abs(small).max() < np.abs(large).max() / 2


def test_objects_sound_in_reading_order_whatever_the_caption_says_first():
    scene = scenes("train", 200, 1, 3)
    table, sound = _notes(), waveforms(scene)
    for row in range(len(scene)):
        count = scene.count[row]
        parts = (scene.position, scene.colour, scene.shape, scene.size)
        objects = sorted(zip(*(part[row, :count].tolist() for part in parts), strict=True))
        for k, thing in enumerate(objects):
            assert np.array_equal(sound[row, k * NOTE : (k + 1) * NOTE], table[thing])
        assert (sound[row, count * NOTE :] == 0).all()
    turned = replace(
        scene,
        **{name: getattr(scene, name)[:, ::-1] for name in ("position", "colour", "shape", "size")},
    )
    assert np.array_equal(waveforms(turned), sound)


def test_the_column_is_there_when_asked_for_and_collates():
    plain = load("shapes", "val", n=6, size=32)
    assert "audio" not in plain.columns
    data = load("shapes", "val", n=6, size=32, with_sound=True)
    audio = data.column("audio")
    assert [len(x) for x in audio] == (data.column("count") * NOTE).tolist()
    assert all(x.dtype == torch.float32 and x.abs().max() <= 1 for x in audio)
    batch = collate([data[i] for i in range(6)])
    assert batch["audio_mask"].sum(1).tolist() == [len(x) for x in audio]
    exact = torch.from_numpy(waveforms(scenes("val", 6))).float() / 32768
    assert torch.equal(batch["audio"], exact[:, : batch["audio"].shape[1]])


def test_fewer_are_a_prefix_of_more():
    few, many = sounds(scenes("train", 5)), sounds(scenes("train", 9))
    assert all(torch.equal(a, b) for a, b in zip(few, many, strict=False))


@pytest.mark.parametrize("colour", range(8))
def test_a_colour_sounds_with_its_own_harmonics_alone(colour):
    tone = _tones()[6, colour]  # 220 Hz: bin 66 of 0.3 s, exactly
    power = np.abs(np.fft.rfft(tone)) ** 2
    bins = 66 * np.arange(1, 7)
    assert power[bins].sum() > (1 - 1e-9) * power.sum()
    np.testing.assert_allclose(power[bins] > 1, TIMBRES[colour] > 0)
