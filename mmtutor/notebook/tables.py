"""Tables of finished numbers for a page. Computes nothing but their layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.display import Markdown


def table(rows: Sequence[Sequence[Any]], header: Sequence[str]) -> Markdown:
    """Rows under a header, as a Markdown table; every cell is shown as `str` gives it.

    Raises:
        ValueError: a row is not as long as the header.
    """
    from IPython.display import Markdown

    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}: {row}")
    lines = [header, ["---"] * len(header), *rows]
    return Markdown("\n".join(f"| {' | '.join(map(str, line))} |" for line in lines))


def recall_table(
    reports: Mapping[str, Mapping[str, Any]], ks: Sequence[int] = (1, 5, 10)
) -> Markdown:
    """Recall in percent with its interval, a line for each report of `recipes.scoring.summary`.

    The numbers are means of both directions. The last line is chance, as the first report has it.
    """
    rows = [
        [name, *(_percent(report["mean"][f"recall_at_{k}"]) for k in ks)]
        for name, report in reports.items()
    ]
    chance = next(iter(reports.values()))["chance"]
    rows.append(["chance", *(f"{100 * chance[f'recall_at_{k}']:.1f}" for k in ks)])
    return table(rows, ["%", *(f"R@{k}" for k in ks)])


def _percent(interval: Mapping[str, float]) -> str:
    estimate, low, high = (100 * interval[key] for key in ("estimate", "low", "high"))
    return f"{estimate:.1f} ({low:.1f} to {high:.1f})"
