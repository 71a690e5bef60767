"""One way to put a control on a page: a function of a few choices, and what it draws for each.

In a kernel (Jupyter, Colab) the function runs whenever a slider moves, by ipywidgets. A rendered
page has no kernel: when the book is built, `MMTUTOR_PAGE` is set, every combination of the choices
is drawn once, and the page shows the one that its sliders point at.
"""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import os
from collections.abc import Callable, Sequence
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from mmtutor import checks

if TYPE_CHECKING:
    from ipywidgets import Widget

MOST_FRAMES = 150
COLOURS = 64  # of a drawn frame: a fifth of the bytes, and no difference to the eye
SCRIPT = """
for (const root of document.querySelectorAll('[data-mark="MARK"]:not([data-on])')) {
  root.dataset.on = "1";
  const sliders = [...root.querySelectorAll("input")], place = root.querySelector("[data-frame]");
  const stored = root.querySelector("script[type='application/json']");
  const {labels, frames} = JSON.parse(stored.textContent);
  const update = () => {
    let at = 0;
    sliders.forEach((slider, i) => {
      at = at * labels[i].length + Number(slider.value);
      slider.nextElementSibling.textContent = labels[i][slider.value];
      slider.setAttribute("aria-valuetext", labels[i][slider.value]);
    });
    place.innerHTML = frames[at][0];
    root.querySelector("p").textContent = frames[at][1];
  };
  sliders.forEach((slider) => slider.addEventListener("input", update));
  update();
}
"""


class _Frame(NamedTuple):
    """What a control shows for one combination of its choices: HTML, and a sentence below it."""

    shown: str
    sentence: str


class Control:
    """`draw(**choice)` under a slider for each of the `choices`; see the module.

    Args:
        draw: returns a matplotlib figure, an object that Jupyter can show as HTML, or HTML text; or
            one of these and a sentence that says what is seen.
        choices: name -> the values that its slider stops at, in order; the name is the slider's
            label, with spaces for underscores.
        start: name -> the value at which its slider begins; the first one without it.

    Raises:
        TypeError: `draw` is no function, or values are no list.
        ValueError: no choice, a choice without values, more than 150 combinations, which a page
            could not hold, or a start that is no choice.
    """

    def __init__(
        self, draw: Callable[..., Any], start: dict[str, Any] | None = None, **choices: Sequence
    ) -> None:
        checks.instance(Callable, draw=draw)
        if not choices:
            raise ValueError("choices must name at least one slider and its values, got none")
        self.choices = {n: checks.listed(object, **{n: values}) for n, values in choices.items()}
        for name, values in self.choices.items():
            checks.same_length(**{name: values})
        count = prod(map(len, self.choices.values()))
        if count > MOST_FRAMES:
            raise ValueError(f"choices must combine to at most {MOST_FRAMES} frames, got {count}")
        self.draw = draw
        first = {name: values[0] for name, values in self.choices.items()}
        checks.instance(dict, start=start or {})
        self.start = first | (start or {})
        for name, value in self.start.items():
            checks.one_of(tuple(self.choices), start=name)
            checks.one_of(self.choices[name], **{f"start[{name!r}]": value})

    def frame(self, **choice: Any) -> _Frame:
        """What is shown for one combination."""
        made = self.draw(**choice)
        shown, sentence = made if isinstance(made, tuple) else (made, "")
        return _Frame(_as_html(shown, sentence), sentence)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if os.environ.get("MMTUTOR_PAGE"):
            return {"text/html": self.page(), "text/plain": repr(self)}
        return self.widget()._repr_mimebundle_()

    def __repr__(self) -> str:
        return f"Control of {', '.join(self.choices)}"

    def widget(self) -> Widget:
        """The control as ipywidgets, which draw anew whenever a slider moves."""
        from ipywidgets import HTML, Label, SelectionSlider, VBox

        sliders = {
            name: SelectionSlider(
                options=[(_label(value), value) for value in values],
                value=self.start[name],
                description=name.replace("_", " "),
                style={"description_width": "initial"},
            )
            for name, values in self.choices.items()
        }
        place, sentence = HTML(), Label()

        def update(_: Any = None) -> None:
            chosen = {name: slider.value for name, slider in sliders.items()}
            place.value, sentence.value = self.frame(**chosen)

        for slider in sliders.values():
            slider.observe(update, "value")
        update()
        return VBox([*sliders.values(), place, sentence])

    def page(self) -> str:
        """The control as HTML that needs neither kernel nor network: every frame is in it."""
        combinations = product(*self.choices.values())
        frames = [self.frame(**dict(zip(self.choices, each, strict=True))) for each in combinations]
        labels = [[_label(value) for value in values] for values in self.choices.values()]
        stored = json.dumps({"labels": labels, "frames": frames}).replace("<", "\\u003c")
        mark = hashlib.sha256(stored.encode()).hexdigest()[:12]
        sliders = "".join(
            f'<label style="display:flex;gap:.8em;align-items:center">{name.replace("_", " ")}'
            f'<input type="range" min="0" max="{len(values) - 1}" '
            f'value="{values.index(self.start[name])}" style="flex:1;min-width:6em">'
            f'<output style="min-width:3.5em"></output></label>'
            for name, values in self.choices.items()
        )
        return (
            f'<div class="control" data-mark="{mark}" style="max-width:640px">{sliders}'
            f'<div data-frame></div><p aria-live="polite"></p>'
            f"<noscript>This control needs JavaScript.</noscript>"
            f'<script type="application/json">{stored}</script>'
            f"<script>{SCRIPT.replace('MARK', mark)}</script></div>"
        )


def _label(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _as_html(shown: Any, sentence: str) -> str:
    """A figure as an image in HTML, text as it is, another object as Jupyter would show it."""
    from matplotlib.figure import Figure
    from PIL import Image

    if isinstance(shown, str):
        return shown
    if not isinstance(shown, Figure):
        return shown._repr_html_()
    drawn, file = io.BytesIO(), io.BytesIO()
    shown.savefig(drawn, format="png")
    Image.open(drawn).convert("RGB").quantize(COLOURS).save(file, format="png")
    data = base64.b64encode(file.getvalue()).decode()
    alt = html.escape(sentence or "what the sliders have chosen", quote=True)
    return f'<img src="data:image/png;base64,{data}" alt="{alt}" style="max-width:100%">'
