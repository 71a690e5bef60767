"""How large the package is, part by part, and whether the house's bounds hold.

    python -m book.tools.size    # the table; fails above a bound

Knows Python source; does not know what any of it does.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from book.tools.layout import Book

PACKAGE = "mmtutor"
CHECKS = f"{PACKAGE}.checks"
CHECKS_FILE = Path(PACKAGE, "checks.py")
CHECKING = re.compile("_?check(ed)?(_|$)")
MEASURED = (PACKAGE, "book/tools", "data_scripts", "benchmarks")
# At most so many; the last three are for the package with `CHAPTERS` chapters. Checks of bad input,
# a line a call and what does nothing else, are counted apart: none of them has to be known.
BOUNDS = {
    "modules in a folder": 14,
    "lines of a module": 300,
    "lines of a function": 50,
    "lines of code": 14_160,
    "lines of checks": 1_500,
    "public names": 700,
}
CHAPTERS = 17
BEGUN = {"6-evaluation/evaluating-vision-language-models"}  # whose package stands before its page
A_CHAPTER_MORE = {"lines of code": 700, "lines of checks": 60, "public names": 30}
# At least so many of a hundred public functions, classes and methods with a docstring.
DOCUMENTED = {
    "mmtutor": 96.4,
    "mmtutor/data": 99.4,
    "mmtutor/encoders": 100,
    "mmtutor/evaluation": 99.5,
    "mmtutor/explain": 93.3,
    "mmtutor/fusion": 71.1,
    "mmtutor/losses": 100,
    "mmtutor/models": 96.5,
    "mmtutor/notebook": 98.1,
    "mmtutor/recipes": 96,
    "mmtutor/training": 83.3,
}
NOT_CODE = {"COMMENT", "NL", "NEWLINE", "INDENT", "DEDENT", "ENDMARKER"}
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
DEFINITION = (*FUNCTION, ast.ClassDef)


@dataclass(frozen=True)
class Module:
    """One file of Python, `path` below the repository."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def _code(self) -> set[int]:
        """Numbers of the lines without docstrings, comments and blank ones."""
        words: set[int] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, (ast.Module, *DEFINITION)) and ast.get_docstring(node) is not None:
                words |= _lines(node.body[0])
        lines: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if tokenize.tok_name[token.type] not in NOT_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
        return lines - words

    @property
    def code_lines(self) -> int:
        return len(self._code)

    @cached_property
    def check_lines(self) -> int:
        """Those that import or call `checks`, and those of functions that do nothing but check."""
        if self.path == CHECKS_FILE:
            return self.code_lines
        nodes = list(ast.walk(self.tree))
        found = [n for n in nodes if isinstance(n, ast.ImportFrom) and n.module == CHECKS]
        names = {alias.name for node in found for alias in node.names}
        found += [n for n in nodes if _called(n) in names or _called(n).startswith("checks.")]
        found += [n for n in nodes if isinstance(n, FUNCTION) and CHECKING.match(n.name)]
        return len(self._code & set().union(*map(_lines, found)))

    @cached_property
    def public(self) -> list[ast.stmt]:
        """Functions and classes at the top whose name begins with no underscore."""
        return [node for node in self.tree.body if _is_public(node)]

    @cached_property
    def documented(self) -> dict[str, bool]:
        """Of each public function, class and public method, whether it has a docstring."""
        found = {node.name: node for node in self.public}
        for owner in (node for node in self.public if isinstance(node, ast.ClassDef)):
            found |= {f"{owner.name}.{node.name}": node for node in owner.body if _is_public(node)}
        return {name: ast.get_docstring(node) is not None for name, node in found.items()}


def _lines(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, node.end_lineno + 1))


def _called(node: ast.AST) -> str:
    """The function that a statement does nothing but call, perhaps to keep its value."""
    call = node.value if isinstance(node, ast.Expr | ast.Assign) else None
    return ast.unparse(call.func) if isinstance(call, ast.Call) else ""


def _is_public(node: ast.stmt) -> bool:
    return isinstance(node, DEFINITION) and not node.name.startswith("_")


@dataclass(frozen=True)
class Size:
    """A line of the table. `documented` is in percent; `bare` names what has no docstring.

    `lines` are those of code without the checks, `checks` those of the checks.
    """

    part: str
    modules: int
    lines: int
    checks: int
    names: int
    documented: float
    bare: list[str]


def modules(root: Path, folders: Iterable[str] = MEASURED) -> list[Module]:
    """The sources in `folders`, in order of their paths."""
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.py"))
    return [Module(path.relative_to(root), path.read_text("utf-8")) for path in paths]


def size(part: str, found: list[Module]) -> Size:
    documented = [item for module in found for item in module.documented.items()]
    bare = [name for name, has in documented if not has]
    return Size(
        part,
        len(found),
        sum(module.code_lines - module.check_lines for module in found),
        sum(module.check_lines for module in found),
        sum(len(module.public) for module in found if module.path != CHECKS_FILE),
        100 * (1 - len(bare) / len(documented)) if documented else 100,
        bare,
    )


def sizes(root: Path) -> list[Size]:
    """The package, then each folder directly in it, by name."""
    found = modules(root, [PACKAGE])
    parts = {path.name for path in (root / PACKAGE).iterdir() if (path / "__init__.py").exists()}
    table = [size(PACKAGE, found)]
    for part in sorted(parts):
        inside = [module for module in found if module.path.parts[1] == part]
        table.append(size(f"{PACKAGE}/{part}", inside))
    return table


def problems(root: Path, chapters: int) -> Iterator[str]:
    """One sentence for each bound that does not hold."""
    found = modules(root)
    folders = Counter(str(m.path.parent) for m in found if m.path.name != "__init__.py")
    counts = [(folder, "modules in a folder", count) for folder, count in folders.items()]
    counts += [(str(m.path), "lines of a module", len(m.text.splitlines())) for m in found]
    counts += [
        (f"{module.path}:{node.lineno} {node.name}", "lines of a function", length)
        for module in found
        for node in ast.walk(module.tree)
        if isinstance(node, FUNCTION)
        for length in [node.end_lineno - node.lineno + 1]
    ]
    table = sizes(root)
    more = max(0, chapters - CHAPTERS)
    bounds = BOUNDS | {kind: BOUNDS[kind] + more * extra for kind, extra in A_CHAPTER_MORE.items()}
    counts.append((PACKAGE, "lines of code", table[0].lines))
    counts.append((PACKAGE, "lines of checks", table[0].checks))
    counts.append((PACKAGE, "public names", table[0].names))
    for where, kind, count in counts:
        if count > bounds[kind]:
            yield f"{where}: {count:,} {kind}, at most {bounds[kind]:,}"
    for row in table:
        if row.documented < DOCUMENTED.get(row.part, 0):
            floor = DOCUMENTED[row.part]
            bare = ", ".join(row.bare)
            yield f"{row.part}: {row.documented:.1f} % documented, at least {floor} %: not {bare}"


def table(rows: list[Size]) -> str:
    lines = [f"{'':<22}{'modules':>8}{'lines':>8}{'checks':>8}{'names':>8}{'documented':>12}"]
    for row in rows:
        counts = f"{row.modules:>8}{row.lines:>8,}{row.checks:>8,}{row.names:>8}"
        lines.append(f"{row.part:<22}{counts}{row.documented:>10.1f} %")
    return "\n".join(lines)


def main() -> int:
    book = Book()
    print(table(sizes(book.root)))
    chapters = {book.name(chapter) for chapter in book.chapters()} | BEGUN
    found = list(problems(book.root, len(chapters)))
    for problem in found:
        print(problem, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
