"""Lets the book's search find Chinese words: a Sphinx extension.

Chinese writes no spaces, so Sphinx's English search takes a whole phrase for one word, and finds it
only if the reader types all of it. Here the index holds every part of a phrase, so that a word is
found wherever it stands. `search.js` leaves a phrase of the query whole.
"""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
WORD = re.compile(rf"([{HAN}]+)|[^\W{HAN}]+")


class EnglishWithChinese(SearchEnglish):
    """English, as Sphinx reads it, with Chinese words between."""

    js_splitter_code = f'const HAN = "{HAN}";\n' + Path(__file__).with_suffix(".js").read_text()

    def split(self, input: str) -> list[str]:
        found = WORD.finditer(input)
        return [part for word in found for part in (parts(word[1]) if word[1] else [word[0]])]


def parts(phrase: str) -> list[str]:
    """Each piece of a phrase, from its single characters to the whole: 图, 像, 图像."""
    return [phrase[a:b] for a, b in combinations(range(len(phrase) + 1), 2)]


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_search_language(EnglishWithChinese)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
