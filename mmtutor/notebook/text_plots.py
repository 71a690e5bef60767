"""Pictures of texts: pieces in boxes, attention, positions, curves against length.

Knows finished pieces and numbers; loads nothing and computes no result. Pieces in any script are
drawn by the browser; Matplotlib is imported where it is used.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from IPython.display import HTML
    from matplotlib.figure import Figure

SHADES = ("#0072B233", "#E69F0033", "#009E7333", "#CC79A733")


def pieces_in_boxes(texts: Mapping[str, Sequence[str]]) -> HTML:
    """Each text's pieces in coloured boxes after its name, with their number; spaces as ␣."""
    from IPython.display import HTML

    lines = []
    for name, pieces in texts.items():
        boxes = "".join(
            f'<span style="background:{SHADES[i % len(SHADES)]};border-radius:3px;'
            f'padding:1px 4px;margin:1px;display:inline-block">{_visible(piece)}</span>'
            for i, piece in enumerate(pieces)
        )
        lines.append(f"<p><b>{html.escape(name)}</b> ({len(pieces)})<br>{boxes}</p>")
    return HTML(f'<div style="line-height:1.8">{"".join(lines)}</div>')


def attention_map(weights: Tensor, pieces: Sequence[str]) -> Figure:
    """Who looks at whom, one square for each head.

    Args:
        weights: (heads, L, L), each row a distribution.
        pieces: L names, in Latin letters.
    """
    import matplotlib.pyplot as plt

    heads, length = weights.shape[0], weights.shape[-1]
    if len(pieces) != length:
        raise ValueError(f"got {len(pieces)} pieces for weights over {length}")
    figure, axes = plt.subplots(
        1, heads, figsize=(3.2 * heads, 3.6), squeeze=False, sharey=True, layout="constrained"
    )
    for head, axis in enumerate(axes[0]):
        axis.imshow(weights[head].detach().float().cpu().numpy(), vmin=0, vmax=1)
        axis.grid(False)
        axis.set_xticks(range(length), pieces, rotation=90, fontsize=8)
        axis.set_yticks(range(length), pieces, fontsize=8)
        axis.set_title(f"head {head + 1}")
    plt.close(figure)
    return figure


def position_map(positions: Tensor) -> Figure:
    """Position vectors (L, D) as colours: one row for each place, one column for each entry."""
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(layout="constrained")
    drawn = axis.imshow(positions.detach().cpu().numpy(), aspect="auto", cmap="coolwarm")
    axis.grid(False)
    axis.set(xlabel="entry of the vector", ylabel="position")
    figure.colorbar(drawn)
    plt.close(figure)
    return figure


def _visible(piece: str) -> str:
    return html.escape(piece).replace(" ", "␣") or "∅"
