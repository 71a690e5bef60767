"""What is done to the cells of an executed chapter before it is rendered."""

from __future__ import annotations

import re

from nbformat import NotebookNode

from book.tools.execute import Timing

CARD = re.compile(r"(:::+\{admonition\}[^\n]*\n:class: chapter-card\n.*?)(\n:::)", re.DOTALL)


def prepare(cells: list[NotebookNode], run: Timing) -> None:
    """All that is done to the cells of a chapter, in place."""
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = with_run_time(cell.source, run)
        fold_claim(cell)


def fold_claim(cell: NotebookNode) -> None:
    """A cell that asserts what the text says is folded, below a line that says what it is."""
    tags = cell.metadata.get("tags", [])
    if "claim" in tags:
        cell.metadata["tags"] = [*tags, *({"hide-input"} - set(tags))]
        prompts = {"code_prompt_show": "Show the check", "code_prompt_hide": "Hide the check"}
        cell.metadata["mystnb"] = prompts | cell.metadata.get("mystnb", {})


def with_run_time(text: str, run: Timing) -> str:
    """Add the measured time as the last line of the chapter's card, if the card is in `text`."""
    line = f"- **Run time**: {in_words(run.seconds)} on {run.machine}, measured by this build."
    return CARD.sub(lambda card: f"{card[1].rstrip()}\n{line}{card[2]}", text, count=1)


def in_words(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.1f} minutes"
