"""Every argument of every entry, spoiled so many times: the counts of what came of it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from random import Random

from tests.sweep.entries import Entry, check_good, check_spoiled, spoilings


@dataclasses.dataclass
class Counts:
    """How often each outcome came, and a line for each that should not have."""

    outcomes: Counter = dataclasses.field(default_factory=Counter)
    functions: int = 0
    arguments: int = 0
    failures: list[str] = dataclasses.field(default_factory=list)


def sweep(entries: list[Entry], seed: int, each: int) -> Counts:
    """`each` good draws of every entry, and `each` spoiled values of every argument."""
    counts = Counts()
    for entry in entries:
        random = Random(f"{seed} {entry.name}")
        counts.functions += 1
        for _ in range(max(1, each // 4)):
            try:
                wrong = check_good(entry, random)
            except Exception as error:
                wrong = f"good arguments raised {error!r}"[:300]
            counts.outcomes["wrong" if wrong else "good"] += 1
            if wrong:
                counts.failures.append(f"WRONG   {entry.name}: {wrong}")
        for name in entry.arguments:
            ways = [way for way in spoilings(entry) if way[0] == name]
            counts.arguments += bool(ways)
            for i in range(each if ways else 0):
                _, how, label = ways[i % len(ways)]
                outcome, what = check_spoiled(entry, random, name, how, label)
                counts.outcomes[outcome] += 1
                if outcome in ("silent", "unclear"):
                    counts.failures.append(
                        f"{outcome.upper():7} {entry.name}({name}: {label}): {what}"
                    )
    counts.failures = list(dict.fromkeys(counts.failures))
    return counts


def report(counts: Counts) -> str:
    total = sum(counts.outcomes[k] for k in ("clear", "right", "silent", "unclear"))
    return "\n".join(
        [
            *counts.failures,
            f"{counts.functions} functions, {counts.arguments} arguments, {total} bad inputs: "
            + ", ".join(
                f"{k} {counts.outcomes[k]}" for k in ("clear", "right", "silent", "unclear")
            )
            + f"; good draws {counts.outcomes['good']}, wrong {counts.outcomes['wrong']}",
        ]
    )
