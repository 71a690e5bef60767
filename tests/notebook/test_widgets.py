"""Controls: one function, drawn live by ipywidgets and beforehand for a page."""

import json
import re

import pytest
from IPython.display import HTML

from mmtutor.notebook.plots import panels
from mmtutor.notebook.widgets import MOST_FRAMES, Control


def line(slope, intercept=0):
    figure, (axis,) = panels(1, size=(2, 1))
    axis.plot([0, 1], [intercept, intercept + slope])
    return figure, f"{slope} x + {intercept}"


def frames(control):
    stored = re.search(r'<script type="application/json">(.*?)</script>', control.page())[1]
    return json.loads(stored)


def test_a_page_holds_every_combination_in_the_order_its_script_counts():
    found = frames(Control(line, slope=[1.0, 2.0], intercept=[0, 5, 9]))
    assert found["labels"] == [["1", "2"], ["0", "5", "9"]]
    assert [sentence for _, sentence in found["frames"]] == [
        f"{slope} x + {intercept}" for slope in (1.0, 2.0) for intercept in (0, 5, 9)
    ]
    images = [shown for shown, _ in found["frames"]]
    assert len(set(images)) == 6
    assert 'alt="2.0 x + 9"' in images[-1]
    assert all(image.startswith('<img src="data:image/png;base64,') for image in images)


def test_the_live_widget_draws_anew_when_a_slider_moves():
    control = Control(line, start={"slope": 2.0}, slope=[1.0, 2.0], intercept=[0, 5])
    slope, intercept, place, sentence = control.widget().children
    assert sentence.value == "2.0 x + 0"
    before = place.value
    intercept.value = 5
    assert sentence.value == "2.0 x + 5"
    assert place.value != before
    assert place.value == control.frame(slope=2.0, intercept=5).shown
    assert [label for label, _ in slope.options] == ["1", "2"]


def test_what_jupyter_gets_depends_on_who_asks(monkeypatch):
    control = Control(line, slope=[1, 2])
    monkeypatch.setenv("MMTUTOR_PAGE", "1")
    assert set(control._repr_mimebundle_()) == {"text/html", "text/plain"}
    monkeypatch.delenv("MMTUTOR_PAGE")
    assert "application/vnd.jupyter.widget-view+json" in control._repr_mimebundle_()


def test_html_is_shown_as_it_is_and_ends_no_script():
    control = Control(lambda word: (HTML(f"<b>{word}</b>"), "</script>"), word=["a", "b"])
    assert frames(control)["frames"] == [["<b>a</b>", "</script>"], ["<b>b</b>", "</script>"]]
    control = Control(lambda word: f"<i>{word}</i>", word=["a"])
    assert control.frame(word="x").shown == "<i>x</i>"


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({}, ValueError, "at least one slider|name at least one"),
        ({"slope": []}, ValueError, "slope must be not empty"),
        ({"slope": "abc"}, TypeError, "slope must be a list"),
        ({"slope": range(MOST_FRAMES + 1)}, ValueError, "at most 150 frames, got 151"),
        ({"slope": [1, 2], "start": {"slope": 3}}, ValueError, r"start\['slope'\] must be 1 or 2"),
        ({"slope": [1, 2], "start": {"slop": 1}}, ValueError, "start must be"),
    ],
)
def test_bad_choices_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        Control(line, **arguments)
