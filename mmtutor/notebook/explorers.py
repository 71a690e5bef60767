"""Sliders that work in a rendered page without a kernel and without a network.

Knows how to put data and the script `explorers.js`, which computes and draws, into one piece of
HTML. Computes nothing itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from math import log10
from typing import TYPE_CHECKING, Any

from torch import Tensor

if TYPE_CHECKING:
    from IPython.display import HTML


@dataclass(frozen=True)
class _Slider:
    """A slider: `low`, `high` and `start` are values; `log` spaces them by their logarithm."""

    name: str
    label: str
    low: float
    high: float
    start: float
    log: bool = False

    def html(self) -> str:
        """The slider with its label and the place for its value."""
        low, high, start = (
            log10(value) if self.log else value for value in (self.low, self.high, self.start)
        )
        data = ' data-log="1"' if self.log else ""
        return (
            f'<label style="display:flex;gap:.8em;align-items:center">{escape(self.label)}'
            f'<input type="range" name="{self.name}" min="{low}" max="{high}" value="{start}" '
            f'step="{(high - low) / 200}"{data} style="flex:1;min-width:6em">'
            f'<output style="width:3.5em"></output></label>'
        )


TEMPERATURE = _Slider("temperature", "temperature", 0.05, 10, 1, log=True)


def softmax_temperature(logits: Sequence[float] | Tensor, labels: Sequence[str] = ()) -> HTML:
    """The softmax of C logits as bars, under a slider for the temperature.

    `labels`: C names; the logits themselves without them.
    """
    values = _listed(logits, 1, "logits")
    names = list(labels) or [f"{value:g}" for value in values]
    if len(names) != len(values):
        raise ValueError(f"got {len(names)} labels for {len(values)} logits")
    return _explorer("softmax_temperature", {"logits": values, "labels": names}, TEMPERATURE)


def info_nce_temperature(similarity: Tensor, start: float = 0.1) -> HTML:
    """Row softmax of a square similarity matrix (B, B), B at least 2, and its InfoNCE loss.

    Row i is an image, column j a text, and the pairs stand on the diagonal; `start` is the
    temperature at first.
    """
    rows = _listed(similarity, 2, "similarity")
    if len(rows) < 2 or len(rows) != len(rows[0]):
        raise ValueError(f"similarity is {len(rows)} x {len(rows[0])}: expected B x B, B >= 2")
    slider = _Slider("temperature", "temperature", 0.01, 2, start, log=True)
    return _explorer("info_nce_temperature", {"similarity": rows}, slider)


def fusion_weight(
    one: Tensor, other: Tensor, label: Tensor, names: tuple[str, str] = ("image", "text")
) -> HTML:
    """Accuracy of alpha * one + (1 - alpha) * other under a slider for alpha, with its curve.

    Args:
        one, other: (N, C) scores of two models for the same examples.
        label: (N,) int64, the right class of each.
        names: what to call the two.
    """
    if one.shape != other.shape or label.shape != one.shape[:1] or one.ndim != 2:
        shapes = f"{tuple(one.shape)}, {tuple(other.shape)} and {tuple(label.shape)}"
        raise ValueError(f"expected scores (N, C) twice and labels (N,), got {shapes}")
    data = {
        "one": _rounded(one),
        "other": _rounded(other),
        "label": label.tolist(),
        "names": list(names),
    }
    return _explorer("fusion_weight", data, _Slider("alpha", "alpha", 0, 1, 0.5))


def descent(steepness: float = 12.0, steps: int = 60) -> HTML:
    """Gradient descent with momentum on (x^2 + steepness y^2) / 2, seen from above.

    Two sliders, for the learning rate and for the momentum (heavy ball, Polyak 1964). The step
    converges below a learning rate of 2 (1 + momentum) / steepness.
    """
    if steepness < 1 or steps < 1:
        raise ValueError(f"expected steepness and steps >= 1, got {steepness} and {steps}")
    data = {"start": [-4.0, 1.6], "steepness": steepness, "steps": steps}
    rate = _Slider("rate", "learning rate", 0.002, 4 / steepness, 0.8 / steepness)
    return _explorer("descent", data, rate, _Slider("momentum", "momentum", 0, 0.98, 0))


def _explorer(kind: str, data: dict[str, Any], *sliders: _Slider) -> HTML:
    """One self-contained piece of HTML; several on a page do not disturb each other."""
    from IPython.display import HTML

    stored = json.dumps(data).replace("<", "\\u003c")  # so that no text ends the script
    controls = "".join(slider.html() for slider in sliders)
    mark = hashlib.sha256((kind + stored + controls).encode()).hexdigest()[:12]
    return HTML(
        f'<div class="explorer" data-mark="{mark}" style="max-width:640px">{controls}'
        f'<svg viewBox="0 0 640 300" role="img" aria-label="{kind.replace("_", " ")}" '
        'style="width:100%;height:auto;overflow:hidden"></svg><p aria-live="polite"></p>'
        f"<noscript>This picture needs JavaScript.</noscript><script>(() => {{\n{_script()}\n"
        f"for (const root of document.querySelectorAll('[data-mark=\"{mark}\"]:not([data-on])')) "
        f'{{ root.dataset.on = "1"; explore(root, "{kind}", {stored}); }}\n'
        "})();</script></div>"
    )


@cache
def _script() -> str:
    return (files("mmtutor.notebook") / "explorers.js").read_text(encoding="utf-8")


def _listed(values: Sequence[float] | Tensor, dims: int, name: str) -> list:
    """A tensor of `dims` dimensions, or a sequence, as lists of finite numbers."""
    tensor = values.detach().cpu() if isinstance(values, Tensor) else Tensor(values)
    if tensor.ndim != dims or not tensor.numel() or not tensor.isfinite().all():
        raise ValueError(f"{name} must be finite with {dims} dimensions, got {tuple(tensor.shape)}")
    return tensor.double().tolist()


def _rounded(scores: Tensor) -> list:
    """To four places: what the page has to carry."""
    return [[round(value, 4) for value in row] for row in _listed(scores, 2, "scores")]
