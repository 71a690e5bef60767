"""Bad words at the command line: what comes of them, over every recipe, setting and command.

`python -m tests.sweep.command_line [--seed 7] [--each 4]` prints the counts and each failure.

A wrong word must end in one sentence that names it, with a status that is not 0. No recipe runs:
where one would, the word was accepted without a word (silent).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints
from unittest.mock import patch

from mmtutor import cli
from mmtutor.data.fetch import SETS
from mmtutor.data.fetch.registry import Package, Source
from mmtutor.recipes import RECIPES
from tests.data.debs import FOLDER, deb


@dataclass(frozen=True)
class Case:
    """What is typed, a word that the refusal must have, and variables of the environment."""

    words: tuple[str, ...]
    names: str
    variables: dict[str, str] = field(default_factory=dict)


class AcceptedError(BaseException):
    """A recipe would have run."""


def typo(random: Random, word: str) -> str:
    """The word with a letter more, fewer or another; never the word itself."""
    place = random.randrange(len(word))
    letter = random.choice("xqz")
    return random.choice(
        [
            word[:place] + letter + word[place:],
            word[:place] + letter + letter + word[place + 1 :],
            word + " ",
            word.upper() if word.upper() != word else word + "?",
        ]
    )


def texts(random: Random, hint: Any) -> list[str]:
    """What does not fit an annotation, one for each way of being wrong."""
    parts = get_args(hint)
    bare = hint.__origin__ if hasattr(hint, "__metadata__") else hint
    if NoneType in parts:
        inner = next(part for part in parts if part is not NoneType)
        return [text for text in texts(random, inner) if text.lower() != "none"]
    if get_origin(bare) is Literal:
        options = [option for option in parts if isinstance(option, str)]
        return [typo(random, random.choice(options)), "", "None", "3", "nan", '["x"]']
    if get_origin(bare) is tuple:
        inner = parts[0]
        options = [o for o in get_args(inner) if isinstance(o, str)]
        if options:
            wrong = typo(random, random.choice(options))
            right = random.choice(options)
            lists = [[wrong], [right, right], [right, 3], [None], [[right]], {right: right}]
            return [right, wrong, "", "None", "3", "[", "[]", *map(json.dumps, lists)]
        lists = [["a"], [0, 0], [-1], [1.5], [None], [10**30], {"a": 1}, [True]]
        return ["0", "", "None", "[", "[]", *map(json.dumps, lists)]
    if bare is bool:
        return ["maybe", "", "2", "None", "nan", "[true]", "tru"]
    if bare is int:
        return [*_numbers(hint), "1.5", "1e3", "x", "", "None", "nan", "[1]", "true", "9" * 40]
    if bare is float:
        return [*_numbers(hint), "x", "", "None", "nan", "inf", "-inf", "[1]", "true", "1e30"]
    assert bare is str, hint
    return ["", " ", "\t"]


def _numbers(hint: Any) -> Iterator[str]:
    """Numbers just outside of the bounds of an annotation; there must be bounds on both sides."""
    bounds = {}
    for info in getattr(hint, "__metadata__", ()):
        for bound in getattr(info, "metadata", [info]):
            for name in ("gt", "ge", "lt", "le"):
                if hasattr(bound, name):
                    bounds[name] = getattr(bound, name)
    low, high = bounds.get("ge", bounds.get("gt", 0)), bounds.get("le", bounds.get("lt", 10**30))
    step = 1 if hint.__origin__ is int else 1e-3
    yield str(low if "gt" in bounds else low - step)
    yield "-1"
    yield str(high if "lt" in bounds else high + step)


def settings_of(recipe: str) -> dict[str, Any]:
    kind = import_module(RECIPES[recipe]).Config
    hints = get_type_hints(kind, include_extras=True)
    return {each.name: hints[each.name] for each in fields(kind)}


def setting_cases(random: Random, each: int, out: Path) -> Iterator[Case]:
    """Every field of every recipe, with `each` texts that do not fit."""
    for recipe in RECIPES:
        kind = import_module(RECIPES[recipe]).Config
        presets = sys.modules[kind.__module__].PRESETS
        start = ("run", recipe, "--out", str(out / recipe))
        names = settings_of(recipe)
        for name, hint in names.items():
            preset = ("--preset", random.choice(list(presets)))
            wrong = texts(random, hint)
            for text in random.sample(wrong, min(each, len(wrong))):
                yield Case((*start, *preset, "--set", f"{name}={text}"), name)
        name = random.choice(list(names))
        for option in (f"{typo(random, name)}=1", name, f"={name}", "", "preset=1", f"{name} 1"):
            yield Case((*start, "--preset", "tiny", "--set", option), "--set")
        twice = ("--set", "batch_size=8", "--set", "batch_size=9")
        yield Case((*start, "--preset", "tiny", *twice), "batch_size")
        yield Case((*start, "--preset", "tiny", "--seed", "1", "--set", "seed=2"), "seed")
        for seed in random.sample(["-1", "x", "", "1.5", "nan", str(2**70)], 2):
            yield Case((*start, "--preset", "tiny", "--seed", seed), "seed")
        for preset in (typo(random, random.choice(list(presets))), "", "1"):
            yield Case((*start, "--preset", preset), "preset")
        yield Case((*start,), "MMTUTOR_PRESET", {"MMTUTOR_PRESET": random.choice(["huge", "T4"])})


UNFIT = [  # settings that do not fit each other: recipe, settings, what the refusal names
    ("audio_classification", ["encoder=transformer", "dim=10", "heads=3"], "heads"),
    ("image_classification", ["encoder=vit", "dim=10", "heads=3"], "heads"),
    ("image_classification", ["encoder=vit", "patch=5"], "patch"),
    ("image_classification", ["rearrange=5"], "rearrange"),
    ("text_classification", ["encoder=transformer", "dim=10", "heads=3"], "heads"),
    ("text_classification", ["encoder=gru", "bidirectional=true", "dim=7"], "dim"),
    ("video_classification", ["frames=4", "see=5"], "see"),
    ("pose_estimation", ["size=50"], "size"),
    ("joint_learning", ["data=fashion-mnist", "train=60001"], "train"),
    ("retrieval", ["fold_numbers=[0, 9]", "folds=5"], "fold_numbers"),
    ("retrieval", ["finetune=true", "chunk=4"], "chunk"),
    ("retrieval_shapes", ["dim=10", "heads=3"], "heads"),
    ("robustness", ["task=clothes", "defence=synonyms"], "defence"),
    ("scorecard", ["size=40"], "size"),
    ("scorecard", ["train=100", "pictures=101"], "pictures"),
    ("vqa", ["dataset=easy-vqa", "split=unseen"], "split"),
    ("vqa", ["dataset=shapes-questions", "split=adversarial"], "prior"),
    ("vqa_shapes", ["split=adversarial"], "prior"),
    ("vqa_hub", ["prompt=what is it?"], "prompt"),
    ("vqa_hub", ["prompt={question} {answer}"], "prompt"),
    ("vqa_hub", ["prompt={question} {"], "prompt"),
]


def other_cases(random: Random, folder: Path) -> Iterator[Case]:
    """Commands, recipes, folders, sets and the environment."""
    out, file = str(folder / "out"), str(folder / "file")
    for recipe, options, name in UNFIT:
        settings = [part for option in options for part in ("--set", option)]
        yield Case(("run", recipe, "--preset", "cpu", "--out", out, *settings), name)
    for recipe in (*(typo(random, recipe) for recipe in RECIPES), "", "common", "stored", "1"):
        yield Case(("run", recipe, "--out", out), "recipe")
    run = ("run", "retrieval_shapes", "--preset", "tiny")
    for bad in ("", " ", file, f"{file}/below", "nul\0byte", "/proc/none", "x" * 300):
        yield Case((*run, "--out", bad), "--out")
    for words, name in (
        ((*run,), "--out"),
        ((*run, "--out"), "--out"),
        (("run", "--out", out), "recipe"),
        ((*run, "--out", out, "more"), "more"),
        ((*run, "--out", out, "--sed", "1"), "--sed"),
        ((*run, "--out", out, "--set"), "--set"),
        ((*run, "--out", out, "--track", "tensor"), "track"),
        (("",), "command"),
        (("runn",), "runn"),
        (("--verbose",), "--verbose"),
        (("list", "x"), "x"),
        (("list", "--all"), "--all"),
        (("doctor", "x"), "x"),
        (("doctor", "--fix"), "--fix"),
        (("evaluate", "--answers", file), "--data"),
        (("evaluate", "--data", file), "--answers"),
        (("evaluate", "--answers", file, "--data", f"{file}.x"), f"{file}.x"),
        (("evaluate", "--answers", file, "--data", file), "file"),
        (("fetch",), "tiny"),
        (("fetch", "tiny"), "apt"),
        (("fetch", "absent"), "absent"),
        (("fetch", ""), "tiny"),
        (("fetch", typo(random, "tiny")), "tiny"),
        (("fetch", "tiny", "--all"), "tiny"),
        (("fetch", "tiny", "other", "--deb", file), "--deb"),
        (("fetch", "--all", "--deb", file), "--deb"),
        (("fetch", "tiny", "--deb", file), "file"),
        (("fetch", "tiny", "--deb", f"{file}.deb"), "file.deb"),
        (("fetch", "tiny", "--deb", str(folder)), folder.name),
        (("fetch", "tiny", "--deb", ""), "--deb"),
        (("fetch", "tiny", "--deb", file, "--from", str(folder)), "--deb"),
        (("fetch", "tiny", "--to", ""), "--to"),
        (("fetch", "tiny", "--from", ""), "--from"),
        (("fetch", "tiny", "--from", file), "tiny"),
        (("fetch", "tiny", "--from", str(folder / "absent")), "tiny"),
        (("fetch", "tiny", "--deb", str(folder / "thing.deb"), "--to", file), "file"),
        (("fetch", "--everything"), "--everything"),
    ):
        yield Case(words, name)
    cache = {"MMTUTOR_CACHE": file}
    yield Case(("fetch", "tiny", "--deb", str(folder / "thing.deb")), "file", cache)
    for variables in (cache, {"MMTUTOR_CACHE": f"{file}/below"}, {"MMTUTOR_PRESET": "huge"}):
        yield Case(("doctor",), next(iter(variables.values())), variables)


def outcome(case: Case) -> tuple[str, str]:
    """("clear" | "silent" | "traceback" | "unclear", what was said)."""
    said, shown = io.StringIO(), io.StringIO()
    try:
        with (
            patch.dict(os.environ, case.variables),
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(shown),
        ):
            status = cli.main(list(case.words))
    except AcceptedError:
        return "silent", "the recipe would run"
    except BaseException:
        return "traceback", traceback.format_exc().strip().splitlines()[-1]
    text = said.getvalue() or (shown.getvalue() if case.words[0] == "doctor" else "")
    if "Traceback" in text + shown.getvalue():
        return "traceback", text
    if status == 0:
        return "silent", "status 0"
    sentence = text.startswith("mmtutor: ") and text.count("\n") == 1 and len(text) < 1_000
    fine = sentence or case.words[0] == "doctor"
    return ("clear" if fine and case.names.lower() in text.lower() else "unclear"), text.strip()


@contextlib.contextmanager
def nothing_runs(folder: Path) -> Iterator[None]:
    """No recipe runs and no network is asked: the only set is "tiny", whose package is here."""

    def accept(*arguments: Any, **options: Any) -> None:
        raise AcceptedError

    (folder / "file").write_text("kept")
    deb(folder / "thing.deb", {"e.txt": b"five"}, package="thing")
    package = Package("debian", "thing", "1-test", "", FOLDER, (".txt",))
    sets = {"tiny": Source("one text", licence="MIT", megabytes=1, packages=[package])}
    environment = {"MMTUTOR_CACHE": str(folder / "cache"), "PATH": "", "MMTUTOR_PRESET": "tiny"}
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.dict(SETS, sets, clear=True))
        stack.enter_context(patch.dict(os.environ, environment))
        for module in set(RECIPES.values()):
            stack.enter_context(patch.object(import_module(module), "run", accept))
        yield


def sweep(
    seed: int, each: int, show: Callable[[str], None] = lambda line: None
) -> tuple[Counter, list[str]]:
    """Counts of the outcomes, and a line for each that is not clear."""
    random, counts, failures = Random(f"{seed} command line"), Counter(), []
    with TemporaryDirectory() as name, nothing_runs(folder := Path(name)):
        cases = [*setting_cases(random, each, folder), *other_cases(random, folder)]
        for case in cases:
            kind, what = outcome(case)
            counts[kind] += 1
            if kind != "clear":
                words = " ".join(map(repr, case.words))
                failures.append(f"{kind.upper():9} {words[:300]} {case.variables or ''}: {what}")
                show(failures[-1])
        assert (folder / "file").read_text() == "kept"
    return counts, failures


def report(counts: Counter) -> str:
    kinds = ("clear", "silent", "traceback", "unclear")
    found = ", ".join(f"{kind} {counts[kind]}" for kind in kinds)
    return f"{sum(counts.values())} bad inputs at the command line: {found}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=4, help="bad texts for each setting")
    asked = parser.parse_args()
    counts, failures = sweep(asked.seed, asked.each, print)
    print(report(counts))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
