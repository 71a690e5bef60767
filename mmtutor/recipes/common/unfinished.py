"""A run that was interrupted, in the folder of its results: found, refused, or begun anew.

Knows `metrics.json` and checkpoints; does not know any recipe.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from mmtutor.reach import fingerprint
from mmtutor.recipes.common.result import plain
from mmtutor.recipes.common.training import saved_in
from mmtutor.training.checkpoint import CheckpointError
from mmtutor.training.resume import StoppedError, on_sigterm
from mmtutor.training.step_folders import Checkpoints, clear, differences, runs_in


def identity(module: str, config: Any) -> dict[str, Any]:
    """What tells a run from others, as in `metrics.json`: recipe, settings, and the code."""
    return {"module": module, "config": plain(config), "fingerprint": fingerprint(module)}


@contextmanager
def interruptible(
    checkpoints: Checkpoints,
    run: Mapping[str, Any],
    restart: bool = False,
    track: str | None = None,
) -> Iterator[None]:
    """The block may be killed at any moment, and goes on from its newest checkpoint next time.

    SIGTERM ends it with a `StoppedError`, in training after a save. `run` is its `identity`;
    `track`, the name of a `Track`; raises as `begin` does.
    """
    with saved_in(begin(checkpoints, run, restart), track), on_sigterm(_stop):
        yield


def _stop(*_: Any) -> NoReturn:
    raise StoppedError("SIGTERM")


def begin(checkpoints: Checkpoints, run: Mapping[str, Any], restart: bool) -> Checkpoints:
    """The checkpoints of `run`; those of a finished run of another kind make place for them.

    With `restart`, all that are there do.

    Raises:
        CheckpointError: another run's are there, and it is not finished.
    """
    folder = checkpoints.folder
    places = [folder, *folder.glob("training-*")]
    others = [found for place in places for found in runs_in(place) if _differ(found, run)]
    if others and not restart and _differ(_finished(folder), others[-1]):
        raise CheckpointError(
            f"{folder} holds another run, unfinished: {_differ(others[-1], run)}; choose another "
            "folder, or begin anew with --restart"
        )
    if others or restart:
        for place in places:
            clear(place)
    return replace(checkpoints, run=run)


def _finished(folder: Path) -> Mapping[str, Any]:
    """The record of the run that was finished last in `folder`, empty if there is none."""
    try:
        return json.loads((folder / "metrics.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def _differ(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """How two runs differ, setting by setting; nothing if they are the same."""
    return differences(*(_flat(run) for run in (there, here)))


def _flat(run: Mapping[str, Any]) -> dict[str, Any]:
    kept = {"recipe": run.get("module"), "code": run.get("fingerprint")}
    return kept | dict(run.get("config") or {})
