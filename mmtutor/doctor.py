"""This machine in plain words: what it is, what is installed, which sets of data are there.

Knows no recipe.
"""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator
from functools import partial
from importlib import metadata


def report() -> Iterator[tuple[str, bool]]:
    """Lines about each part, and whether all is well with it.

    It is not where $MMTUTOR_PRESET or $MMTUTOR_CACHE names what cannot be.
    """
    from mmtutor.data.fetch import SETS

    sets = {f"data, {name}": partial(_set, name) for name in SETS}
    parts = {"machine": _machine, "versions": _versions, "extras": _extras}
    for name, part in (parts | {"data": _shapes} | sets | {"cache": _cache}).items():
        try:
            yield part(), True
        except Exception as error:  # whatever is broken here is what the reader wants to hear of
            fine = name not in ("machine", "cache")
            yield f"{name[0].upper()}{name[1:]}: could not be found out ({error}).", fine


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
    standing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not standing.is_dir():
        raise NotADirectoryError(f"{standing} is a file: expected a folder; see $MMTUTOR_CACHE")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    free = shutil.disk_usage(standing).free
    state = f"holds {size / 2**20:.0f} MiB" if folder.exists() else "is not there yet"
    return f"Cache: {folder} {state}; the disk has {free / GIB:.1f} GiB free."
