"""What is done to the HTML that Jupyter Book has written, and what is laid beside it."""

from __future__ import annotations

import base64
import importlib.util
import re
import shutil
from pathlib import Path
from urllib.parse import unquote

from PIL import Image

from book.tools.layout import digest

# The theme's icons come from its fonts; this script would draw them again, from 0.5 MB of paths.
ICONS = re.compile(r'<script defer src="[^"]*fontawesome\.js[^"]*"></script>\n?')
INLINE = re.compile(r"data:(?:image|audio)/(\w+);base64,([A-Za-z0-9+/=]{1000,})")
SCROLL = f"<script>\n{Path(__file__).with_name('scroll.js').read_text(encoding='utf-8')}</script>\n"
PICTURE = re.compile(r'<img (?![^>]*\bwidth=)([^>]*\bsrc="([^":]*_images/[^":]+)")')
WIDE = 750  # pixels; the letters of a drawing that is wider cannot be read on a phone
MATHJAX = ("tex-chtml.js", "output/chtml/fonts")


def copy_mathjax(target: Path) -> None:
    """Take MathJax from its wheel, so that formulas need no network."""
    wheel = importlib.util.find_spec("sphinx-mathjax-offline")
    source = Path(wheel.origin).parent / "static" / "mathjax"
    for name in MATHJAX:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy2
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        copy(source / name, target / name)


def finish(page: Path, html: Path) -> None:
    """Make a page lighter, and let those read it who use keys or a screen reader."""
    text = lighten(page.read_text(encoding="utf-8"), page, html)
    text = sized(text, page)
    # Entries of a bibliography are items of its list, but axe and screen readers miss them there.
    text = text.replace('role="doc-biblioentry"', 'role="listitem"')
    page.write_text(text.replace("</body>", f"{SCROLL}</body>"), encoding="utf-8")


def lighten(text: str, page: Path, html: Path) -> str:
    """Put the pictures and sounds of a page's text into files, leave out what it loads twice."""
    root = "../" * (len(page.relative_to(html).parts) - 1)

    def file(inline: re.Match) -> str:
        content = base64.b64decode(inline[2])
        name = f"_inline/{digest([content])[:16]}.{inline[1]}"
        (html / name).parent.mkdir(exist_ok=True)
        (html / name).write_bytes(content)
        return root + name

    return INLINE.sub(file, ICONS.sub("", text))


def sized(text: str, page: Path) -> str:
    """Say how large each picture is, so that nothing moves when it comes."""

    def told(found: re.Match) -> str:
        with Image.open(page.parent / unquote(found[2])) as picture:
            size = f'width="{picture.width}" height="{picture.height}"'
            return f"<img {size} {'data-wide ' * (picture.width > WIDE)}{found[1]}"

    return PICTURE.sub(told, text)
