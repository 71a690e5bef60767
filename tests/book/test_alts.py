"""Every image of a rendered page says in words what it shows."""

from nbformat.v4 import new_code_cell, new_output

from book.tools.pages import alts

IMG = '<img src="data:," alt="{}">'


def cell(html="", **settings):
    outputs = [new_output("display_data", {"text/html": html})] if html else []
    return new_code_cell("draw()", outputs=outputs, metadata={"mystnb": settings})


def test_a_figure_takes_the_words_of_its_caption_or_its_own():
    caption = "See {ref}`the loop <fig-loop>` of *all* `models`, and {cite:p}`someone`."
    captioned = cell(figure={"caption": caption})
    own = cell(figure={"caption": caption}, image={"alt": "A loop."})
    bare = cell()
    alts.describe([captioned, own, bare])
    said = "See the loop of all models, and someone."
    assert captioned.metadata["mystnb"]["image"]["alt"] == said
    assert own.metadata["mystnb"]["image"]["alt"] == "A loop."
    assert "image" not in bare.metadata["mystnb"]


def test_images_of_galleries_are_named_and_told_apart():
    untitled = cell(IMG.format("image") * 2, image={"alt": "Half a <coat>"})
    titled = cell(IMG.format("bag") + IMG.format("shirt"))
    again = cell(IMG.format("bag"))
    alts.describe([untitled, titled, again])
    shown = [alts.ALT.findall(each.outputs[0].data["text/html"]) for each in (untitled, titled)]
    assert [alt for _, alt in shown[0]] == [f"Half a &lt;coat&gt; ({i} of 2)" for i in (1, 2)]
    assert [alt for _, alt in shown[1]] == ["bag (1 of 2)", "shirt"]
    assert 'alt="bag (2 of 2)"' in again.outputs[0].data["text/html"]


def test_images_that_say_nothing_or_the_same_are_found(tmp_path):
    images = {
        "a.png": "A cat.",
        "b.png": "A cat.",
        "c.png": "",
        "d.png": "_images/d.png",
        "e.png": "A dog.",
    }
    inside = "".join(f'<img src="{src}" alt="{alt}">' for src, alt in images.items())
    logo, again = '<img src="logo.svg" alt="">', '<img src="e.png" alt="A dog.">'
    (tmp_path / "page.html").write_text(f"{logo}<article>{inside}{again}</article>{logo}")
    found = alts.problems(tmp_path)
    assert [line.split(": ")[1] for line in found] == [
        "alt 'A cat.' of a.png, b.png",
        "alt '' of c.png",
        "alt '_images/d.png' of d.png",
    ]
