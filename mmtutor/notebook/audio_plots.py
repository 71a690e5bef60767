"""Sound on a page: players that need no file, and the pictures of the audio chapter.

Knows how to draw and to embed finished arrays; loads nothing and trains nothing.
Matplotlib and soundfile are imported where they are used.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmtutor.data.real.sounds import RATE

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def player(waveform: Tensor, rate: int = RATE, title: str = "") -> HTML:
    """One sound as HTML audio controls; the samples travel inside the page, as lossless FLAC.

    Args:
        waveform: (T,) in [-1, 1]; what is louder is cut off.
        rate: samples a second.
        title: what stands under the controls, in any script.
    """
    return players({title: waveform}, rate)


def players(waveforms: Mapping[str, Tensor], rate: int = RATE) -> HTML:
    """Several sounds beside each other: title -> (T,) in [-1, 1]."""
    from IPython.display import HTML

    cells = [
        '<figure style="margin:0;width:230px;font-size:0.85em;text-align:center">'
        f'<audio controls preload="metadata" style="width:100%" aria-label="{html.escape(title)}" '
        f'src="data:audio/flac;base64,{_flac(waveform, rate)}"></audio>'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
        for title, waveform in waveforms.items()
    ]
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(cells)}</div>')


def waveform_plot(waveforms: Mapping[str, Tensor], rate: int = RATE) -> Figure:
    """Waveforms under each other, title -> (T,)."""
    import matplotlib.pyplot as plt

    shape = (6.4, 0.6 + 1.1 * len(waveforms))
    figure, axes = plt.subplots(len(waveforms), 1, figsize=shape, squeeze=False, layout="tight")
    for axis, (title, waveform) in zip(axes.flat, waveforms.items(), strict=True):
        axis.plot(torch.arange(len(waveform)) / rate, waveform, linewidth=0.6)
        axis.set_ylabel(title, fontsize=8)
    axes.flat[-1].set_xlabel("seconds")
    plt.close(figure)
    return figure


def aliasing_plot(hz: float, rate: int, seconds: float) -> Figure:
    """A tone above half the rate, its samples, and the low tone that has the same samples."""
    import matplotlib.pyplot as plt

    fine = torch.linspace(0, seconds, 2000, dtype=torch.float64)
    taken = torch.arange(int(seconds * rate) + 1, dtype=torch.float64) / rate
    heard = hz - rate * round(hz / rate)
    figure, axis = plt.subplots(layout="constrained")
    axis.plot(fine * 1000, wave(hz, fine), alpha=0.4, label=f"played: {hz:g} Hz")
    axis.plot(fine * 1000, wave(heard, fine), label=f"heard: {abs(heard):g} Hz")
    axis.plot(taken * 1000, wave(hz, taken), "o", color="black", label="samples")
    axis.set(xlabel="milliseconds", ylabel="amplitude")
    axis.legend(loc="upper right", ncols=3, bbox_to_anchor=(1, 1.15))
    plt.close(figure)
    return figure


def wave(hz: float, time: Tensor) -> Tensor:
    """sin(2 pi hz time), for `time` in seconds."""
    return torch.sin(2 * torch.pi * hz * time)


def spectrogram_plot(
    power: Mapping[str, Tensor],
    top: float | Mapping[str, float],
    seconds: Mapping[str, float] | float,
    label: str = "frequency (Hz)",
    columns: int = 2,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Pictures with time to the right and frequency upwards.

    Args:
        power: title -> (bins, N), already a logarithm.
        top: what the highest bin stands for, of all or of each.
        seconds: how long the sound is, of all or of each.
        label: of the vertical axis.
        columns: pictures in a row.
        limits: the values of the darkest and the lightest colour; each picture's own if None.
    """
    import matplotlib.pyplot as plt

    columns = min(columns, len(power))
    rows = -(-len(power) // columns)
    shape = (3.4 * columns, 2.3 * rows)
    figure, axes = plt.subplots(rows, columns, figsize=shape, squeeze=False, layout="constrained")
    low, high = limits or (None, None)
    for axis in axes.flat[len(power) :]:
        axis.axis("off")
    for axis, (title, picture) in zip(axes.flat, power.items(), strict=False):
        extent = (0, _of(seconds, title), 0, _of(top, title))
        style = {"origin": "lower", "aspect": "auto", "cmap": "magma"}
        axis.imshow(picture.numpy(), extent=extent, vmin=low, vmax=high, **style)
        _label(axis, title, label)
    plt.close(figure)
    return figure


def _label(axis: Axes, title: str, label: str) -> None:
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("seconds", fontsize=8)
    axis.set_ylabel(label, fontsize=8)
    axis.grid(False)


def _of(value: float | Mapping[str, float], title: str) -> float:
    return value[title] if isinstance(value, Mapping) else value


def loss_curves(losses: Mapping[str, Sequence[float]], window: int = 20) -> Figure:
    """Training losses of several runs in one picture, each a mean over `window` steps."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    for name, loss in losses.items():
        values = torch.tensor(loss)
        size = min(window, len(values))
        means = values.unfold(0, size, 1).mean(1)
        axis.plot(torch.arange(size, len(values) + 1), means, label=name)
    axis.set(xlabel="optimiser step", ylabel="training loss")
    axis.legend()
    plt.close(figure)
    return figure


def _flac(waveform: Tensor, rate: int) -> str:
    import soundfile

    samples = (waveform.detach().cpu().clamp(-1, 1) * 32767).round().to(torch.int16).numpy()
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()
