"""A chapter's head is written once, and shown on its page and on the landing page."""

import base64
import io

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from book.tools.execute import RECORD
from book.tools.pages import heads, pictures

TOC = "parts:\n  - caption: Labs\n    chapters:\n      - file: labs/b\n      - file: labs/a\n"


def encoded(size, colour):
    buffer = io.BytesIO()
    Image.new("RGB", size, colour).save(buffer, "png")
    return base64.b64encode(buffer.getvalue()).decode()


def shown(data, tags=(), caption="A red square, and *nothing* else."):
    figure = {"name": "fig", "caption": caption}
    outputs = [new_output("display_data", data)]
    return new_code_cell(
        "figure", outputs=outputs, metadata={"tags": list(tags), "mystnb": {"figure": figure}}
    )


def size(path):
    with Image.open(path) as image:
        return image.size


def page(title, *cells):
    head = new_markdown_cell(f"({title.lower()})=\n# {title}\n\nSee what\nis seen.")
    return new_notebook(cells=[head, *cells])


@pytest.fixture
def site(tmp_path):
    (tmp_path / "_toc.yml").write_text(TOC)
    return tmp_path


def test_title_picture_and_promise_stand_under_the_title_and_on_a_card(site):
    red = shown({"image/png": encoded((900, 400), "red")}, ["title-picture", "cover-picture"])
    pages = {"labs/a": page("A", shown({"text/plain": "1"}), red), "labs/b": page("B")}
    heads.lay_out(pages, site)
    assert pages["labs/a"].cells[0].source == (
        "(a)=\n# A\n\n:::{div} promise\nSee what is seen.\n:::\n\n"
        "```{image} /_heads/labs-a-page.webp\n"
        ":alt: Title picture. A red square, and nothing else.\n:class: title-picture\n```"
    )
    assert (
        pages["labs/b"].cells[0].source == "(b)=\n# B\n\n:::{div} promise\nSee what is seen.\n:::"
    )
    cards = (site / "_heads/labs.md").read_text()
    assert cards.index("**B**\n\nSee what is seen.") < cards.index("**A**\n\nSee what is seen.")
    assert cards.count(":link: a\n") == cards.count("labs-a-card.webp") == 1
    assert "labs-b-card" not in cards
    names = ("labs-a-page", "labs-a-card", "cover")
    sizes = [size(site / f"_heads/{name}.webp") for name in names]
    assert sizes == [(900, 400), pictures.CARD, (pictures.WIDEST, 533)]


def test_no_picture_is_promised_where_the_data_of_its_cell_are_absent(site):
    pages = {"labs/a": page("A", shown({"text/plain": "absent"}, ["title-picture"]))}
    pages["labs/a"].metadata[RECORD] = {"left_out": {"cells": 1}}
    heads.lay_out(pages, site)
    assert "image" not in pages["labs/a"].cells[0].source + (site / "_heads/labs.md").read_text()


def test_a_title_picture_without_a_picture_is_refused(site):
    pages = {"labs/a": page("A", shown({"text/plain": "1"}, ["title-picture"]))}
    pages["labs/a"].metadata[RECORD] = {"left_out": {}}
    with pytest.raises(ValueError, match="labs/a: the cell tagged title-picture put out no"):
        heads.lay_out(pages, site)


@pytest.mark.parametrize(("count", "columns", "rows"), [(10, 4, 2), (5, 2, 1), (1, 1, 1)])
def test_images_of_a_gallery_are_one_picture_in_full_rows(count, columns, rows):
    colours = ["red", "blue"] * count
    tiles = [f'<img src="data:image/png;base64,{encoded((40, 40), c)}">' for c in colours[:count]]
    picture = pictures.drawn(shown({"text/html": "".join(tiles)}))
    side = (pictures.WIDEST - (columns - 1) * pictures.GAP) / columns
    assert picture.size == (
        pictures.WIDEST,
        rows * round(side) + (rows - 1) * pictures.GAP,
    )
    last = (255, 0, 0) if columns % 2 else (0, 0, 255)
    assert picture.getpixel((5, picture.height - 5)) == (255, 0, 0)
    assert picture.getpixel((pictures.WIDEST - 5, 5)) == last


def test_a_white_margin_is_cut_off_and_a_white_picture_is_kept():
    sheet = Image.new("RGB", (30, 30), "white")
    assert pictures.trimmed(sheet).size == (30, 30)
    sheet.paste("red", (10, 12, 20, 18))
    assert pictures.trimmed(sheet).size == (10, 6)


def test_of_a_tower_the_upper_part_is_shown():
    sheet = Image.new("RGB", (10, 40), "red")
    sheet.paste("blue", (0, 0, 10, 10))
    assert pictures.trimmed(sheet).getcolors() == [(100, (0, 0, 255))]


def test_a_card_shows_the_whole_picture():
    sheet = Image.new("RGB", (300, 400), "red")
    sheet.paste("blue", (0, 0, 300, 200))
    card = pictures.on_card(pictures.trimmed(sheet))
    ends = [card.getpixel((card.width // 2, y)) for y in (0, card.height - 1)]
    assert ends == [(0, 0, 255), (255, 0, 0)]
    assert card.size == pictures.CARD
