"""The command line: `mmtutor run`, `list`, `evaluate`, `fetch` and `doctor`.

Knows how to find a recipe, run it and keep its result, and how to describe this machine in words.
Knows nothing of what a recipe does.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer

from mmtutor.checks import did_you_mean
from mmtutor.files import CacheError
from mmtutor.recipes import RECIPES

app = typer.Typer(
    help="Run the experiments of the book Multimodal Large Models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Restart = Annotated[bool, typer.Option("--restart", help="Begin anew, whatever is in the folder.")]
SaveSteps = Annotated[int | None, typer.Option(min=1, help="Save after so many training steps.")]
SaveMinutes = Annotated[float, typer.Option(min=0.01, help="Save after so many minutes.")]
Keep = Annotated[int, typer.Option(min=1, help="How many of the newest saves stay.")]
Best = Annotated[str, typer.Option(help="By which number one more stays; as in `Checkpoints`.")]
Watch = Annotated[str | None, typer.Option("--track", help="Tell tensorboard or wandb (offline).")]


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="Which experiment; `mmtutor list` names them.")],
    out: Annotated[
        str,
        typer.Option(
            metavar="FOLDER", help="Folder for metrics.json, model.safetensors, curve.png."
        ),
    ],
    preset: Annotated[
        str | None, typer.Option(help="Size of the run; default: as this machine allows.")
    ] = None,
    seed: Annotated[
        str | None, typer.Option(metavar="NUMBER", help="Instead of the preset's seed.")
    ] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting, as NAME=VALUE.")
    ] = None,
    restart: Restart = False,
    save_steps: SaveSteps = None,
    save_minutes: SaveMinutes = 10.0,
    keep: Keep = 2,
    best: Best = "loss",
    track: Watch = None,
) -> None:
    """Run one experiment, or go on with one, and write its metrics, model and training curve."""
    from mmtutor.notebook.setup import default_preset
    from mmtutor.training.history import Track

    module = _find(recipe)
    try:
        preset = default_preset() if preset is None else preset
        config = module.Config.preset(preset)
        given = {} if seed is None else {"seed": seed}
        config = replace(config, **_settings(config, options or [], given))
        if track is not None:
            Track(track, Path(out))
    except (ImportError, ValueError) as error:
        _stop(str(error).removeprefix("Config: "), code=2)
    folder = _writable(out)
    wanted = {"every": save_steps, "minutes": save_minutes, "keep": keep, "best": best}
    result = _finished(module, recipe, config, folder, wanted, restart, track)
    command = ["mmtutor", "run", recipe, "--preset", preset, "--out", out]
    command += [] if seed is None else ["--seed", seed]
    command += [part for option in options or [] for part in ("--set", option)]
    if os.environ.get("RANK", "0") == "0":  # of the processes of torchrun, the first one
        _keep(result, folder, shlex.join(command), preset, module.__name__)


@app.command("list")
def list_recipes() -> None:
    """Name every experiment and say what it is."""
    for name, module in sorted(RECIPES.items()):
        doc = import_module(module).__doc__ or ""
        typer.echo(f"{name}: {doc.partition(chr(10))[0]}")


@app.command()
def fetch(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which sets; `mmtutor doctor` names them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every set.")] = False,
    to: Annotated[
        str | None, typer.Option(help="Also copy them to this folder, to take along.")
    ] = None,
    source: Annotated[
        str | None, typer.Option("--from", help="A folder that --to filled, instead of a network.")
    ] = None,
    deb: Annotated[
        str | None, typer.Option(help="The set's package as a file you have, instead of apt.")
    ] = None,
) -> None:
    """Fetch sets of data and weights, once. $MMTUTOR_CACHE may name a folder that --to filled."""
    from mmtutor.data.fetch import SETS, cache_dir, copy, get, summary

    for option, value in {"to": to, "from": source, "deb": deb}.items():
        if value is not None and not value.strip():
            _stop(f"--{option} is {value!r}: expected a path", 2)
    if every == bool(names) or (deb and (every or len(names) > 1 or source)):
        _stop(f"expected {'one set with --deb' if deb else '--all, or sets'}: {', '.join(SETS)}", 2)
    names, failed = list(SETS) if every else list(dict.fromkeys(names)), False
    for name in names:
        try:
            if source:
                copy(name, Path(source), cache_dir())
            else:
                get(name, package=deb and Path(deb))
            if to:
                copy(name, cache_dir(), Path(to))
            typer.echo(summary(name, to and Path(to)))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, CacheError) else error
            typer.echo(f"mmtutor: {name}: {reason}", err=True)
            failed = True
    raise typer.Exit(failed)


@app.command()
def evaluate(
    answers: Annotated[str, typer.Option(metavar="FILE", help="Stored answers, CSV or JSONL.")],
    data: Annotated[str, typer.Option(metavar="PATH", help="Table of questions, or its folder.")],
    out: Annotated[str | None, typer.Option(metavar="FOLDER", help="For a page and files.")] = None,
    name: Annotated[str, typer.Option(help="Of the model.")] = "model",
) -> None:
    """Grade stored answers to a table of questions: a scorecard, and a page of it in --out."""
    from mmtutor.notebook.scorecards import evaluated

    try:
        typer.echo(evaluated(answers, data, name, None if out is None else _writable(out)))
    except (OSError, TypeError, ValueError) as error:
        _stop(str(error), code=2)


@app.command()
def doctor() -> None:
    """Say in plain words what machine, versions, data and cache there are.

    The status is 1 where $MMTUTOR_PRESET or $MMTUTOR_CACHE names what cannot be.
    """
    from mmtutor.doctor import report

    failed = False
    for lines, fine in report():
        typer.echo(lines)
        failed |= not fine
    raise typer.Exit(failed)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status. What is wrong with the words is one sentence."""
    command = typer.main.get_command(app)
    try:
        return command.main(arguments, prog_name="mmtutor", standalone_mode=False) or 0
    except typer.BadParameter.__base__ as error:  # a usage error, of whichever click typer uses
        text = error.format_message()
        if text:  # else the help has been shown
            typer.echo(f"mmtutor: {text}", err=True)
        return 2
    except typer.Abort:
        typer.echo("mmtutor: interrupted", err=True)
        return 130


def _find(recipe: str) -> ModuleType:
    """The recipe called `recipe`, with a dash or an underscore; or stop, naming those there are."""
    name = recipe.replace("-", "_")
    if name not in RECIPES:
        known = sorted(RECIPES)
        hint = f"{', '.join(known)}{did_you_mean(name, known)}"
        _stop(f"unknown recipe {recipe!r}: expected one of {hint}", 2)
    return import_module(RECIPES[name])


def _settings(config: Any, options: list[str], given: dict[str, str]) -> dict[str, Any]:
    """NAME=VALUE each, and what is `given` in other options, as keyword arguments for `replace`.

    Each is read by the annotation of the field. Raises ValueError for a name that `config` lacks,
    one that comes twice, or a value that does not fit.
    """
    from mmtutor.recipes.common.config import read_setting

    kind, known = type(config), [field.name for field in fields(config)]
    settings = {name: read_setting(kind, name, text) for name, text in given.items()}
    for option in options:
        name, sign, text = option.partition("=")
        if not sign or name not in known:
            hint = f"NAME one of {', '.join(known)}{did_you_mean(name, known)}"
            raise ValueError(f"--set {option}: expected NAME=VALUE, {hint}")
        if name in settings:
            raise ValueError(f"--set {option}: {name} is given twice")
        try:
            settings[name] = read_setting(kind, name, text)
        except ValueError as error:
            raise ValueError(f"--set {option}: {error}") from None
    return settings


def _writable(out: str) -> Path:
    """The folder `out`, made if need be, and known to take a file; or stop."""
    from mmtutor.recipes.common.result import require_writable

    if not out.strip():
        _stop(f"--out is {out!r}: expected a folder", code=2)
    try:
        require_writable(Path(out))
    except (OSError, ValueError) as error:  # a path with a null byte is a ValueError
        _stop(f"cannot write to --out {out}: {getattr(error, 'strerror', None) or error}", code=2)
    return Path(out)


def _finished(
    module: ModuleType,
    recipe: str,
    config: Any,
    folder: Path,
    wanted: dict[str, Any],
    restart: bool,
    track: str | None,
) -> Any:
    """The result of the recipe, gone on with if it was interrupted; or stop, with the reason and,
    for a bug, where it came up."""
    from mmtutor.recipes.common.unfinished import identity, interruptible
    from mmtutor.training.resume import StoppedError
    from mmtutor.training.step_folders import Checkpoints

    code = 1
    try:
        checkpoints = Checkpoints(folder, say=partial(_say, recipe), **wanted)
        with interruptible(checkpoints, identity(module.__name__, config), restart, track):
            return module.run(config)
    except (OSError, FloatingPointError, ImportError, MemoryError, ValueError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
    except StoppedError as error:
        code, reason = 128 + signal.SIGTERM, str(error)  # as a shell reports it
    except Exception as error:
        (folder / "traceback.txt").write_text(traceback.format_exc(), "utf-8")
        where = folder / "traceback.txt"
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]} (see {where})"
    _stop(f"{recipe} stopped: {reason}", code)


def _keep(result: Any, folder: Path, command: str, preset: str, module: str) -> None:
    """Print the metrics, and write the files of the result."""
    from mmtutor.notebook.plots import learning_curve
    from mmtutor.recipes.common.result import plain, write_result

    typer.echo("\n".join(_lines(plain(result.metrics))))
    try:
        curve = learning_curve(result.history)
        write_result(result, folder, command, preset, module, curve)
    except OSError as error:
        _stop(f"the result could not be written: {error}", code=1)
    typer.echo(f"Written to {folder}: metrics.json, model.safetensors, curve.png")


def _say(recipe: str, what: str) -> None:
    typer.echo(f"mmtutor: {recipe}: {what}", err=True)


def _stop(message: str, code: int) -> NoReturn:
    typer.echo(f"mmtutor: {message}", err=True)
    raise typer.Exit(code)


def _lines(metrics: dict, indent: str = "") -> Iterator[str]:
    """One line a number."""
    for name, value in metrics.items():
        if isinstance(value, dict):
            yield f"{indent}{name}:"
            yield from _lines(value, indent + "  ")
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else value
            yield f"{indent}{name}: {shown}"


if __name__ == "__main__":
    sys.exit(main())
