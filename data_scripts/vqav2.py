"""Get VQAv2: from the hub into a folder of plain parquet files with checksums, piece by piece.

Then no lab needs the hub: give the folder as the recipe's `data`. A run that was cut short goes on
where it stopped; one that is finished is checked, and nothing more is done. Ask for more questions,
and those missing are added. The pictures come from COCO and with it from Flickr: their terms allow
research and teaching, not redistribution. The questions and answers are under CC BY 4.0.
"""

from __future__ import annotations

import argparse
import sys
from itertools import islice
from pathlib import Path
from typing import Any

from data_scripts import manifest
from mmtutor.checks import at_least
from mmtutor.data.fetch.cache import cache_dir
from mmtutor.data.hub.vqav2 import ANNOTATORS, NEEDED, VQAV2, open_stream
from mmtutor.files import CacheError, atomic_file, sha256

QUESTIONS = 5_000  # of 214,354; those about one picture come together, five or so
PIECE = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--source", default=VQAV2, help="hub id or folder (default: %(default)s)")
    parser.add_argument("--split", default="validation", help="default: %(default)s")
    parser.add_argument(
        "--questions", type=int, default=QUESTIONS, help="the first so many (default: %(default)s)"
    )
    parser.add_argument(
        "--out", type=Path, default=cache_dir() / "vqav2", help="folder (default: %(default)s)"
    )
    options = parser.parse_args()
    try:
        at_least(1, questions=options.questions)
        before = verify(options.out) if options.out.exists() else 0
        if before >= options.questions:
            print(f"already there, checksums right: {before} questions in {options.out}")
        else:
            prepare(options.source, options.out, options.split, options.questions)
            print(f"{options.questions} questions of VQAv2 are in {options.out}")
    except (ValueError, OSError) as error:
        said = error.strerror if isinstance(error, CacheError) else error
        print(f"vqav2: {said}", file=sys.stderr)
        return 1
    return 0


def prepare(
    source: str | Path,
    out: Path,
    split: str = "validation",
    questions: int = QUESTIONS,
    piece: int = PIECE,
) -> None:
    """Fill `out` up to `questions` questions, one parquet file for every `piece` of them.

    Every file appears whole or not at all, and in the manifest once it is there; what an earlier
    run finished is kept.

    Raises:
        ValueError: the split has fewer questions, a question has not ten answers, or `out` holds
            another table.
        HubUnreachableError, CacheError: no network; no room.
    """
    at_least(1, questions=questions, piece=piece)
    kept = _kept(out, str(source), split)
    done = sum(part["questions"] for part in kept["files"].values())
    stream = open_stream(source, split)
    rows = iter(stream.skip(done))
    while done < questions:
        part = list(islice(rows, min(piece, questions - done)))
        if not part:
            raise ValueError(f"split {split!r} has {done} questions: expected {questions}")
        check(part)
        name = f"{split}-{len(kept['files']):05d}.parquet"
        _write(out / name, part, stream.features)
        kept["files"][name] = {"questions": len(part), "sha256": sha256(out / name)}
        manifest.write(out, kept)
        done += len(part)


def verify(folder: Path) -> int:
    """How many questions there are; ValueError, naming the file, if one is missing or changed."""
    files = manifest.read(folder)["files"]
    manifest.check(folder, {name: part["sha256"] for name, part in files.items()})
    return sum(part["questions"] for part in files.values())


def check(rows: list[dict[str, Any]]) -> None:
    """ValueError unless every row has what `load_vqav2` needs, and ten answers."""
    for row in rows:
        missing = [name for name in NEEDED if row.get(name) is None]
        if missing:
            raise ValueError(f"a row has no {' and no '.join(missing)}; it has {', '.join(row)}")
        if len(row["answers"]) != ANNOTATORS:
            raise ValueError(
                f"question {row.get('question_id', row['question'])!r} has {len(row['answers'])} "
                f"answers: expected {ANNOTATORS}"
            )


def _kept(out: Path, source: str, split: str) -> dict[str, Any]:
    """What is in `out` already, checked; ValueError if it came from elsewhere."""
    fresh = {"source": source, "split": split, "files": {}}
    if not out.exists():
        return fresh
    verify(out)
    found = manifest.read(out)
    if (found["source"], found["split"]) != (source, split):
        raise ValueError(
            f"{out} holds {found['split']} of {found['source']}, not {split} of {source}; choose "
            "another --out"
        )
    return found


def _write(path: Path, rows: list[dict[str, Any]], features: Any) -> None:
    import datasets

    with atomic_file(path) as file:
        datasets.Dataset.from_list(rows, features=features).to_parquet(file)


if __name__ == "__main__":
    sys.exit(main())
