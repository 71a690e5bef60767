"""Line drawings for the concept pages: boxes in columns joined by arrows, and small picture tables.

Knows how to place boxes, arrows and thumbnails. Does not know any model, load any data or compute
any result: what it draws is what it is given. Matplotlib is imported where it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

Edge = tuple[str, str]
INK, RIGHT, WRONG = "#22303c", "#3b6ea5", "#c0392b"
FILLS = ("#e8f1fa", "#fdf1dc", "#e6f4ea", "#f3e8f7", "#eeeeee")
BOX_HEIGHT = 0.62  # in units of one row
BOX_SHARE = 0.66  # of the width of one column


def flow(
    columns: Sequence[Sequence[str]],
    edges: Sequence[Edge],
    *,
    wrong: Sequence[Edge] = (),
    headings: Sequence[str] = (),
    title: str = "",
    span: int = 0,
    ax: Axes | None = None,
) -> Figure:
    """Draw boxes in columns, left to right, and arrows between them.

    Args:
        columns: the texts of the boxes, one sequence a column; a text names its box.
        edges: arrows as (from, to) pairs of box texts.
        wrong: arrows that should not be there: dashed, in red, with a cross.
        headings: a heading above each column, from the left.
        title: a title above the drawing.
        span: leave room for this many columns, so that panels have boxes of one width.
        ax: axes to draw on; a new figure is made without it.

    Raises:
        ValueError: a box text is used twice, or an arrow names a box that is not there.
    """
    import matplotlib.pyplot as plt

    rows = max(len(column) for column in columns)
    if ax is None:
        (ax,) = _panels((rows,))
    centres = _centres(columns, rows)
    for x, column in enumerate(columns):
        for text in column:
            _box(ax, centres[text], text, FILLS[x % len(FILLS)])
    for edge in (*edges, *wrong):
        _arrow(ax, centres, edge, is_wrong=edge in wrong)
    for x, heading in enumerate(headings):
        ax.text(x, rows - 0.35, heading, ha="center", color=INK, weight="bold")
    top = rows - 0.1 if headings else rows - 0.4
    ax.set(xlim=(-0.4, max(span, len(columns)) - 0.6), ylim=(-0.6, top))
    ax.set_title(title, color=INK, fontsize=10, loc="left")
    ax.axis("off")
    plt.close(ax.figure)
    return ax.figure


def architecture() -> Figure:
    """The common architecture of multimodal models: encoders, fusion, head."""
    inputs = ("picture", "text", "sound", "video")
    encoders = tuple(f"{name} encoder" for name in ("image", "text", "audio", "video"))
    edges = (*zip(inputs, encoders, strict=True), *_into("fusion", encoders))
    return flow(
        (inputs, encoders, ("fusion",), ("task head",), ("output",)),
        (*edges, ("fusion", "task head"), ("task head", "output")),
        headings=("raw tensors", "tokens", "one vector", "scores"),
    )


def article_arrows() -> Figure:
    """Arrows of three figures in the articles, redrawn; those that cannot stand are in red."""
    fields = ("computer vision", "language processing", "speech recognition")
    first, second, third = _panels((4, 1, 2))
    flow(
        (("image", "text", "audio", "video"), fields),
        (("image", fields[0]), ("audio", fields[2])),
        wrong=(("text", fields[0]), ("video", fields[2])),
        title="001, section 2.1",
        span=4,
        ax=first,
    )
    flow(
        (("fusion",), ("model",), ("text",), ("audio",)),
        (("fusion", "model"),),
        wrong=(("model", "text"), ("text", "audio")),
        title="001, section 2.3",
        ax=second,
    )
    return flow(
        (("text",), ("vision", "audio"), ("fusion",)),
        (("vision", "fusion"), ("audio", "fusion")),
        wrong=(("text", "vision"), ("text", "audio")),
        title="004, section 2.2",
        span=4,
        ax=third,
    )


def fusion_places() -> Figure:
    """Where two modalities may meet: before the encoder, before the head, or after the heads."""
    inputs, encoders, heads = ("picture", "text"), ("encoder 1", "encoder 2"), ("head 1", "head 2")
    early, middle, late = _panels((2, 2, 2))
    flow(
        (inputs, ("join",), ("encoder",), ("head",)),
        (*_into("join", inputs), ("join", "encoder"), ("encoder", "head")),
        title="early",
        ax=early,
    )
    flow(
        (inputs, encoders, ("join",), ("head",)),
        (*zip(inputs, encoders, strict=True), *_into("join", encoders), ("join", "head")),
        title="middle",
        ax=middle,
    )
    across = (*zip(inputs, encoders, strict=True), *zip(encoders, heads, strict=True))
    edges = (*across, *_into("join", heads))
    return flow((inputs, encoders, heads, ("join",)), edges, title="late", ax=late)


def match_table(images: Tensor, captions: Sequence[str]) -> Figure:
    """Every picture beside every caption, marked yes where they belong together.

    Args:
        images: (N, 3, H, W) uint8 or float in [0, 1]; picture i belongs to caption i.
        captions: the N captions.

    Raises:
        ValueError: the numbers of pictures and captions differ.
    """
    import matplotlib.pyplot as plt

    n = len(captions)
    if len(images) != n:
        raise ValueError(f"expected as many captions as pictures, got {n} and {len(images)}")
    figure, axes = plt.subplots(n, n, figsize=(2.7 * n, 2.0 * n), layout="constrained")
    for i in range(n):
        for j, caption in enumerate(captions):
            ax = axes[i, j]
            ax.imshow(images[i].permute(1, 2, 0).numpy())  # [H, W, 3]
            colour = RIGHT if i == j else WRONG
            ax.set_xlabel("yes" if i == j else "no", color=colour, weight="bold", fontsize=12)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_visible(False)
            if i == 0:
                ax.set_title(f"“{caption}”", fontsize=9, wrap=True)
    plt.close(figure)
    return figure


def waveform(samples: Tensor, rate: int, *, milliseconds: float = 20.0) -> Figure:
    """The first milliseconds of a sound: samples (T,) in [-1, 1], `rate` of them a second."""
    import matplotlib.pyplot as plt

    shown = samples[: int(rate * milliseconds / 1000)]
    figure, ax = plt.subplots(figsize=(6, 1.8), layout="constrained")
    ax.plot([1000 * i / rate for i in range(len(shown))], shown.numpy(), color=RIGHT)
    ax.set(xlabel="time (ms)", ylabel="pressure", ylim=(-1.05, 1.05))
    plt.close(figure)
    return figure


def _panels(rows: Sequence[int]) -> Sequence[Axes]:
    """One axes below the other, each as tall as its rows of boxes need."""
    import matplotlib.pyplot as plt

    size = (7.0, 0.6 * sum(rows) + 0.4 * len(rows))
    figure = plt.figure(figsize=size, layout="constrained")
    return list(figure.subplots(len(rows), squeeze=False, height_ratios=rows)[:, 0])


def _into(target: str, sources: Sequence[str]) -> list[Edge]:
    return [(source, target) for source in sources]


def _centres(columns: Sequence[Sequence[str]], rows: int) -> dict[str, tuple[float, float]]:
    centres: dict[str, tuple[float, float]] = {}
    for x, column in enumerate(columns):
        step = rows / len(column)
        for y, text in enumerate(column):
            if text in centres:
                raise ValueError(f"two boxes are called {text!r}; a text names one box")
            centres[text] = (x, rows - 0.5 - step * (y + 0.5))
    return centres


def _box(ax: Axes, centre: tuple[float, float], text: str, fill: str) -> None:
    from matplotlib.patches import FancyBboxPatch

    x, y = centre
    corner = (x - BOX_SHARE / 2, y - BOX_HEIGHT / 2)
    style = "round,pad=0,rounding_size=0.08"
    patch = FancyBboxPatch(corner, BOX_SHARE, BOX_HEIGHT, boxstyle=style, fc=fill, ec=INK, lw=1)
    ax.add_patch(patch)
    ax.text(x, y, text.replace(" ", "\n"), ha="center", va="center", color=INK, fontsize=8.5)


def _arrow(
    ax: Axes, centres: dict[str, tuple[float, float]], edge: Edge, *, is_wrong: bool
) -> None:
    missing = [name for name in edge if name not in centres]
    if missing:
        raise ValueError(f"the arrow {edge} names a box that is not drawn: {missing[0]!r}")
    (x0, y0), (x1, y1) = centres[edge[0]], centres[edge[1]]
    start, end = (x0 + BOX_SHARE / 2, y0), (x1 - BOX_SHARE / 2, y1)
    colour, line = (WRONG, "--") if is_wrong else (INK, "-")
    style = {"arrowstyle": "-|>", "color": colour, "lw": 1.3, "linestyle": line}
    ax.annotate("", xy=end, xytext=start, arrowprops=style | {"shrinkA": 0, "shrinkB": 0})
    if is_wrong:
        ax.plot((x0 + x1) / 2, (start[1] + end[1]) / 2, "x", color=WRONG, ms=9, mew=2.5, zorder=5)
