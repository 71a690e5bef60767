"""Sounds as arrays, and the recordings of `stamps`: effects, and captions that somebody read aloud.

Knows sound files, sampling rates and how to measure a recording. Does not know how the stamps are
kept (`stamps.py`) or what is learned from them. `soundfile` is imported where a file is read.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmtutor.checks import (
    at_least,
    finite,
    floating,
    instance,
    listed,
    one_of,
    same_length,
    shaped,
    within,
)
from mmtutor.data.dataset import Dataset
from mmtutor.data.real import stamps
from mmtutor.data.shapes.sound import RATE

if TYPE_CHECKING:
    import soundfile

MARGIN = 2_000  # zeros behind a sound while it is resampled: its end must not ring into its start
FRAME = RATE // 100  # 10 ms
# Frames of pitch: 40 ms; pitches that are looked for, in Hz; how like itself a voiced frame is.
PITCH_FRAME, PITCHES, VOICED = RATE // 25, (70, 400), 0.4
SILENCE = 1e-12  # power, so that digital silence has a logarithm


def _read(path: Path | str, rate: int = RATE, seconds: float | None = None) -> Tensor:
    """A sound file as one channel, (T,) float32 in [-1, 1] at `rate` samples a second.

    Channels are averaged. With `seconds` only the beginning is read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is not a sound that can be read, or holds no sample.
    """
    with _opened(path) as file:
        count = -1 if seconds is None else math.ceil(seconds * file.samplerate)
        samples = file.read(count, dtype="float32", always_2d=True)
        source = file.samplerate
    if not len(samples):
        raise ValueError(f"{path} holds no sample")
    return resample(torch.from_numpy(samples).mean(1), source, rate).clamp(-1, 1)


@contextmanager
def _opened(path: Path | str) -> Iterator[soundfile.SoundFile]:
    """A sound file, open while the block runs. Raises as `_read` does."""
    import soundfile

    instance((str, Path), path=path)
    if not Path(path).is_file():
        raise FileNotFoundError(f"no sound file {path}")
    try:
        with soundfile.SoundFile(path) as file:
            yield file
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path} is not a sound file that can be read: {error}") from None


def resample(x: Tensor, source: int, target: int) -> Tensor:
    """(T,) at `source` Hz -> (ceil(T * target / source),) at `target` Hz.

    The spectrum is cut off at half the lower rate, so nothing is folded down, or filled up with
    zeros, and transformed back.

    Raises:
        TypeError, ValueError: `x` is no finite floating-point (T,), or a rate is no count.
    """
    x = _sound(x)
    at_least(1, source=source, target=target)
    if source == target:
        return x
    shared = math.gcd(source, target)
    up, down = target // shared, source // shared
    block = 32 * down  # the transform of a round length is fast
    before = -(-(len(x) + MARGIN) // block) * block
    after = before // down * up
    spectrum = torch.fft.rfft(x, before)[: min(before, after) // 2]  # without the Nyquist bin
    resampled = torch.fft.irfft(spectrum, after) * (up / down)
    return resampled[: -(-len(x) * up // down)]


def _trim(x: Tensor, decibels: float = 30.0) -> Tensor:
    """Cut the quiet ends of (T,) off, leaving 20 ms: what is `decibels` below the loudest 10 ms.

    A sound without power, or shorter than 10 ms, is returned as it is.
    """
    loudness = _levels(x)
    loud = (loudness > loudness.max() - decibels).nonzero() if len(loudness) else loudness
    if not len(loud) or not x.any():
        return x
    return x[max(0, int(loud[0]) - 2) * FRAME : (int(loud[-1]) + 3) * FRAME]


def _quietest(x: Tensor, seconds: float) -> Tensor:
    """The stretch of (T,) of that length with the least power; all of it if it is not longer."""
    size = int(seconds * RATE)
    if len(x) <= size:
        return x
    sums = torch.nn.functional.pad((x - x.mean()).double().square().cumsum(0), (1, 0))
    start = int((sums[size:] - sums[:-size]).argmin())
    return x[start : start + size]


def _levels(x: Tensor) -> Tensor:
    """Power of each whole 10 ms of (T,) in dB, 0 dB for a constant 1: (T // FRAME,)."""
    power = x[: len(x) // FRAME * FRAME].view(-1, FRAME).square().mean(1)
    return 10 * torch.log10(power + SILENCE)


def _pitch(x: Tensor) -> float:
    """Median pitch in Hz of the voiced frames of (T,) at `RATE`; NaN where there is none.

    A voiced sound repeats itself: the lag at which a frame is most like itself is its period; of
    its multiples, which are as much alike, the least overlaps most. Only frames within 15 dB of
    the loudest count.
    """
    if len(x) < PITCH_FRAME:
        return math.nan
    frames = x.unfold(0, PITCH_FRAME, FRAME)  # [N, PITCH_FRAME]
    frames = frames - frames.mean(1, keepdim=True)
    power = frames.square().sum(1)
    frames = frames[power > power.max() / 10**1.5]
    spectrum = torch.fft.rfft(frames, 2 * PITCH_FRAME)
    alike = torch.fft.irfft(spectrum.abs().square())  # [N, 2 * PITCH_FRAME], by lag
    shortest, longest = RATE // PITCHES[1], RATE // PITCHES[0]
    best, lag = (alike / alike[:, :1])[:, shortest:longest].max(1)
    periods = lag[best > VOICED] + shortest
    return RATE / periods.double().median().item() if len(periods) else math.nan


def _sound(x: Tensor) -> Tensor:
    """`x`, of float32 at least; TypeError or ValueError unless it is a sound, finite (T,)."""
    shaped(x=(x, "T"))
    floating(x=x)
    finite(x=x)
    return x if x.dtype == torch.float64 else x.float()


def measure(x: Tensor) -> dict[str, float]:
    """What says more of voice and equipment than of words: loudness, noise, offset and pitch.

    Returns `level` and `floor` (95th and 5th percentile of the level, of the sound without its
    offset, dB), `offset` (mean sample, in thousandths of full scale) and `pitch` (Hz).

    Raises:
        TypeError, ValueError: `x` is no finite floating-point (T,), or shorter than 10 ms.
    """
    x = _sound(x)
    if len(x) < FRAME:
        raise ValueError(f"x must be at least {FRAME} samples long, 10 ms, got {len(x)}")
    power = _levels(x - x.mean())
    level, floor = power.quantile(power.new_tensor([0.95, 0.05])).tolist()
    return {"level": level, "floor": floor, "offset": 1000 * x.mean().item(), "pitch": _pitch(x)}


@functools.cache
def tags(path: Path | str) -> dict[str, str]:
    """What the program that wrote a sound file left in it: title, comment, track number, …

    Raises FileNotFoundError or ValueError for what is no sound file.
    """
    with _opened(path) as file:
        return file.copy_metadata()


def spoken(languages: Sequence[str], root: Path | str | None = None) -> Dataset:
    """The spoken captions of `stamps` in `languages`, not yet decoded (`with_audio` does that).

    Columns: path, language, caption (in that language), name, group (int64, as in `stamps`).

    Raises:
        ValueError: a language in which nothing is spoken; the message lists those there are.
        FileNotFoundError: the stamps are not in the cache.
    """
    languages = listed(str, languages=languages)
    same_length(languages=languages)
    data = stamps.load("all", root=root).columns
    there = sorted({language for recordings in data["spoken"] for language in recordings})
    for language in languages:
        one_of(there, languages=language)
    rows = [
        (paths[language], language, captions[language], name, group)
        for paths, captions, name, group in zip(
            data["spoken"], data["captions"], data["name"], data["group"].tolist(), strict=True
        )
        for language in languages
        if language in paths and language in captions
    ]
    path, language, caption, name, group = map(list, zip(*rows, strict=True))
    columns = {"path": path, "language": language, "caption": caption, "name": name}
    return Dataset({**columns, "group": torch.tensor(group)}, name="spoken stamps")


def effects(root: Path | str | None = None) -> Dataset:
    """The sound effects of `stamps`, not yet decoded. Columns: path, caption, name, group."""
    data = stamps.load("all", root=root)
    data = data.subset([path != "" for path in data.column("sound")])
    columns = {"path": data.column("sound")}
    columns |= {key: data.column(key) for key in ("caption", "name", "group")}
    return Dataset(columns, name="sound effects")


def with_audio(data: Dataset, seconds: float, part: str = "speech") -> Dataset:
    """`data` with a column `audio`, decoded from its `path`: N tensors (T,) at `RATE`.

    Args:
        seconds: how much of each to keep at most.
        part: "all": from the beginning; "speech": from where the loud part begins; "quietest": the
            stretch with the least power among what would have been read for the others.

    Raises:
        TypeError, ValueError: an unknown part, no length above 0, or a path that is no string.
        KeyError: `data` has no column `path`.
    """
    instance(Dataset, data=data)
    within("(0, inf)", seconds=seconds)
    parts = {"all": lambda x: x, "speech": _trim, "quietest": lambda x: _quietest(x, seconds)}
    one_of(parts, part=part)
    paths = listed(str, **{"data.column('path')": data.column("path")})
    size, limit = int(seconds * RATE), seconds + 1
    audio = [parts[part](_read(path, seconds=limit))[:size] for path in paths]
    return data.with_column("audio", audio)


def first_words(captions: Iterable[str]) -> list[str]:
    """The first word of each caption in lower case, without punctuation; "" if there is none."""
    captions = listed(str, captions=captions)
    same_length(captions=captions)
    found = (re.search(r"\w+", caption.lower()) for caption in captions)
    return [word[0] if word else "" for word in found]
