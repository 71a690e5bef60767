"""A ledger of findings, for the page that runs what the five articles wrote.

Knows how to run a quoted fragment, to set a wrong number beside the right one, to look up a claim,
and to count what it was given, mistakes apart from what is only stale, left open, or misread.
Knows none of the articles.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from mmtutor.notebook.checks import in_one_line
from mmtutor.notebook.tables import table

if TYPE_CHECKING:
    from IPython.display import Markdown

CANNOT_RUN = "code that cannot run"
LEARNS_WRONG = "code that runs and learns the wrong thing"
KINDS = ("arithmetic", "formula", CANNOT_RUN, LEARNS_WRONG, "concept", "claim")  # of mistakes
PLACEHOLDER = "placeholder"  # left for the reader to fill in
STALE = "stale"  # right when it was written
WITHDRAWN = "withdrawn"  # an unfair reading of ours
OTHERS = (STALE, PLACEHOLDER, WITHDRAWN)  # no mistakes, and counted apart
PLACE = re.compile(r"\d{3}:\d+[a-z]?")
ARROW = re.compile(r"(\w+)(?:\[([^\]]+)\])?\s*-->\s*(\w+)(?:\[([^\]]+)\])?")


@dataclass(frozen=True)
class _Entry:
    """One finding: where it stands ("article:line"), its kind, and what was seen."""

    place: str
    kind: str
    evidence: str
    executed: bool = True

    def __post_init__(self) -> None:
        if not PLACE.fullmatch(self.place):
            raise ValueError(f"a place reads like '003:222' or '003:222b', got {self.place!r}")
        if self.kind not in KINDS + OTHERS:
            known = ", ".join(KINDS + OTHERS)
            raise ValueError(f"{self.place}: kind {self.kind!r} is none of {known}")

    @property
    def article(self) -> str:
        """The number of the article that the place is in."""
        return self.place.split(":")[0]

    @property
    def verdict(self) -> str:
        """ "wrong", or which of `OTHERS` it is."""
        return self.kind if self.kind in OTHERS else "wrong"


class Ledger:
    """Entries by place, so that running a cell again replaces its entries and adds none."""

    def __init__(self) -> None:
        self.entries: dict[str, _Entry] = {}

    @contextmanager
    def fails(self, place: str, error: type[Exception], kind: str = CANNOT_RUN) -> Iterator[None]:
        """Run the article's lines, which must raise exactly `error`; print its first line.

        Raises:
            AssertionError: they ran, or raised something else.
        """
        entry = _Entry(place, kind, error.__name__)
        with _meant_to_raise(error, place):
            yield
        self._add(entry)

    def number(
        self, place: str, says: Any, so: Any, kind: str = "arithmetic", tolerance: float = 0.005
    ) -> None:
        """Print the article's number, or list of numbers, beside the right one.

        Args:
            says, so: numbers, or sequences or tensors of them.
            tolerance: differences up to here are rounding, and no mistake.

        Raises:
            AssertionError: the article is right.
        """
        entry = _Entry(place, kind, f"{_text(says)}, not so: {_text(so)}")
        if _close(says, so, tolerance):
            raise AssertionError(f"{place}: the article is right, {_text(says)}")
        print(f"the article: {_text(says)}    computed: {_text(so)}")
        self._add(entry)

    def shows(self, place: str, kind: str, what: str, evidence: bool | Tensor) -> None:
        """Print what an experiment shows, if it does.

        Raises:
            AssertionError: `evidence` is not true.
        """
        entry = _Entry(place, kind, what)
        if not bool(evidence):
            raise AssertionError(f"{place}: the experiment does not show that {what}")
        print(what)
        self._add(entry)

    def withdrawn(self, place: str, why: str, evidence: bool | Tensor) -> None:
        """Take back an unfair reading of ours, if the evidence is for the article; as `shows`."""
        self.shows(place, WITHDRAWN, why, evidence)

    def cited(self, sources: Mapping[str, str], kind: str = "claim") -> None:
        """Note claims that were looked up: place -> a key of the bibliography. Executes nothing."""
        for place, key in sources.items():
            self._add(_Entry(place, kind, key, executed=False))
        print(f"{len(sources)} more, not executed but looked up")

    def in_tensorflow(
        self, place: str, code: str, error: type[Exception] | None = None, **given: Any
    ) -> None:
        """Run the article's TensorFlow lines too, if it is installed; the entry must be there.

        Args:
            error: what they must raise; None if they run and leave a name `result`, to be printed.
            given: names that the lines find defined.
        """
        entry = self.entries[place]
        if find_spec("tensorflow") is None:
            print("(TensorFlow is not installed here; the reason is checked without it.)")
            return
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        print("TensorFlow: ", end="")
        if error is None:
            print(run(code, **given)["result"])
        else:
            with _meant_to_raise(error, place):
                run(code, **given)
        self._add(replace(entry, evidence=f"{entry.evidence}; seen in TensorFlow"))

    def count(self, verdict: str = "wrong") -> int:
        """How many executed entries have this verdict: "wrong", or one of `OTHERS`."""
        return sum(e.executed and e.verdict == verdict for e in self.entries.values())

    def summary(self) -> Markdown:
        """Entries by kind (rows) and article (columns): executed mistakes, their sum, mistakes that
        were looked up, and what is no mistake."""
        executed = Counter((e.kind, e.article) for e in self.entries.values() if e.executed)
        cited = Counter((e.verdict, e.article) for e in self.entries.values() if not e.executed)
        articles = sorted({entry.article for entry in self.entries.values()})
        rows = [[kind, *(executed[kind, article] for article in articles)] for kind in KINDS]
        totals = [sum(column) for column in zip(*(row[1:] for row in rows), strict=True)]
        rows += [["**wrong, executed**", *totals]]
        rows += [["wrong, looked up", *(cited["wrong", article] for article in articles)]]
        both = executed + cited
        rows += [[kind, *(both[kind, article] for article in articles)] for kind in OTHERS]
        return table([[*row, sum(row[1:])] for row in rows], ["", *articles, "all"])

    def listing(self) -> Markdown:
        """Every entry in a line, in the order of the articles."""
        entries = sorted(self.entries.values(), key=_order)
        rows = [[e.place, e.verdict, e.kind, e.evidence.replace("|", "\\|")] for e in entries]
        return table(rows, ["place", "verdict", "kind", "evidence"])

    def _add(self, entry: _Entry) -> None:
        self.entries[entry.place] = entry


@contextmanager
def _meant_to_raise(error: type[Exception], place: str) -> Iterator[None]:
    """Print `Type: first line` of what is raised inside, which must be exactly an `error`.

    Raises:
        AssertionError: nothing was raised, or something else.
    """
    try:
        yield
    except Exception as raised:
        if type(raised) is not error:
            message = f"{place} was meant to raise {error.__name__}, not {type(raised).__name__}"
            raise AssertionError(f"{message}: {raised}") from raised
        print(in_one_line(raised))
    else:
        raise AssertionError(f"{place} was meant to raise {error.__name__}, but it ran")


def run(code: str, **given: Any) -> dict[str, Any]:
    """Run lines as a program of their own, which knows no names but `given`; the names it left.

    For fragments that stand in the page, and for nothing that comes from elsewhere.
    """
    names = {"__name__": "article", **given}
    exec(compile(dedent(code), "article", "exec"), names)
    return names


def arrows(diagram: str) -> list[tuple[str, str]]:
    """The arrows of a Mermaid flow chart, each from and to a node's text.

    Raises:
        ValueError: it has none.
    """
    found = ARROW.findall(diagram)
    if not found:
        raise ValueError("no line of this diagram reads like `A[text] --> B[text]`")
    names = {a: text for a, text, *_ in found if text} | {b: text for *_, b, text in found if text}
    return [(names.get(a, a), names.get(b, b)) for a, _, b, _ in found]


def _close(says: Any, so: Any, tolerance: float) -> bool:
    left, right = (torch.as_tensor(value, dtype=torch.float64) for value in (says, so))
    return left.shape == right.shape and torch.allclose(left, right, rtol=0, atol=tolerance)


def _text(value: Any) -> str:
    value = value.tolist() if isinstance(value, Tensor) else value
    if isinstance(value, Sequence):
        return f"[{', '.join(map(_text, value))}]"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def _order(entry: _Entry) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", entry.place)]
