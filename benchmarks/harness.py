"""Timing two ways of doing one thing fairly.

Knows interleaved rounds, medians and quartiles, peak memory, the tables they end in, and what steps
of training are. Does not know what is compared.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor, nn

from mmtutor.evaluation.efficiency import once, parameters, peak_bytes
from mmtutor.files import atomic_file
from mmtutor.machine import GIB, hardware, versions

PEERS = (
    "faiss-cpu",
    "open_clip_torch",
    "peft",
    "torchmetrics",
    "pillow",
    "torchvision",
    "transformers",
)


@dataclass(frozen=True)
class Comparison:
    """One row: our way, a peer's way, and what must hold between them.

    Attributes:
        what: the job, with its sizes.
        peer: the name of the other way.
        ours, theirs: do the whole job and return its result.
        same: raises AssertionError if the two results (ours, theirs) are not the same.
        at_most: bound on our time over theirs; None only reports.
        quartile: the bound is on the upper quartile of the rounds, not on their median.
        rounds: how often each is timed.
        memory_gib: bound on our peak extra memory; None does not measure it.
        examples: how many examples the job makes or reads, to report a rate; None does not.
        share: theirs does this share of the job, because all of it takes minutes; its time is
            divided by it, and `peer` must say so.
        models: the two modules, where that is what is compared: their parameters are counted, and
            the peak of the memory that each way allocates in torch is traced.
        peaks: bytes that each of the two ways holds at most, where that is compared.
        peak_at_most: bound on ours over theirs.
    """

    what: str
    peer: str
    ours: Callable[[], Any]
    theirs: Callable[[], Any]
    same: Callable[[Any, Any], None]
    at_most: float | None = None
    quartile: bool = False
    rounds: int = 9
    memory_gib: float | None = None
    examples: int | None = None
    share: float = 1.0
    models: tuple[nn.Module, nn.Module] | None = None
    peaks: tuple[int, int] | None = None
    peak_at_most: float = 1.0


def measure(name: str, row: Comparison) -> dict[str, Any]:
    """Check that both ways agree, then time them in turn; the numbers of `results.json`.

    The first call of each warms it up and is not timed; which way goes first alternates.
    """
    ours, extra = with_peak_memory(row.ours) if row.memory_gib else (row.ours(), None)
    row.same(ours, row.theirs())
    del ours
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    for round_ in range(row.rounds):
        for way in ("ours", "theirs") if round_ % 2 == 0 else ("theirs", "ours"):
            times[way].append(once(getattr(row, way)))
    times["theirs"] = [time / row.share for time in times["theirs"]]
    ratios = [a / b for a, b in zip(times["ours"], times["theirs"], strict=True)]
    low, middle, high = quantiles(ratios, n=4, method="inclusive")
    held = row.at_most is None or (high if row.quartile else middle) <= row.at_most
    if row.memory_gib and extra is not None:
        held = held and extra <= row.memory_gib
    if row.peaks:
        held = held and row.peaks[0] / row.peaks[1] <= row.peak_at_most
    return {
        "name": name,
        "what": row.what,
        "peer": row.peer,
        "seconds": median(times["ours"]),
        "peer_seconds": median(times["theirs"]),
        "ratio": middle,
        "ratio_quartiles": [low, high],
        "rounds": row.rounds,
        "at_most": row.at_most,
        "extra_memory_gib": extra,
        "extra_memory_at_most_gib": row.memory_gib,
        "examples_per_second": row.examples and row.examples / median(times["ours"]),
        "held": held,
        **(_sizes(row) if row.models else {}),
        **(_peaks(row) if row.peaks else {}),
    }


def trains(
    model: nn.Module, loss_of: Callable[[], Tensor], steps: int, rate: float
) -> Callable[[], list[float]]:
    """Takes some steps of AdamW, from where the last call left; returns their losses."""
    learned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=rate, fused=True)

    def train() -> list[float]:
        losses = []
        for _ in range(steps):
            loss = loss_of()
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        return losses

    return train


def _sizes(row: Comparison) -> dict[str, Any]:
    """What both models weigh, what they allocate, and the peer's rate."""
    ours, theirs = (parameters(model) for model in row.models)
    return {
        "parameters": [ours, theirs],
        "peak_mib": [peak_bytes(row.ours) / 2**20, peak_bytes(row.theirs) / 2**20],
    }


def _peaks(row: Comparison) -> dict[str, Any]:
    """What both ways hold at most, and the bound on it."""
    return {"peak_mib": [peak / 2**20 for peak in row.peaks], "peak_at_most": row.peak_at_most}


def with_peak_memory(job: Callable[[], Any]) -> tuple[Any, float | None]:
    """The result of `job`, and by how many GiB memory rose at most; None where none can say."""
    try:
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest memory use so far
        before = _status("VmRSS")
    except OSError:
        return job(), None
    result = job()
    return result, (_status("VmHWM") - before) / GIB


def _status(field: str) -> int:
    """A size in bytes from this process's status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"no {field} in the status of this process")


def record(rows: Sequence[dict[str, Any]], folder: Path) -> None:
    """Write `results.json` and `results.md`; rows of other benchmarks stay if made on the same."""
    made = {"hardware": hardware(), "versions": versions(*PEERS)}
    date = datetime.now(UTC).isoformat(timespec="seconds")
    names = {row["name"] for row in rows}
    rows = [row | {"date": date, "load": os.getloadavg()[0]} for row in rows]
    try:
        older = json.loads((folder / "results.json").read_text())
    except FileNotFoundError:
        older = {}
    if {key: older.get(key) for key in made} == made:
        rows = [row for row in older["rows"] if row["name"] not in names] + rows
    found = made | {"rows": sorted(rows, key=lambda row: row["name"])}
    with atomic_file(folder / "results.json") as file:
        file.write((json.dumps(found, indent=2) + "\n").encode())
    with atomic_file(folder / "results.md") as file:
        file.write(markdown(found).encode())


def markdown(found: dict[str, Any]) -> str:
    """The tables, and under them the machine and the versions."""
    machine = found["hardware"]
    size = f"{machine['cores']} cores, {machine['memory_gib']} GiB"
    processor = ", ".join(machine[part] for part in ("gpu", "cpu") if part in machine)
    jobs = [row for row in found["rows"] if "parameters" not in row]
    models = [row for row in found["rows"] if "parameters" in row]
    lines = [
        *_table(JOBS, "|---|---|---|--:|--:|--:|--:|---|", map(_line, jobs)),
        *_table(MODELS, "|---|---|--:|--:|--:|--:|--:|", map(_model_line, models)),
        "Ratio: our time over the peer's, median of interleaved rounds. "
        f"{processor}, {size}; "
        + ", ".join(f"{name} {version}" for name, version in found["versions"].items())
        + ".",
    ]
    return "\n".join(lines) + "\n"


JOBS = "| Benchmark | Job | Peer | Ours | Peer's | Ratio (quartiles) | Bound | Held |"
MODELS = (
    "| Model | Peer | Parameters (peer's) | Examples a second | Peer's | Ratio (quartiles) "
    "| Peak MiB (peer's) |"
)


def _table(header: str, rule: str, rows: Iterable[str]) -> list[str]:
    """The lines of a table and an empty one; nothing if there are no rows."""
    lines = list(rows)
    return [header, rule, *lines, ""] if lines else []


def _model_line(row: dict[str, Any]) -> str:
    (low, high), (ours, theirs) = row["ratio_quartiles"], row["parameters"]
    rate = row["examples_per_second"]
    peer_rate = rate * row["seconds"] / row["peer_seconds"]
    cells = [row["what"], row["peer"], f"{ours / 1e6:.2f} M ({theirs / 1e6:.2f} M)"]
    cells += [f"{rate:,.0f}", f"{peer_rate:,.0f}", f"{row['ratio']:.3g} ({low:.3g}–{high:.3g})"]
    cells += ["{:,.0f} ({:,.0f})".format(*row["peak_mib"])]
    return f"| {' | '.join(cells)} |"


def _line(row: dict[str, Any]) -> str:
    low, high = row["ratio_quartiles"]
    bounds, ours = [], f"{row['seconds']:.3g} s"
    theirs = f"{row['peer_seconds']:.3g} s"
    if row["at_most"] is not None:
        bounds.append(f"≤ {row['at_most']:g}")
    if row["extra_memory_gib"] is not None:
        ours += f", {row['extra_memory_gib']:.2f} GiB extra"
        bounds.append(f"≤ {row['extra_memory_at_most_gib']:g} GiB")
    if "peak_at_most" in row:
        ours += ", {:,.0f} MiB".format(row["peak_mib"][0])
        theirs += ", {:,.0f} MiB".format(row["peak_mib"][1])
        bounds.append(f"≤ {100 * row['peak_at_most']:g} % of the memory")
    if row["examples_per_second"]:
        ours += f", {row['examples_per_second']:,.0f}/s"
    held = ("yes" if row["held"] else "NO") if bounds else "–"
    cells = [f"`{row['name']}`", row["what"], row["peer"], ours, theirs]
    cells += [f"{row['ratio']:.3g} ({low:.3g}–{high:.3g})", ", ".join(bounds) or "–", held]
    return f"| {' | '.join(cells)} |"
