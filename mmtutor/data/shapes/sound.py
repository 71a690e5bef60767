"""The sound of a `Scene`: one note for each object, in reading order.

Knows what each attribute does to a note, and nothing of pictures or words:

    position -> pitch: the row is the octave, high above low; the column is the note in it: do, mi,
                sol (frequencies in the proportions 4 : 5 : 6)
    colour   -> timbre: which harmonics sound, and how loudly (`TIMBRES`)
    shape    -> envelope: how the loudness moves while the note lasts (`_envelopes`)
    size     -> small is short and soft, large is long and loud (`SECONDS`, `LOUDNESS`)
    order    -> objects sound in reading order: row by row, each from the left

Everything that a caption says can be heard. The grey of the paper and the exact place in a cell
make no sound.
"""

from __future__ import annotations

import numpy as np

from mmtutor import checks
from mmtutor.data.shapes.scene import Scene

RATE = 16_000  # samples a second
SECONDS = np.array([0.15, 0.30])  # of a small and of a large object's note
LOUDNESS = np.array([0.3, 0.9])  # their peaks
LOWEST = 220.0  # Hz: the bottom left cell
STEPS = np.array([1, 5 / 4, 3 / 2])  # of the columns, above the row's first note
# Amplitudes of harmonics 1 to 6, for each colour in the order of `scene.COLOURS`.
TIMBRES = np.array(
    [
        [1, 0, 0, 0, 0, 0],  # red: a pure tone
        [1, 1, 0, 0, 0, 0],  # orange
        [1, 0, 1, 0, 1, 0],  # yellow: odd harmonics, hollow like a clarinet
        [1, 0, 0, 1, 0, 0],  # green
        [1, 0, 0, 0, 0, 1],  # blue
        [1, 1, 1, 1, 1, 1],  # purple: all of them, bright
        [0, 1, 1, 0, 0, 0],  # pink: the first one is missing
        [0, 0, 0, 1, 1, 1],  # black: only the highest
    ]
)
NOTE = int(RATE * SECONDS.max())  # samples set aside for each object


def _pitches() -> np.ndarray:
    """Frequency in Hz of each cell of the grid, row-major: (9,) float64."""
    octave = 2.0 ** np.array([2, 1, 0])
    return (LOWEST * octave[:, None] * STEPS).reshape(-1)


def _tones() -> np.ndarray:
    """A steady tone for each cell and colour, with peak below 1: (9, 8, NOTE) float64."""
    time = np.arange(NOTE) / RATE
    harmonic = np.arange(1, TIMBRES.shape[1] + 1)
    waves = np.sin(2 * np.pi * _pitches()[:, None, None] * harmonic[:, None] * time)  # [9, 6, NOTE]
    return np.einsum("ch,pht->pct", TIMBRES / TIMBRES.sum(axis=1, keepdims=True), waves)


def _envelopes() -> np.ndarray:
    """Loudness over time for each shape and size, in [0, 1]: (6, 2, NOTE) float64.

    A circle swells and fades, a square is there and gone, a triangle falls to nothing, a star is
    five beats, a cross two, and a ring fades and swells.
    """
    place = np.arange(NOTE) / (RATE * SECONDS[:, None])  # [2, NOTE], 0 to 1 while the note lasts
    swell = np.sin(np.pi * place) ** 2
    five, two = (np.sin(np.pi * beats * place) ** 2 for beats in (5, 2))
    forms = np.stack([swell, np.ones_like(place), 1 - place, five, two, 1 - swell])
    edge = np.minimum(place, 1 - place) * SECONDS[:, None] / 0.005  # 5 ms: no click
    return forms * edge.clip(0, 1) * LOUDNESS[:, None]


def _notes() -> np.ndarray:
    """Every note there is, by cell, colour, shape and size: (9, 8, 6, 2, NOTE) int16.

    Computed in float64 and rounded, so that the samples are equal everywhere.
    """
    waves = _tones()[:, :, None, None] * _envelopes()
    return np.round(32767 * waves).astype(np.int16)


def waveforms(scene: Scene) -> np.ndarray:
    """The sound of each scene, (N, K * NOTE) int16 at `RATE` samples a second.

    Row i holds count[i] notes of NOTE samples; behind them it is silent.
    """
    checks.instance(Scene, scene=scene)
    absent = scene.position < 0
    order = np.where(absent, len(_pitches()), scene.position).argsort(axis=1)  # [N, K]
    position, colour, shape, size, absent = (
        np.take_along_axis(part, order, axis=1)
        for part in (scene.position, scene.colour, scene.shape, scene.size, absent)
    )
    played = _notes()[position, colour, shape, size]  # [N, K, NOTE]
    played[absent] = 0
    return played.reshape(len(scene), -1)
