"""What is done to the cells of an executed chapter before it is rendered."""

from __future__ import annotations

import ast
import re

from nbformat import NotebookNode

from book.tools.pages import alts
from book.tools.pages.facts import Facts
from mmtutor.data.fetch import SETS

CARD = re.compile(r"(:::+\{admonition\}[^\n]*\n:class: chapter-card\n.*?)(\n:::)", re.DOTALL)


def prepare(cells: list[NotebookNode], facts: Facts) -> None:
    """All that is done to the cells of a chapter, in place."""
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = with_facts(cell.source, facts)
        else:
            fold(cell)
            leave_out_time(cell)
    alts.describe(cells)


def fold(cell: NotebookNode) -> None:
    """Fold a cell that asserts what the text says, or that only imports; say what is folded."""
    tags = cell.metadata.get("tags", [])
    what = "check" if "claim" in tags else "imports" if only_imports(cell.source) else None
    if what and "remove-cell" not in tags:
        cell.metadata["tags"] = [*tags, *({"hide-input"} - set(tags))]
        prompts = {"code_prompt_show": f"Show the {what}", "code_prompt_hide": f"Hide the {what}"}
        cell.metadata["mystnb"] = prompts | cell.metadata.get("mystnb", {})


def leave_out_time(cell: NotebookNode) -> None:
    """Of what `setup` says, leave out the run time: on a page it stands in the card."""
    for output in cell.outputs:
        if "setup(" in cell.source and output.output_type == "stream":
            output.text = re.sub(r"^Run time.*\n", "", output.text, flags=re.MULTILINE)


def only_imports(source: str) -> bool:
    """Whether a cell does nothing but import, and perhaps call `setup`."""
    try:
        body = ast.parse(source).body
    except SyntaxError:  # a magic
        return False
    return all(
        isinstance(node, (ast.Import, ast.ImportFrom)) or ast.unparse(node).startswith("setup(")
        for node in body
    )


def with_facts(text: str, facts: Facts) -> str:
    """Add time, data and versions as the last lines of the chapter's card, if `text` has it."""
    run, python = facts.run, facts.run.versions.get("python")
    versions = ({"Python": python} if python else {}) | facts.imports
    lines = (
        f"- **Run time**: {in_words(run.seconds)} on {run.machine}, measured by this build.",
        f"- **Data**: {downloads(facts.sets)}.",
        f"- **Versions**: {', '.join(f'{name} {which}' for name, which in versions.items())}.",
    )
    added = "\n".join(lines)
    return CARD.sub(lambda card: f"{card[1].rstrip()}\n{added}{card[2]}", text, count=1)


def downloads(sets: list[str]) -> str:
    """What has to be fetched for a chapter, and how much that is."""
    if not sets:
        return "nothing to download"
    names = ", ".join(f"`{name}`" for name in sets)
    return f"{names}; {megabytes(sets)} MB, downloaded once"


def megabytes(sets: list[str]) -> int:
    return sum(SETS[name].megabytes for name in sets)


def in_words(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.1f} minutes"
