"""Tables of finished numbers for a page, and intervals in words. Computes nothing but layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from mmtutor import checks
from mmtutor.notebook.plots.panels import as_labels

if TYPE_CHECKING:
    from IPython.display import Markdown

    from mmtutor.evaluation.statistics.bootstrap import Interval

BOUNDS = re.compile(r"\((\S+) to (\S+)\)")


def table(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> Markdown:
    """Rows under a header, as a Markdown table; every cell is shown as `str` gives it.

    The bounds of an interval stay on one line.

    Raises:
        ValueError: a row is not as long as the header.
    """
    from IPython.display import Markdown

    as_labels(header=header)
    for row in rows:
        if len(as_labels(rows=row)) != len(header):
            raise ValueError(f"rows: {len(row)} cells under a header of {len(header)}: {row}")
    lines = [header, ["---"] * len(header), *rows]
    text = "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
    return Markdown(BOUNDS.sub("(\\1\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}\\2)", text))


def recall_table(
    reports: Mapping[str, Mapping[str, Any]], ks: Sequence[int] = (1, 5, 10)
) -> Markdown:
    """Recall in percent with its interval, a line for each report of `recipes.scoring.summary`.

    The numbers are means of both directions. The last line is chance, as the first report has it.
    """
    rows = [
        [name, *(percent(report["mean"][f"recall_at_{k}"], sign=False) for k in ks)]
        for name, report in reports.items()
    ]
    chance = next(iter(reports.values()))["chance"]
    rows.append(["chance", *(f"{100 * chance[f'recall_at_{k}']:.1f}" for k in ks)])
    return table(rows, ["%", *(f"R@{k}" for k in ks)])


def percent(score: Interval | Mapping[str, float], sign: bool = True) -> str:
    """An interval, or one as a recipe stores it, in percent: "93.1 % (92.0 to 94.2)".

    Without the `sign` for columns whose header has it.
    """
    bounds = itemgetter("estimate", "low", "high")(score) if isinstance(score, Mapping) else score
    checks.listed((int, float), score=bounds)
    estimate, low, high = (f"{100 * x:.1f}" for x in bounds)
    return f"{estimate}{' %' if sign else ''} ({low} to {high})"


def in_words(interval: Interval, digits: int = 9) -> str:
    """The estimate with its bounds, where they say anything: "0.58 (0.54 to 0.617)".

    Three significant digits, and at most `digits` after the point.
    """
    checks.at_least(0, digits=digits)
    estimate, low, high = (f"{round(x, digits) + 0.0:.3g}" for x in interval)
    return estimate if low == high else f"{estimate} ({low} to {high})"
