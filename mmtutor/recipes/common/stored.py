"""Results of longer runs, stored with the package and shown beside the short runs of a page.

Knows `metrics.json` and `model.safetensors`, as `mmtutor run` writes them, and where they lie. Does
not know any recipe. A stored result says what made it: hardware, versions, date, command, and a
fingerprint of the code that its recipe's module reached.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from torch import Tensor

from mmtutor.files import atomic_file
from mmtutor.reach import fingerprint
from mmtutor.training.checkpoint import read_tensors, write_tensors

FOLDER = Path(str(files("mmtutor.recipes"))) / "stored"
LARGEST = 6_000_000  # bytes of weights that travel with the package
SAME = ("hardware", "versions", "module", "fingerprint")  # of all runs of one result, as is config
SHOWN = ("metrics", "config", "preset", "seed", "command", "date", *SAME)


def store(name: str, runs: Sequence[Path], folder: Path = FOLDER) -> Path:
    """Join the `metrics.json` of several runs, one a seed, into the stored result `name`.

    Raises:
        FileNotFoundError: a run has no `metrics.json`.
        ValueError: no run, one seed twice, or runs that differ in more than seed and date.
    """
    records = [json.loads((Path(run) / "metrics.json").read_text("utf-8")) for run in runs]
    settings = [
        {key: record[key] for key in SAME} | record["config"] | {"seed": None} for record in records
    ]
    if not records or any(setting != settings[0] for setting in settings):
        raise ValueError(f"{name}: expected runs that differ in their seed alone, got {settings}")
    seeds = [record["seed"] for record in records]
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"{name}: expected each seed once, got {seeds}")
    stored = [{key: record[key] for key in SHOWN} for record in records]
    folder.mkdir(exist_ok=True)
    with atomic_file(folder / f"{name}.json") as file:
        file.write(json.dumps(stored, indent=1, ensure_ascii=False).encode() + b"\n")
    return folder / f"{name}.json"


def load_stored(name: str, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The runs of the stored result `name`, each with `SHOWN`.

    Raises FileNotFoundError, naming those there are.
    """
    path = folder / f"{name}.json"
    if not path.is_file():
        known = ", ".join(sorted(other.stem for other in folder.glob("*.json"))) or "none"
        raise FileNotFoundError(
            f"no result {name!r} is stored with the package; there are: {known}"
        )
    return json.loads(path.read_text("utf-8"))


def store_weights(name: str, run: Path, folder: Path = FOLDER) -> Path:
    """Keep the model of a run beside the stored result `name`, in half precision.

    Raises:
        FileNotFoundError: the run has no `model.safetensors`.
        ValueError: it would take more than LARGEST bytes.
    """
    weights, _ = read_tensors(Path(run) / "model.safetensors")
    halves = {key: x.half() if x.is_floating_point() else x for key, x in weights.items()}
    if (size := sum(x.nbytes for x in halves.values())) > LARGEST:
        raise ValueError(f"{name}: expected weights of at most {LARGEST:,} bytes, got {size:,}")
    write_tensors(folder / f"{name}.safetensors", halves)
    return folder / f"{name}.safetensors"


def load_weights(name: str, folder: Path = FOLDER) -> dict[str, Tensor]:
    """The state of the model that `store_weights` kept, in single precision again.

    Raises FileNotFoundError where none is kept.
    """
    weights, _ = read_tensors(folder / f"{name}.safetensors")
    return {key: x.float() if x.is_floating_point() else x for key, x in weights.items()}


def provenance(runs: Sequence[dict[str, Any]]) -> str:
    """One sentence: how many runs, on what hardware, when, with which versions and command, and
    whether the code has changed since."""
    first, seeds = runs[0], ", ".join(str(run["seed"]) for run in runs)
    hardware, versions = first["hardware"], first["versions"]
    machine = hardware.get("gpu") or f"{hardware['cpu']}, {hardware['cores']} cores"
    packages = ", ".join(f"{name} {versions[name]}" for name in ("python", "torch"))
    return (
        f"Stored result, not computed on this page: seeds {seeds}; {machine}; {packages}; "
        f"{max(run['date'] for run in runs)[:10]}; {first['command']}; {_code(first)}."
    )


def _code(run: dict[str, Any]) -> str:
    """What is known of the code that made a run."""
    if run["fingerprint"] is None:
        return f"code: {run.get('code', 'not of the package')}"
    changed = fingerprint(run["module"]) != run["fingerprint"]
    return f"its code has {'' if changed else 'not '}changed since"
