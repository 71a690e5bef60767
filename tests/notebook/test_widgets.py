"""Controls: one function, drawn live by ipywidgets and beforehand for a page."""

import json
import re

import pytest
from IPython.display import HTML

from mmtutor.notebook.plots import panels
from mmtutor.notebook.widgets import MOST_FRAMES, TYPED_NOTE, Control


def line(slope, intercept=0):
    """A straight line.

    More on it.
    """
    figure, (axis,) = panels(1, size=(2, 1))
    axis.plot([0, 1], [intercept, intercept + slope])
    return figure, f"{slope} x + {intercept}"


def stored(control):
    text = re.search(r'<script type="application/json">(.*?)</script>', control.page())[1]
    return json.loads(text)


def frames(control):
    """What a reader of the page sees for each combination, in the order its script counts."""
    found = stored(control)
    return [([found["parts"][i] for i in shown], said) for shown, said in found["frames"]]


def test_a_page_holds_every_combination_in_the_order_its_script_counts():
    control = Control(line, slope=[1.0, 2.0], intercept=[0, 5, 9])
    assert stored(control)["labels"] == [["1", "2"], ["0", "5", "9"]]
    assert [said for _, said in frames(control)] == [
        f"{slope} x + {intercept}" for slope in (1.0, 2.0) for intercept in (0, 5, 9)
    ]
    images = [image for [image], _ in frames(control)]
    assert len(set(images)) == 6
    assert all(image.startswith('<img src="data:image/png;base64,') for image in images)


def test_each_frame_says_what_it_shows_to_readers_who_do_not_see_it():
    [image] = Control(line, slope=[1.0]).frame(slope=1.0, intercept=9).parts
    assert 'alt="A straight line (slope = 1, intercept = 9)"' in image
    assert re.search(r'width="\d+" height="\d+"', image)
    nameless = Control(lambda bird_or_cat: line(1), bird_or_cat=["<b>"])
    [image] = nameless.frame(bird_or_cat="<b>").parts
    assert 'alt="&lt;lambda&gt; (bird or cat = &lt;b&gt;)"' in image


def test_a_page_shows_the_start_before_its_script_has_run():
    page = Control(line, start={"slope": 2.0}, slope=[1.0, 2.0]).page().split("<noscript>")[0]
    assert 'value="1"' in page
    assert "(slope = 2)" in page
    assert "(slope = 1)" not in page
    assert '<p aria-live="polite">2.0 x + 0</p>' in page


def test_words_are_buttons_and_numbers_are_sliders():
    control = Control(line, slope=[1, 2], intercept=[0, 5])
    assert control.page().count('type="range"') == 2
    control = Control(lambda word: word, start={"word": "b<"}, word=["a", "b<"])
    assert 'type="range"' not in control.page()
    assert "<legend>word</legend>" in control.page()
    assert re.search(
        r'type="radio" name="\w+-word" value="1" checked>b&lt;</label>', control.page()
    )
    buttons, place, _ = control.widget().children
    assert type(buttons).__name__ == "ToggleButtons"
    buttons.value = "a"
    assert place.value == "a"


def test_the_live_widget_draws_anew_when_a_slider_moves():
    control = Control(line, start={"slope": 2.0}, slope=[1.0, 2.0], intercept=[0, 5])
    slope, intercept, place, sentence = control.widget().children
    assert sentence.value == "2.0 x + 0"
    before = place.value
    intercept.value = 5
    assert sentence.value == "2.0 x + 5"
    assert place.value != before
    assert [place.value] == control.frame(slope=2.0, intercept=5).parts
    assert [label for label, _ in slope.options] == ["1", "2"]


def test_several_parts_are_shown_below_each_other_and_stored_once():
    control = Control(
        lambda x, sound: [f"<audio src={sound}>", f"{x}{sound}"], x=[1, 2], sound=["a", "b"]
    )
    assert stored(control)["parts"] == ["<audio src=a>", "1a", "<audio src=b>", "1b", "2a", "2b"]
    assert frames(control)[2] == (["<audio src=a>", "2a"], "")
    assert [part for part, _ in frames(control)][3] == ["<audio src=b>", "2b"]
    x, _, heard, seen, _ = control.widget().children
    x.value = 2
    assert (heard.value, seen.value) == ("<audio src=a>", "2a")


def test_in_a_kernel_other_words_may_be_typed_and_a_refusal_is_shown():
    def spelled(word):
        if not word:
            raise ValueError("word must be <given>")
        return "-".join(word)

    control = Control(spelled, typed="word", word=["cat", "dog"])
    field, place, sentence = control.widget().children
    field.value = "ox"
    assert place.value == "o-x"
    field.value = ""
    assert (place.value, sentence.value) == ("o-x", "word must be &lt;given&gt;")
    field.value = "cat"
    assert (place.value, sentence.value) == ("c-a-t", "")
    assert TYPED_NOTE in control.page()
    untyped = Control(spelled, word=["cat", ""]).widget().children[0]
    assert TYPED_NOTE not in Control(spelled, word=["cat"]).page()
    with pytest.raises(ValueError, match="word must be"):
        untyped.value = ""


def test_what_jupyter_gets_depends_on_who_asks(monkeypatch):
    control = Control(line, slope=[1, 2])
    monkeypatch.setenv("MMTUTOR_PAGE", "1")
    assert set(control._repr_mimebundle_()) == {"text/html", "text/plain"}
    monkeypatch.delenv("MMTUTOR_PAGE")
    assert "application/vnd.jupyter.widget-view+json" in control._repr_mimebundle_()


def test_html_is_shown_as_it_is_and_ends_no_script():
    control = Control(lambda word: (HTML(f"<b>{word}</b>"), "</script>"), word=["a", "b"])
    assert frames(control) == [(["<b>a</b>"], "</script>"), (["<b>b</b>"], "</script>")]
    control = Control(lambda word: f"<i>{word}</i>", word=["a"])
    assert control.frame(word="x").parts == ["<i>x</i>"]


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        ({}, ValueError, "at least one slider|name at least one"),
        ({"slope": []}, ValueError, "slope must be not empty"),
        ({"slope": "abc"}, TypeError, "slope must be a list"),
        ({"slope": range(MOST_FRAMES + 1)}, ValueError, "at most 150 frames, got 151"),
        ({"slope": [1, 2], "start": {"slope": 3}}, ValueError, r"start\['slope'\] must be 1 or 2"),
        ({"slope": [1, 2], "start": {"slop": 1}}, ValueError, "start must be"),
        (
            {"slope": [1, 2], "word": ["a"], "typed": "slope"},
            ValueError,
            "be a choice of words, got 'slope'",
        ),
        ({"word": ["a"], "typed": "wrod"}, ValueError, "typed must be 'word', got 'wrod'"),
    ],
)
def test_bad_choices_are_refused(arguments, error, says):
    with pytest.raises(error, match=says):
        Control(line, **arguments)
