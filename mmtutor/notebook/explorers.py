"""Sliders that work in a rendered page without a kernel and without a network.

Knows how to put data and the script `explorers.js`, which computes and draws, into one piece of
HTML. Computes nothing itself.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from math import log10
from typing import TYPE_CHECKING, Any

from torch import Tensor

from mmtutor import checks
from mmtutor.notebook.plots.panels import as_numbers

if TYPE_CHECKING:
    from IPython.display import HTML


def _slider(name: str, label: str, low: float, high: float, start: float, log: bool = False) -> str:
    """A slider with its label and the place for its value; `log` spaces values by logarithm."""
    low, high, start = map(log10, (low, high, start)) if log else (low, high, start)
    data = ' data-log="1"' if log else ""
    return (
        f'<label style="display:flex;gap:.8em;align-items:center">{label}'
        f'<input type="range" name="{name}" min="{low}" max="{high}" value="{start}" '
        f'step="{(high - low) / 200}"{data} style="flex:1;min-width:6em">'
        f'<output style="width:3.5em"></output></label>'
    )


def softmax_temperature(logits: Sequence[float] | Tensor) -> HTML:
    """The softmax of C logits as bars, under a slider for the temperature."""
    values = _listed(logits, 1, "logits")
    data = {"logits": values, "labels": [f"{value:g}" for value in values]}
    slider = _slider("temperature", "temperature", 0.05, 10, 1, log=True)
    return _explorer("softmax_temperature", data, slider)


def info_nce_temperature(similarity: Tensor) -> HTML:
    """Row softmax of a square similarity matrix (B, B), B at least 2, and its InfoNCE loss.

    Row i is an image, column j a text, and the pairs stand on the diagonal.
    """
    rows = _listed(similarity, 2, "similarity")
    if len(rows) < 2 or len(rows) != len(rows[0]):
        raise ValueError(f"similarity is {len(rows)} x {len(rows[0])}: expected B x B, B >= 2")
    slider = _slider("temperature", "temperature", 0.01, 2, 0.1, log=True)
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
    sizes = checks.shaped(one=(one, "N C"), other=(other, "N C"), label=(label, "N"))
    checks.finite(one=one, other=other)
    checks.indices(sizes["C"], label=label)
    if len(checks.listed(str, names=names)) != 2:
        raise ValueError(f"names must be two, got {names!r}")
    scores = {"one": one, "other": other}
    data = {k: _listed(s.double().round(decimals=4), 2, "scores") for k, s in scores.items()}
    data |= {"label": label.tolist(), "names": names}
    return _explorer("fusion_weight", data, _slider("alpha", "alpha", 0, 1, 0.5))


def descent() -> HTML:
    """Gradient descent with momentum on (x^2 + 12 y^2) / 2, seen from above.

    Two sliders, for the learning rate and for the momentum (heavy ball, Polyak 1964). The step
    converges below a learning rate of 2 (1 + momentum) / 12.
    """
    data = {"start": [-4.0, 1.6], "steepness": 12.0, "steps": 60}
    rate = _slider("rate", "learning rate", 0.002, 4 / 12, 0.8 / 12)
    return _explorer("descent", data, rate, _slider("momentum", "momentum", 0, 0.98, 0))


def _explorer(kind: str, data: dict[str, Any], *sliders: str) -> HTML:
    """One self-contained piece of HTML; several on a page do not disturb each other."""
    from IPython.display import HTML

    stored = json.dumps(data).replace("<", "\\u003c")  # so that no text ends the script
    controls = "".join(sliders)
    script = (files("mmtutor.notebook") / "explorers.js").read_text(encoding="utf-8")
    mark = hashlib.sha256((kind + stored + controls).encode()).hexdigest()[:12]
    return HTML(
        f'<div class="explorer" data-mark="{mark}" style="max-width:640px">{controls}'
        f'<svg viewBox="0 0 640 300" role="img" aria-label="{kind.replace("_", " ")}" '
        'style="width:100%;height:auto;overflow:hidden"></svg><p aria-live="polite"></p>'
        f"<noscript>This figure needs JavaScript.</noscript><script>(() => {{\n{script}\n"
        f"for (const root of document.querySelectorAll('[data-mark=\"{mark}\"]:not([data-on])')) "
        f'{{ root.dataset.on = "1"; explore(root, "{kind}", {stored}); }}\n'
        "})();</script></div>"
    )


def _listed(values: Sequence[float] | Tensor, dims: int, name: str) -> list:
    """A tensor of `dims` dimensions, or a sequence, as lists of finite numbers."""
    tensor = as_numbers(**{name: values})
    checks.finite(**{name: tensor})
    checks.shaped(**{name: (tensor, "N" if dims == 1 else "N C")})
    return tensor.double().tolist()
