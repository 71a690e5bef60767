"""Folders `step-N` that each hold the whole state of a run after N steps, or are not there.

Knows files, checksums, which folders to keep and when the next is due; does not know what a state
is made of.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmtutor import checks
from mmtutor.files import atomic_folder, discard, sha256, sweep
from mmtutor.training.checkpoint import CheckpointError

MANIFEST = "manifest.json"
SHARE = 0.02  # of the training time, for saves that nobody asked for by their number


@dataclass
class Budget:
    """Seconds of training and of saving, so that saving stays a small share."""

    training: float = 0.0
    saving: float = 0.0
    last: float = 0.05  # what a save took; a guess at first

    def affords_one(self) -> bool:
        """Whether one more save keeps to `SHARE`."""
        return self.saving + self.last <= SHARE * self.training

    def spend(self, seconds: float) -> None:
        """Count a save."""
        self.last = seconds
        self.saving += seconds


@dataclass(frozen=True)
class Checkpoints:
    """Where and when a run is saved, and what run it is.

    A run is saved after its last step; at the end of each epoch where all saves together then take
    at most 2 % of the training time; and within epochs as told.

    Attributes:
        folder: gets a folder `step-N` for each save: `model.safetensors` and, where the objective
            learns, `objective.safetensors`; `state.pt`, all else; `manifest.json`.
        every: steps from save to save; None for none.
        minutes: from save to save, above 0, where the 2 % allow it.
        keep: how many of the newest stay, at least 1.
        best: what decides which one stays besides: "loss", where it is smallest, or a number that
            `validate` returns, where it is largest.
        run: what tells this run from others, as JSON; all of it must be equal in a checkpoint.
        say: is told what is found and what is skipped.
        budget: shared by the runs that shall keep to the 2 % together.
    """

    folder: Path
    every: int | None = None
    minutes: float = 10.0
    keep: int = 2
    best: str = "loss"
    run: Mapping[str, Any] = field(default_factory=dict)
    say: Callable[[str], Any] = print
    budget: Budget = field(default_factory=Budget)

    def __post_init__(self) -> None:
        checks.instance(Path, folder=self.folder)
        checks.at_least(1, every=1 if self.every is None else self.every, keep=self.keep)
        checks.within("(0, inf)", minutes=self.minutes)
        checks.instance(str, best=self.best)


def write_step(
    checkpoints: Checkpoints, step: int, files: Mapping[str, bytes], score: float | None
) -> None:
    """Write `files` as the folder of `step`, whole and on disk, and remove what is not kept.

    Raises:
        CacheError: the folder cannot be written or is full; older folders stay as they were.
    """
    place = checkpoints.folder / f"step-{step}"
    if place.exists():
        if damage(place) is None:
            return
        discard(place)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    about = {"step": step, "score": score, "run": checkpoints.run, "sha256": hashes}
    about["seal"] = _seal(about)
    with atomic_folder(place) as partial:
        for name, content in files.items():
            (partial / name).write_bytes(content)
        (partial / MANIFEST).write_text(json.dumps(about, indent=2), "utf-8")
    _prune(checkpoints, step)


def newest_step(checkpoints: Checkpoints) -> Path | None:
    """The newest whole folder; damaged ones are named and skipped. None if there is none.

    Raises:
        CheckpointError: a checkpoint of another run is there.
    """
    if checkpoints.folder.is_dir():
        sweep(checkpoints.folder)
    for place in sorted(_steps(checkpoints.folder), key=_number, reverse=True):
        reason = damage(place)
        if reason is None:
            _check_run(place, checkpoints.run)
            return place
        checkpoints.say(f"{place} is damaged and is skipped: {reason}")
    return None


def runs_in(folder: Path) -> list[Mapping[str, Any]]:
    """What the checkpoints in `folder` say that their runs are, those whose manifest is whole."""
    found = []
    for place in sorted(_steps(folder), key=_number):
        with suppress(OSError, ValueError, KeyError):
            found.append(_manifest(place)["run"])
    return found


def clear(folder: Path) -> None:
    """Remove all checkpoints in `folder`."""
    for place in list(_steps(folder)):
        discard(place)


def damage(place: Path) -> str | None:
    """What is wrong with a folder that `write_step` wrote; None if nothing is."""
    try:
        about = _manifest(place)
        seal, hashes = about.pop("seal"), about["sha256"]
        wrong = [name for name, expected in hashes.items() if sha256(place / name) != expected]
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{MANIFEST} cannot be read ({type(error).__name__})"
    wrong += [MANIFEST] if seal != _seal(about) else []
    return f"{', '.join(wrong)} changed after it was written" if wrong else None


def _seal(about: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What is not equal in two descriptions of runs, in words; nothing if all is."""
    here = json.loads(json.dumps(here))
    names = [name for name in {**there, **here} if there.get(name) != here.get(name)]
    shown = [(n, *(checks.shortened(run.get(n)) for run in (there, here))) for n in names]
    return "; ".join(f"{name} is {there} there, {here} here" for name, there, here in shown)


def _check_run(place: Path, run: Mapping[str, Any]) -> None:
    """CheckpointError, naming what differs, unless a whole folder is of this run."""
    if found := differences(_manifest(place)["run"], run):
        raise CheckpointError(f"{place} is of another run: {found}")


def _manifest(place: Path) -> dict[str, Any]:
    return json.loads((place / MANIFEST).read_text("utf-8"))


def _steps(folder: Path) -> Iterator[Path]:
    return (place for place in folder.glob("step-*") if re.fullmatch(r"step-\d+", place.name))


def _number(place: Path) -> int:
    return int(place.name.removeprefix("step-"))


def _prune(checkpoints: Checkpoints, step: int) -> None:
    """Keep the newest up to `step` and the best of them; later ones, skipped before, stay."""
    places = sorted((p for p in _steps(checkpoints.folder) if _number(p) <= step), key=_number)
    best = min(places, key=_score)
    for place in places[: -checkpoints.keep]:
        if place != best:
            discard(place)


def _score(place: Path) -> float:
    """Smaller is better; what has no score, or cannot be read, is worst."""
    try:
        score = _manifest(place)["score"]
    except (OSError, ValueError, KeyError):
        score = None
    return math.inf if score is None else score
