"""What the cells of a chapter depend on: sources, data files and versions of libraries.

`mmtutor.reach` follows the imports; this adds what is not Python. A data file counts whose name or
stem is mentioned, if it lies beside a module that is reached or in a folder that is mentioned.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

from mmtutor.reach import PACKAGE, Mentions, reach

_owners = cache(metadata.packages_distributions)


def reached(code: Iterable[str], root: Path) -> tuple[dict[str, bytes], dict[str, str]]:
    """Contents of the files that the pieces of `code` reach, by their paths below `root`, and the
    installed distributions that they import or name, each with its version."""
    sources, mentions = reach(code, root)
    files = {path: text.encode() for path, text in sources.items()}
    data = sorted(_data_files(root, {(root / path).parent for path in sources}, mentions))
    files |= {path.relative_to(root).as_posix(): path.read_bytes() for path in data}
    return files, versions(mentions.strings | _top({module for module, _ in mentions.imports}))


def imported(code: Iterable[str]) -> dict[str, str]:
    """The installed distributions that the pieces of `code` import themselves, with versions."""
    nodes = [node for text in code for node in ast.walk(ast.parse(text))]
    modules = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
    return versions(_top(modules))


def versions(names: Iterable[str]) -> dict[str, str]:
    """Of the distributions that bring a module of these names, but for this package."""
    found = {owner for name in _owners().keys() & set(names) for owner in _owners()[name]}
    return {name: metadata.version(name) for name in sorted(found - {PACKAGE})}


def _top(modules: Iterable[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def _data_files(root: Path, folders: set[Path], mentions: Mentions) -> Iterator[Path]:
    for path in (root / PACKAGE).rglob("*.*"):
        near = path.parent in folders or path.parent.name in mentions.strings
        named = path.name in mentions.strings or mentions.has(path.stem)
        if near and named and path.suffix not in {".py", ".pyc"}:
            yield path
