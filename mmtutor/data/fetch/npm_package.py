"""Packages of npm, fetched as archives; no script in them runs. Does not know what is in them."""

from __future__ import annotations

from pathlib import Path

from mmtutor.data.fetch import client


def download(name: str, version: str, folder: Path) -> Path:
    """The `.tgz` of `name` in `version`, fetched by `npm pack` into `folder`.

    Raises:
        FetchError: there is no npm, or it failed.
    """
    instead = (
        "Is there a network, and npm (it comes with Node.js)? Else take a folder that `mmtutor "
        "fetch --to` filled elsewhere, with --from"
    )
    command = ["npm", "pack", "--ignore-scripts", "--loglevel=error", f"{name}@{version}"]
    printed = client.run("npm", command, folder, f"{name} {version}", instead)
    return folder / printed.split()[-1]
