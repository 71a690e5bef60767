"""Get Flickr30k: from the hub once, into a folder of plain parquet files with checksums.

Then no lab needs the hub: give the folder as the recipe's `data`. It takes gigabytes. A second run
checks the folder and does nothing more. The pictures come from Flickr: their terms allow research
and teaching, not redistribution.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from data_scripts import manifest
from mmtutor.data.fetch.cache import cache_dir
from mmtutor.data.hub.flickr30k import FLICKR30K, PARQUET, load_flickr30k
from mmtutor.files import CacheError, atomic_folder, sha256

KARPATHY = {"train": 29_000, "val": 1_014, "test": 1_000}
CAPTIONS = 5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--source", default=FLICKR30K, help="hub id or folder (default: %(default)s)"
    )
    parser.add_argument(
        "--revision", default=PARQUET, help="branch on the hub (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=cache_dir() / "flickr30k", help="folder (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        if options.out.exists():
            verify(options.out)
            print(f"already there, checksums right: {options.out}")
        else:
            prepare(options.source, options.out, options.revision)
            print(f"Flickr30k is in {options.out}")
    except (ValueError, OSError) as error:
        print(
            f"flickr30k: {error.strerror if isinstance(error, CacheError) else error}",
            file=sys.stderr,
        )
        return 1
    return 0


def prepare(
    source: str | Path, out: Path, revision: str | None = PARQUET, counts: dict[str, int] = KARPATHY
) -> None:
    """Write one parquet file a split into `out`, whole or not at all, and the manifest last.

    Raises:
        ValueError: a split has not as many images as `counts` says, or an image not five captions.
        HubUnreachableError, CacheError: no network; no room.
    """
    with atomic_folder(out) as folder:
        for split, count in counts.items():
            images = load_flickr30k(source, split, revision=revision)
            check(images.column("captions"), split, count)
            images.transform.table.to_parquet(str(folder / f"{split}.parquet"))
        files = {path.name: sha256(path) for path in sorted(folder.glob("*.parquet"))}
        made = {"source": str(source), "revision": revision, "images": counts, "sha256": files}
        manifest.write(folder, made)


def verify(folder: Path) -> None:
    """ValueError, naming the file, unless all files of the manifest are there, unchanged."""
    manifest.check(folder, manifest.read(folder)["sha256"])


def check(captions: list[list[str]], split: str, count: int) -> None:
    """ValueError unless there are `count` images with five captions each."""
    if len(captions) != count:
        raise ValueError(f"split {split!r} has {len(captions)} images: expected {count}")
    for row, several in enumerate(captions):
        if len(several) != CAPTIONS:
            raise ValueError(
                f"image {row} of {split!r} has {len(several)} captions: expected {CAPTIONS}"
            )


if __name__ == "__main__":
    sys.exit(main())
