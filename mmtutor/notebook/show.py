"""Show the real source of what a chapter talks about, so that no chapter keeps a copy of code.

Knows how to find and trim source; leaves the colours to the notebook or to the page.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

REPOSITORY = "https://github.com/mmtutor/mmtutor"
BRANCH = "main"


class _Source(NamedTuple):
    """Source text with a link to where it stands; notebooks draw it as highlighted Markdown."""

    code: str
    link: str

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.code}\n```\n{self.link}"

    def __repr__(self) -> str:
        return self.code


def show(obj: Callable | type, docstring: bool = True) -> _Source:
    """The source of a function, class or method.

    Args:
        obj: anything that has Python source of its own.
        docstring: False leaves out the object's own docstring (not those of its methods).

    Raises:
        TypeError: `obj` has no Python source, as built-in functions have none.
    """
    obj = inspect.unwrap(obj) if callable(obj) else obj
    try:
        lines, first = inspect.getsourcelines(obj)
        file = inspect.getsourcefile(obj)
    except (TypeError, OSError) as error:
        message = f"show needs a function, class or method written in Python, got {obj!r}"
        raise TypeError(message) from error
    code = textwrap.dedent("".join(lines)).rstrip()
    link = _link(Path(file or ""), first, first + len(lines) - 1)
    return _Source(code if docstring else _without_docstring(code), link)


def _without_docstring(code: str) -> str:
    """The source of one definition less its docstring; comments and layout stay."""
    body = ast.parse(code).body[0].body
    if not (isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)):
        return code
    lines = code.splitlines()
    start, end = body[0].lineno - 1, body[0].end_lineno
    if len(body) > 1 and not lines[end].strip():
        end += 1  # the blank line after it
    rest = lines[:start] + lines[end:]
    return "\n".join(rest if len(body) > 1 else [*lines[:start], "    ..."])


def _link(file: Path, first: int, last: int) -> str:
    """A Markdown link to these lines; only the file's name if it is not part of the package."""
    package = Path(importlib.import_module("mmtutor").__file__).parent
    if not file.is_relative_to(package):
        return f"`{file.name}`, lines {first}-{last}"
    path = file.relative_to(package.parent).as_posix()
    return f"[{path}, lines {first}-{last}]({REPOSITORY}/blob/{BRANCH}/{path}#L{first}-L{last})"
