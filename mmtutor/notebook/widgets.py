"""One way to put a control on a page: a function of a few choices, and what it draws for each.

In a kernel (Jupyter, Colab) the function runs whenever a choice changes, by ipywidgets. A rendered
page has no kernel: when the book is built, `MMTUTOR_PAGE` is set, every combination of the choices
is drawn once, and the page shows the one that is chosen. Numbers get a slider, words get buttons.
"""

from __future__ import annotations

import base64
import hashlib
import html
import inspect
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
TYPED_NOTE = "Prepared choices. In a kernel you can type your own."
SCRIPT = """
for (const root of document.querySelectorAll('[data-mark="MARK"]:not([data-on])')) {
  root.dataset.on = "1";
  const choices = [...root.querySelectorAll("[data-choice]")];
  const places = [...root.querySelectorAll("[data-part]")];
  const stored = root.querySelector("script[type='application/json']");
  const {labels, parts, frames} = JSON.parse(stored.textContent);
  const update = () => {
    let at = 0;
    choices.forEach((choice, i) => {
      const input = choice.querySelector("input[type=range], input:checked");
      at = at * labels[i].length + Number(input.value);
      if (input.type !== "range") return;
      input.nextElementSibling.textContent = labels[i][input.value];
      input.setAttribute("aria-valuetext", labels[i][input.value]);
    });
    const [shown, sentence] = frames[at];
    places.forEach((place, i) => {
      if (place.dataset.part === String(shown[i])) return;
      place.dataset.part = shown[i];
      place.innerHTML = parts[shown[i]];
    });
    root.querySelector("[aria-live]").textContent = sentence;
  };
  root.addEventListener("input", update);
  update();
}
"""


class _Frame(NamedTuple):
    """What a control shows for one combination of its choices: HTML, and a sentence below it."""

    parts: list[str]
    sentence: str


class Control:
    """`draw(**choice)` under its `choices`; see the module.

    Args:
        draw: returns a matplotlib figure, an object that Jupyter can show as HTML, HTML text, or a
            list of these; or one of these and a sentence that says what is seen. The first line of
            its docstring says what it draws, for readers who do not see it.
        start: name -> the value with which its choice begins; the first one without it.
        typed: the name of a choice of words for which, in a kernel, a reader may type others. What
            `draw` refuses with a ValueError is shown as the sentence.
        choices: name -> its values, in order. Words are offered as buttons, all else on a slider;
            the name is its label, with spaces for underscores.

    Raises:
        TypeError: `draw` is no function, or values are no list.
        ValueError: no choice, a choice without values, more than 150 combinations, which a page
            could not hold, a start that is no choice, or `typed` is no choice of words.
    """

    def __init__(
        self,
        draw: Callable[..., Any],
        start: dict[str, Any] | None = None,
        typed: str | None = None,
        **choices: Sequence,
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
        self.draw, self.typed = draw, typed
        first = {name: values[0] for name, values in self.choices.items()}
        checks.instance(dict, start=start or {})
        self.start = first | (start or {})
        for name, value in self.start.items():
            checks.one_of(tuple(self.choices), start=name)
            checks.one_of(self.choices[name], **{f"start[{name!r}]": value})
        if typed is not None:
            checks.one_of(tuple(self.choices), typed=typed)
            if not self._in_words(typed):
                raise ValueError(f"typed must be a choice of words, got {typed!r}")

    def frame(self, **choice: Any) -> _Frame:
        """What is shown for one combination."""
        made = self.draw(**choice)
        shown, sentence = made if isinstance(made, tuple) else (made, "")
        chosen = ", ".join(f"{_spoken(name)} = {_label(value)}" for name, value in choice.items())
        alt = f"{self._drawn()} ({chosen})"
        parts = shown if isinstance(shown, list) else [shown]
        return _Frame([_as_html(part, alt) for part in parts], sentence)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        if os.environ.get("MMTUTOR_PAGE"):
            return {"text/html": self.page(), "text/plain": repr(self)}
        return self.widget()._repr_mimebundle_()

    def __repr__(self) -> str:
        return f"Control of {', '.join(self.choices)}"

    def widget(self) -> Widget:
        """The control as ipywidgets, which draw anew whenever a choice changes."""
        from ipywidgets import HTML, VBox

        choices = {name: self._chooser(name) for name in self.choices}
        places, sentence = [HTML() for _ in self.frame(**self.start).parts], HTML()

        def update(_: Any = None) -> None:
            try:
                frame = self.frame(**{name: choice.value for name, choice in choices.items()})
            except ValueError as error:
                if self.typed is None:
                    raise
                sentence.value = html.escape(str(error))
                return
            for place, part in zip(places, frame.parts, strict=True):
                place.value = part
            sentence.value = html.escape(frame.sentence)

        for choice in choices.values():
            choice.observe(update, "value")
        update()
        return VBox([*choices.values(), *places, sentence])

    def _chooser(self, name: str) -> Widget:
        """A field to type in, buttons, or a slider."""
        import ipywidgets

        values, about = self.choices[name], {"value": self.start[name]}
        about |= {"description": _spoken(name), "style": {"description_width": "initial"}}
        if name == self.typed:
            return ipywidgets.Combobox(options=values, continuous_update=True, **about)
        if self._in_words(name):
            about["style"]["button_width"] = "auto"
            return ipywidgets.ToggleButtons(options=values, **about)
        named = [(_label(value), value) for value in values]
        return ipywidgets.SelectionSlider(options=named, **about)

    def page(self) -> str:
        """The control as HTML that needs neither kernel nor network: every frame is in it."""
        frames = {
            each: self.frame(**dict(zip(self.choices, each, strict=True)))
            for each in product(*self.choices.values())
        }
        first = frames[tuple(self.start[name] for name in self.choices)]
        parts = list(dict.fromkeys(part for frame in frames.values() for part in frame.parts))
        number = {part: i for i, part in enumerate(parts)}  # what frames share is stored once
        stored = {
            "labels": [[_label(value) for value in values] for values in self.choices.values()],
            "parts": parts,
            "frames": [[[number[p] for p in parts], said] for parts, said in frames.values()],
        }
        text = json.dumps(stored).replace("<", "\\u003c")
        mark = hashlib.sha256(text.encode()).hexdigest()[:12]
        choices = "".join(self._choice(name, mark) for name in self.choices)
        places = "".join(f'<div data-part="{number[part]}">{part}</div>' for part in first.parts)
        return (
            f'<div class="control" data-mark="{mark}" style="max-width:640px">{choices}'
            f'{places}<p aria-live="polite">{html.escape(first.sentence)}</p>'
            f"<noscript>This control needs JavaScript.</noscript>"
            f'<script type="application/json">{text}</script>'
            f"<script>{SCRIPT.replace('MARK', mark)}</script></div>"
        )

    def _choice(self, name: str, mark: str) -> str:
        """A choice as HTML: radio buttons, or a slider with its value beside it."""
        values, label = self.choices[name], html.escape(_spoken(name))
        begin = values.index(self.start[name])
        if not self._in_words(name):
            return (
                f'<label data-choice>{label}<input type="range" min="0" max="{len(values) - 1}" '
                f'value="{begin}"><output></output></label>'
            )
        buttons = "".join(
            f'<label><input type="radio" name="{mark}-{label}" value="{i}"'
            f"{' checked' if i == begin else ''}>{html.escape(value)}</label>"
            for i, value in enumerate(values)
        )
        note = f"<small>{TYPED_NOTE}</small>" if name == self.typed else ""
        return f"<fieldset data-choice><legend>{label}</legend>{buttons}{note}</fieldset>"

    def _in_words(self, name: str) -> bool:
        return all(isinstance(value, str) for value in self.choices[name])

    def _drawn(self) -> str:
        """What `draw` draws: the first line of its docstring, or its name."""
        name = getattr(self.draw, "__name__", type(self.draw).__name__)
        return (inspect.getdoc(self.draw) or _spoken(name)).partition("\n")[0].rstrip(".")


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _label(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _as_html(shown: Any, alt: str) -> str:
    """A figure as an image in HTML, text as it is, another object as Jupyter would show it."""
    from matplotlib.figure import Figure
    from PIL import Image

    if isinstance(shown, str):
        return shown
    if not isinstance(shown, Figure):
        return shown._repr_html_()
    drawn, file = io.BytesIO(), io.BytesIO()
    shown.savefig(drawn, format="png")
    image = Image.open(drawn).convert("RGB")
    image.quantize(COLOURS).save(file, format="png")
    data = base64.b64encode(file.getvalue()).decode()
    width, height = image.size
    return (
        f'<img src="data:image/png;base64,{data}" alt="{html.escape(alt)}" width="{width}" '
        f'height="{height}" style="max-width:100%;height:auto">'
    )
