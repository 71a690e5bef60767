"""The command line: `mmtutor run`, `mmtutor list`, `mmtutor fetch`, `mmtutor doctor`.

Knows how to find a recipe, run it and keep its result, and how to describe this machine in words.
Knows nothing of what a recipe does.
"""

from __future__ import annotations

import json
import platform
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, NoReturn

import typer

from mmtutor.files import CacheError
from mmtutor.recipes import RECIPES

app = typer.Typer(
    help="Run the experiments of the book Multimodal Large Models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def run(
    recipe: Annotated[str, typer.Argument(help="Which experiment; `mmtutor list` names them.")],
    out: Annotated[
        Path, typer.Option(help="Folder for metrics.json, model.safetensors, curve.png.")
    ],
    preset: Annotated[
        str | None, typer.Option(help="Size of the run; default: as this machine allows.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the preset's seed.")] = None,
    options: Annotated[
        list[str] | None, typer.Option("--set", help="Any other setting, as NAME=VALUE.")
    ] = None,
) -> None:
    """Run one experiment and write its metrics, model and training curve."""
    from mmtutor.notebook.plots import learning_curve
    from mmtutor.notebook.setup import default_preset
    from mmtutor.recipes.common.result import plain, require_writable, write_result

    module = _find(recipe)
    preset = preset or default_preset()
    try:
        config = module.Config.preset(preset)
        config = config if seed is None else replace(config, seed=seed)
        config = replace(config, **_settings(config, options or []))
    except ValueError as error:
        _stop(str(error), code=2)
    try:
        require_writable(out)
    except OSError as error:
        _stop(f"cannot write to --out {out}: {error.strerror or error}", code=2)
    try:
        result = module.run(config)
    except (OSError, FloatingPointError, ImportError) as error:
        _stop(f"{recipe} stopped: {error}", code=1)
    typer.echo("\n".join(_lines(plain(result.metrics))))
    command = ["mmtutor", "run", recipe, "--preset", preset, "--out", str(out)]
    command += [] if seed is None else ["--seed", str(seed)]
    command += [part for option in options or [] for part in ("--set", option)]
    try:
        curve = learning_curve(result.history)
        write_result(result, out, shlex.join(command), preset, module.__name__, curve)
    except OSError as error:
        _stop(f"the result could not be written: {error}", code=1)
    typer.echo(f"Written to {out}: metrics.json, model.safetensors, curve.png")


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
        Path | None, typer.Option(help="Also copy them to this folder, to take along.")
    ] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A folder that --to filled, instead of a network.")
    ] = None,
    deb: Annotated[
        Path | None, typer.Option(help="The set's package as a file you have, instead of apt.")
    ] = None,
) -> None:
    """Fetch sets of data and weights, once. $MMTUTOR_CACHE may name a folder that --to filled."""
    from mmtutor.data.fetch import SETS, cache_dir, copy, get, summary

    names = list(SETS) if every else names or []
    if not names or (deb and len(names) > 1):
        _stop(f"expected {'one set with --deb' if deb else '--all, or sets'}: {', '.join(SETS)}", 2)
    failed = False
    for name in names:
        try:
            if source:
                copy(name, source, cache_dir())
            else:
                get(name, package=deb)
            if to:
                copy(name, cache_dir(), to)
            typer.echo(summary(name, to))
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, CacheError) else error
            typer.echo(f"mmtutor: {name}: {reason}", err=True)
            failed = True
    raise typer.Exit(failed)


@app.command()
def doctor() -> None:
    """Say in plain words what machine, versions, data and cache there are."""
    from mmtutor.data.fetch import SETS

    sets = {f"data, {name}": partial(_set, name) for name in SETS}
    parts = {"machine": _machine, "versions": _versions, "extras": _extras}
    for name, part in (parts | {"data": _shapes} | sets | {"cache": _cache}).items():
        try:
            typer.echo(part())
        except Exception as error:  # whatever is broken here is what the reader wants to hear of
            typer.echo(f"{name[0].upper()}{name[1:]}: could not be found out ({error}).")


def _find(recipe: str) -> ModuleType:
    """The recipe called `recipe`, with a dash or an underscore; or stop, naming those there are."""
    name = recipe.replace("-", "_")
    if name not in RECIPES:
        _stop(f"unknown recipe {recipe!r}: expected one of {', '.join(sorted(RECIPES))}", code=2)
    return import_module(RECIPES[name])


def _settings(config: Any, options: list[str]) -> dict[str, Any]:
    """NAME=VALUE each, as keyword arguments for `replace`, each of the type that it replaces.

    Raises ValueError for a name that `config` lacks or a value of another type.
    """
    settings = {}
    for option in options:
        name, sign, value = option.partition("=")
        if not sign or not hasattr(config, name):
            known = ", ".join(field.name for field in fields(config))
            raise ValueError(f"--set {option}: expected NAME=VALUE, NAME one of {known}")
        kind = type(getattr(config, name))
        try:
            settings[name] = kind(value) if kind in (int, float, str) else json.loads(value)
        except ValueError:
            raise ValueError(f"--set {option}: expected a value of type {kind.__name__}") from None
    return settings


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


def _machine() -> str:
    from mmtutor.machine import hardware
    from mmtutor.notebook.setup import default_preset, precision

    found = hardware()
    system = f"{platform.system()} on {platform.machine()}"
    size = f"{found['cores']} cores, {found['memory_gib']} GiB memory"
    machine = f"Machine: {found['cpu']}, {size}, {system}."
    how = f"training uses {precision()} and the preset {default_preset()!r}"
    if "gpu" not in found:
        return f"{machine}\nGPU: none that torch can use; {how}."
    return f"{machine}\nGPU: {found['gpu']} with {found['gpu_memory_gib']} GiB; {how}."


def _versions() -> str:
    from mmtutor.machine import versions

    return f"Versions: {', '.join(f'{name} {version}' for name, version in versions().items())}."


def _extras() -> str:
    """Which extras of `pyproject.toml` are installed, and how to get the others."""
    try:
        requirements = metadata.requires("mmtutor") or []
    except metadata.PackageNotFoundError:
        return "Extras: unknown, because mmtutor runs from its source and is not installed."
    extras: dict[str, list[str]] = {}
    for requirement in requirements:
        if extra := re.search(r"extra == ['\"]([\w-]+)['\"]", requirement):
            extras.setdefault(extra[1], []).append(re.match(r"[\w.-]+", requirement)[0])
    missing = {extra: [n for n in names if not _installed(n)] for extra, names in extras.items()}
    complete = ", ".join(extra for extra, names in missing.items() if not names) or "none"
    lines = [f"Extras that are complete: {complete}."]
    for extra, names in missing.items():
        if names:
            lines.append(f'  {extra} lacks {", ".join(names)}: pip install "mmtutor[{extra}]"')
    return "\n".join(lines)


def _installed(distribution: str) -> bool:
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def _shapes() -> str:
    return "Data, shapes: built in, made when asked for."


def _set(name: str) -> str:
    from mmtutor.data.fetch import summary

    try:
        return f"Data, {summary(name).splitlines()[0]}."
    except FileNotFoundError as error:
        return f"Data, {name}: {error}."


def _cache() -> str:
    from mmtutor.data import cache_dir
    from mmtutor.machine import GIB

    folder = cache_dir()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(standing).free
    state = f"holds {size / 2**20:.0f} MiB" if folder.exists() else "is not there yet"
    return f"Cache: {folder} {state}; the disk has {free / GIB:.1f} GiB free."


if __name__ == "__main__":
    app()
