"""What the browser draws: images, clips and sounds that travel inside the page, texts in boxes.

Captions may be in any script, since the browser has the fonts.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.notebook.plots.grid import require_titles
from mmtutor.notebook.plots.panels import pixels

if TYPE_CHECKING:
    from IPython.display import HTML

SHADES = ("#0072B233", "#E69F0033", "#009E7333", "#CC79A733")


def gallery(images: Sequence[Tensor], titles: Sequence[str] = (), size: int = 112) -> HTML:
    """Images in rows, each over its caption in any script.

    Args:
        images: each (3, H, W) or grey (H, W), uint8 or float in [0, 1].
        titles: one for each image, or none.
        size: width of one image in pixels.
    """
    require_titles(images, titles)
    return _pictures([[image] for image in images], titles, size)


def animation(clips: Sequence[Tensor], titles: Sequence[str] = (), size: int = 112) -> HTML:
    """Clips that play for ever in the page, each over its caption in any script.

    Args:
        clips: each (F, 3, H, W), F at least 2, uint8 or float in [0, 1].
        titles: one for each clip, or none.
        size: width of one clip in pixels; the clip is enlarged without smoothing.
    """
    require_titles(clips, titles)
    return _pictures(clips, titles, size)


def players(waveforms: Mapping[str, Tensor], rate: int = 16_000) -> HTML:
    """Sounds beside each other as audio controls, without loss.

    Args:
        waveforms: by the title under the controls, (T,) in [-1, 1]; what is louder is cut off.
        rate: samples a second.
    """
    checks.at_least(1, rate=rate)
    for title, waveform in waveforms.items():
        name = f"waveforms[{title!r}]"
        checks.shaped(**{name: (waveform, "T")})
        checks.floating(**{name: waveform})
        checks.finite(**{name: waveform})
    sounds = [
        f'<audio controls preload="metadata" style="width:100%" aria-label="{html.escape(title)}" '
        f'src="data:audio/flac;base64,{_flac(waveform, rate)}"></audio>'
        for title, waveform in waveforms.items()
    ]
    return _captioned(sounds, map(html.escape, waveforms), 230)


def pieces_in_boxes(texts: Mapping[str, Sequence[str]]) -> HTML:
    """Each text's pieces in coloured boxes after its name, with their number; spaces as ␣."""
    from IPython.display import HTML

    lines = []
    for name, pieces in texts.items():
        checks.listed(str, **{f"texts[{name!r}]": pieces})
        boxes = "".join(
            f'<span style="background:{SHADES[i % len(SHADES)]};border-radius:3px;'
            'padding:1px 4px;margin:1px;display:inline-block">'
            f"{html.escape(piece).replace(' ', '␣') or '∅'}</span>"
            for i, piece in enumerate(pieces)
        )
        lines.append(f"<p><b>{html.escape(name)}</b> ({len(pieces)})<br>{boxes}</p>")
    return HTML(f'<div style="line-height:1.8">{"".join(lines)}</div>')


def _pictures(clips: Sequence[Sequence[Tensor]], titles: Sequence[str], size: int) -> HTML:
    captions = [html.escape(title) for title in titles] or [""] * len(clips)
    drawn = [
        f'<img src="{_image(clip)}" alt="{caption or "image"}" style="width:100%;'
        f'border-radius:4px{";image-rendering:pixelated" if len(clip) > 1 else ""}">'
        for clip, caption in zip(clips, captions, strict=True)
    ]
    return _captioned(drawn, captions, size)


def _captioned(bodies: Iterable[str], captions: Iterable[str], width: int) -> HTML:
    """Pieces of HTML beside each other, each `width` pixels wide over its escaped caption."""
    from IPython.display import HTML

    cells = [
        f'<figure style="width:{width}px;margin:0;font-size:0.8em;text-align:center">'
        f"{body}<figcaption>{caption}</figcaption></figure>"
        for body, caption in zip(bodies, captions, strict=True)
    ]
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(cells)}</div>')


def _image(frames: Sequence[Tensor]) -> str:
    """The address of a PNG, or of a GIF that repeats if there are several frames."""
    from PIL import Image

    first, *rest = (Image.fromarray(pixels(frame)) for frame in frames)
    kind, buffer = "GIF" if rest else "PNG", io.BytesIO()
    options = {"save_all": True, "append_images": rest, "duration": 180, "loop": 0} if rest else {}
    first.save(buffer, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _flac(waveform: Tensor, rate: int) -> str:
    import soundfile

    samples = (waveform.detach().cpu().clamp(-1, 1) * 32767).round().to(torch.int16).numpy()
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return base64.b64encode(buffer.getvalue()).decode()
