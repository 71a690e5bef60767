"""Plots of what moves: clips, optical flow and skeletons.

Knows tensors; loads nothing and computes no result. Matplotlib and Pillow are imported where used.
"""

from __future__ import annotations

import base64
import colorsys
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor.notebook.plots import image_grid

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.figure import Figure


def animation(
    clips: Sequence[Tensor], titles: Sequence[str] = (), size: int = 112, milliseconds: int = 180
) -> HTML:
    """Clips that play for ever in the page, each over its caption in any script.

    Args:
        clips: each (F, 3, H, W), uint8 or float in [0, 1].
        titles: one for each clip, or none.
        size: width of one clip in pixels; the clip is enlarged without smoothing.
        milliseconds: how long a frame stays.
    """
    from IPython.display import HTML

    if titles and len(titles) != len(clips):
        raise ValueError(f"got {len(titles)} titles for {len(clips)} clips")
    cells = [
        f'<figure style="width:{size}px;margin:0;font-size:0.8em;text-align:center">'
        f'<img src="data:image/gif;base64,{_gif(clip, milliseconds)}" '
        f'alt="{html.escape(title) or "clip"}" '
        'style="width:100%;image-rendering:pixelated;border-radius:4px">'
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
        for clip, title in zip(clips, titles or [""] * len(clips), strict=True)
    ]
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:12px">{"".join(cells)}</div>')


def filmstrip(clips: Sequence[Tensor], titles: Sequence[str] = (), size: float = 0.85) -> Figure:
    """One row of frames a clip (F, 3, H, W), with its title on the left; rows of equal F."""
    import matplotlib.pyplot as plt

    frames = len(clips[0])
    shape = (frames * size + (1.2 if titles else 0), len(clips) * size)
    figure, axes = plt.subplots(
        len(clips), frames, figsize=shape, squeeze=False, layout="constrained"
    )
    for row, clip in zip(axes, clips, strict=True):
        for axis, frame in zip(row, clip, strict=True):
            axis.imshow(_array(frame))
            _bare(axis)
    for row, title in zip(axes, titles, strict=False):
        row[0].set_ylabel(title, rotation=0, ha="right", va="center", fontsize=9)
    plt.close(figure)
    return figure


def flow_colours(flow: Tensor, longest: float | None = None) -> Tensor:
    """A flow (2, H, W) as a picture (3, H, W): hue is direction, strength of colour is length.

    Red points right, and hues turn with the clock's hand; white stands still.

    Args:
        longest: the length that gets full colour, in pixels; the flow's own maximum if None.
    """
    u, v = flow.double()
    length = (u * u + v * v).sqrt()
    top = max(float(length.max()) if longest is None else longest, 1e-12)
    strength = (length / top).clamp(max=1)
    hue = torch.atan2(v, u) / (2 * torch.pi) % 1
    table = torch.tensor([colorsys.hsv_to_rgb(i / 360, 1, 1) for i in range(360)])
    colour = table[(hue * 360).long() % 360].movedim(-1, 0)  # [3, H, W]
    return (1 - strength * (1 - colour)).float()


def colour_wheel(size: int = 64) -> Tensor:
    """The key to `flow_colours` (3, size, size): each point has the colour of a flow to it."""
    line = torch.linspace(-1, 1, size)
    y, x = torch.meshgrid(line, line, indexing="ij")
    inside = (x * x + y * y <= 1).float()
    return flow_colours(torch.stack([x, y]) * inside, longest=1.0)


def flow_grid(
    flows: Sequence[Tensor], titles: Sequence[str], longest: float | None = None, size: float = 1.6
) -> Figure:
    """Flows (2, H, W) in colours side by side, and the colour wheel last."""
    longest = max(float(flow.norm(dim=0).max()) for flow in flows) if longest is None else longest
    pictures = [_framed(flow_colours(flow, longest)) for flow in flows]
    return image_grid([*pictures, colour_wheel()], [*titles, "colour wheel"], 6, size)


def flow_arrows(
    pictures: Sequence[Tensor], flows: Sequence[Tensor], titles: Sequence[str], step: int = 4
) -> Figure:
    """Pictures (3, H, W) or (H, W) with an arrow, 4 times the flow, at every `step`-th pixel."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(pictures), figsize=(3 * len(pictures), 3.2), squeeze=False, layout="constrained"
    )
    for axis, picture, flow, title in zip(axes[0], pictures, flows, titles, strict=True):
        y = torch.arange(step // 2, flow.shape[1], step)
        x = torch.arange(step // 2, flow.shape[2], step)
        u, v = flow[:, y[:, None], x].detach().cpu().numpy()
        axis.imshow(_array(picture), cmap="gray", vmin=0, vmax=1)
        axis.quiver(x, y, u, v, color="C3", angles="xy", scale_units="xy", scale=0.25, width=0.008)
        axis.set_title(title, fontsize=9)
        _bare(axis)
    plt.close(figure)
    return figure


def skeletons(
    pictures: Sequence[Tensor],
    joints: Sequence[Tensor],
    bones: Sequence[tuple[int, int]],
    truth: Sequence[Tensor] = (),
    columns: int = 6,
) -> Figure:
    """Pictures with found joints (J, 2) joined by bones, and true ones as white rings."""
    import matplotlib.pyplot as plt

    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(1.6 * columns, 1.6 * rows), squeeze=False, layout="constrained"
    )
    for axis in axes.flat:
        axis.axis("off")
    for i, (axis, picture, places) in enumerate(zip(axes.flat, pictures, joints, strict=False)):
        axis.imshow(_array(picture))
        for a, b in bones:
            axis.plot(*places[[a, b]].T.tolist(), color="C1", linewidth=1.2)
        axis.plot(*places.T.tolist(), "o", color="C1", markersize=2.5)
        if len(truth):
            axis.plot(*truth[i].T.tolist(), "o", mfc="none", mec="white", markersize=5)
    plt.close(figure)
    return figure


def heat_over(picture: Tensor, maps: Tensor, titles: Sequence[str], columns: int = 7) -> Figure:
    """A picture (3, H, W) under each of its heat maps (J, h, w), which are scaled to its size."""
    import matplotlib.pyplot as plt

    columns = min(columns, len(maps))
    rows = -(-len(maps) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(1.35 * columns, 1.6 * rows), squeeze=False, layout="constrained"
    )
    height, width = picture.shape[1:]
    for axis in axes.flat:
        axis.axis("off")
    for axis, heat, title in zip(axes.flat, maps, titles, strict=False):
        edges = (-0.5, width - 0.5, height - 0.5, -0.5)
        axis.imshow(_array(picture), extent=edges)
        axis.imshow(_array(heat), extent=edges, cmap="inferno", alpha=0.65)
        axis.set_title(title, fontsize=7)
    plt.close(figure)
    return figure


def _framed(picture: Tensor) -> Tensor:
    """(3, H, W) with a grey line around it, so that white has an end."""
    return F.pad(picture, (1, 1, 1, 1), value=0.6)


def _bare(axis) -> None:
    axis.set(xticks=[], yticks=[])
    axis.grid(False)


def _array(picture: Tensor):
    """(3, H, W) or (H, W), uint8 or float -> what `imshow` draws."""
    picture = picture.detach().cpu()
    return (picture.permute(1, 2, 0) if picture.ndim == 3 else picture).numpy()


def _gif(clip: Tensor, milliseconds: int) -> str:
    """(F, 3, H, W) as a GIF that repeats, in base64."""
    from PIL import Image

    if clip.dtype != torch.uint8:
        clip = (clip.clamp(0, 1) * 255).round().byte()
    frames = [Image.fromarray(frame.permute(1, 2, 0).cpu().numpy()) for frame in clip]
    buffer = io.BytesIO()
    frames[0].save(
        buffer, "GIF", save_all=True, append_images=frames[1:], duration=milliseconds, loop=0
    )
    return base64.b64encode(buffer.getvalue()).decode()
