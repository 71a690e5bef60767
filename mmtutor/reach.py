"""Which sources of the package a piece of code reaches, found by reading it, without running it.

A chapter is executed again when one of them changes; a stored result carries their fingerprint.
Knows how Python looks names up; does not know chapters or recipes. These count as reached:

- imports, those inside functions too, but not those for type checkers alone;
- names through a package's `__init__` to where they are made: of the `__init__` itself only the
  statements that are used, not all that it imports;
- a module that a string names, as `"mmtutor.data.batch"` does. A table of such strings is no
  mention of them all: an entry counts where its key is mentioned, as in `load("stamps")`.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

PACKAGE = "mmtutor"
ROOT = Path(__file__).resolve().parents[1]


def reach(code: Iterable[str], root: Path = ROOT) -> tuple[dict[str, str], Mentions]:
    """What the pieces of `code` reach in the package below `root`, and all that is mentioned there.

    The sources by their paths below `root`, of an `__init__` only the statements that are used.
    Code that does not parse reaches nothing: it cannot run either.
    """
    if isinstance(code, str):
        raise TypeError("code must be a list of sources, got one string")
    total, lines, done = Mentions(), {}, set()
    for text in code:
        with suppress(SyntaxError):
            total.add(_read(ast.parse(text)))
    while items := total.items() - done:
        done |= items
        for path, part in (found for item in items for found in _find(root, *item)):
            lines.setdefault(path, set()).update(part.lines)
            total.add(part.mentions)
    used = {path: rows for path, rows in sorted(lines.items()) if rows}
    return {path.relative_to(root).as_posix(): _text(path, used[path]) for path in used}, total


def fingerprint(module: str, root: Path = ROOT) -> str | None:
    """SHA-256 of the code that `module` reaches, as 64 hex digits; None if it is not the package's.

    Comments, docstrings, layout and data files do not count.
    """
    sources, _ = reach([f"import {module}"], root)
    plain = [(path, _plain(ast.parse(text))) for path, text in sources.items()]
    return hashlib.sha256(repr(plain).encode()).hexdigest() if plain else None


def _plain(node: object) -> object:
    """A syntax tree as nested lists: without docstrings, and the same in each version of Python."""
    if isinstance(node, list):
        return [_plain(item) for item in node if not _is_text(item)]
    if isinstance(node, ast.AST):
        fields = [(name, _plain(value)) for name, value in ast.iter_fields(node)]
        return [type(node).__name__, *(pair for pair in fields if pair[1] not in (None, []))]
    return node


def _is_text(node: object) -> bool:
    """Whether `node` is a docstring, or another statement that is nothing but a string."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


_Item = tuple[str, str]  # a module and a name in it, "" for all of it


@dataclass
class Mentions:
    """What code mentions, one piece or several."""

    imports: set[_Item] = field(default_factory=set)
    strings: set[str] = field(default_factory=set)
    patterns: set[str] = field(default_factory=set)  # f-strings, as regular expressions
    table: set[tuple[str, str]] = field(default_factory=set)  # (key, module)
    names: set[str] = field(default_factory=set)  # plain names

    def add(self, other: Mentions) -> None:
        """Take in what `other` mentions, but for its plain names."""
        for kind in ("imports", "strings", "patterns", "table"):
            getattr(self, kind).update(getattr(other, kind))

    def items(self) -> set[_Item]:
        """All that is imported or named by a string."""
        named = {(module, "") for key, module in self.table if self.has(key)}
        return self.imports | named | {(text, "") for text in self.strings if _is_module(text)}

    def has(self, text: str) -> bool:
        """Whether a string says `text`, or an f-string may."""
        return text in self.strings or any(re.fullmatch(p, text) for p in self.patterns)


def _read(tree: ast.AST, base: str = "") -> Mentions:
    """What `tree` mentions. `base`: the package that its relative imports start from."""
    found, nodes = Mentions(), [tree]
    for node in nodes:
        nodes += _children(node)
        match node:
            case ast.Import():
                found.imports |= {(alias.name, "") for alias in node.names}
            case ast.ImportFrom():
                found.imports |= set(_origins(node, base).values())
            case ast.Dict():
                found.table |= {(k.value, v.value) for k, v in _entries(node)}
            case ast.JoinedStr():
                fixed = [v.value if isinstance(v, ast.Constant) else None for v in node.values]
                if re.search("[a-z]{2}", "".join(filter(None, fixed))):  # more than "-" or "."
                    found.patterns.add("".join(".*" if f is None else re.escape(f) for f in fixed))
            case ast.Constant(str(text)):
                found.strings.add(text)
            case ast.Name():
                found.names.add(node.id)
    return found


def _children(node: ast.AST) -> Iterable[ast.AST]:
    """What is read below `node`: no docstring, no code for type checkers, no table of modules, and
    of an f-string only what is put in."""
    match node:
        case ast.Expr(ast.Constant()):
            return ()
        case ast.If(test) if ast.unparse(test).endswith("TYPE_CHECKING"):
            return node.orelse
        case ast.Dict():
            table = {part for entry in _entries(node) for part in entry}
            return [part for part in (*node.keys, *node.values) if part and part not in table]
        case ast.JoinedStr():
            return [part for part in node.values if not isinstance(part, ast.Constant)]
    return ast.iter_child_nodes(node)


def _entries(node: ast.Dict) -> Iterator[tuple[ast.Constant, ast.Constant]]:
    """The pairs of a key and a module's name."""
    for key, value in zip(node.keys, node.values, strict=True):
        match key, value:
            case ast.Constant(str()), ast.Constant(str(module)) if _is_module(module):
                yield key, value


def _is_module(text: str) -> bool:
    return text.startswith(f"{PACKAGE}.")


def _origins(node: ast.ImportFrom, base: str) -> dict[str, _Item]:
    """Where each name comes from that the import binds."""
    above = base.split(".")[: 1 - node.level or None] if node.level else []
    module = ".".join([*above, *filter(None, [node.module])])
    return {a.asname or a.name: (module, "" if a.name == "*" else a.name) for a in node.names}


@dataclass(frozen=True)
class _Part:
    """Lines of a file, a module's all or an `__init__`'s statement, and the names they make."""

    lines: range
    makes: frozenset[str]
    mentions: Mentions


@cache
def _parts(text: str, base: str, whole: bool) -> tuple[_Part, ...]:
    """The one part of a `whole` module, or the statements of an `__init__`."""
    tree = ast.parse(text)
    if whole:
        return (_Part(range(1, text.count("\n") + 2), frozenset(), _read(tree, base)),)
    made = frozenset[str]().union(*map(_makes, tree.body))
    parts = []
    for node in tree.body:
        if isinstance(node, ast.ImportFrom):  # each name for itself; where it leads is what counts
            origins = _origins(node, base).items()
            parts += [_Part(range(0), {name}, Mentions(imports={at})) for name, at in origins]
            continue
        mentions = _read(node, base)
        mentions.imports |= {(base, name) for name in mentions.names & made - _makes(node)}
        first = min(n.lineno for n in [node, *getattr(node, "decorator_list", [])])
        parts.append(_Part(range(first, node.end_lineno + 1), _makes(node), mentions))
    return tuple(parts)


def _makes(node: ast.stmt) -> frozenset[str]:
    """The names that a statement binds."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return frozenset({node.name})
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return frozenset(alias.asname or alias.name for alias in node.names)
    names = (n for n in ast.walk(node) if isinstance(n, ast.Name))
    return frozenset(n.id for n in names if isinstance(n.ctx, ast.Store))


def _path(root: Path, module: str) -> Path | None:
    """The file of a module of the package, or None."""
    if module.partition(".")[0] != PACKAGE:
        return None
    stem = root.joinpath(*module.split("."))
    places = (stem / "__init__.py", stem.with_name(f"{stem.name}.py"))
    return next((place for place in places if place.is_file()), None)


def _find(root: Path, module: str, name: str) -> Iterator[tuple[Path, _Part]]:
    """The parts that make `name`, found as `from module import name` does, or all of `module`."""
    path = _path(root, module)
    if path is None:
        return
    package = path.name == "__init__.py"
    base = module if package else module.rpartition(".")[0]
    parts = _parts(path.read_text("utf-8"), base, not package)
    if package and name:
        makers = [part for part in parts if name in part.makes]
        if not makers and _path(root, f"{module}.{name}"):
            yield from _find(root, f"{module}.{name}", "")
            return
        parts = makers or parts
    yield from ((path, part) for part in parts)


def _text(path: Path, lines: set[int]) -> str:
    rows = path.read_text("utf-8").splitlines()
    return "\n".join(row for number, row in enumerate(rows, 1) if number in lines)
