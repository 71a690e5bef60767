"""A table of people's preferences: made for readers to fill in, and one model's card from it.

Knows pairs of answers and who was preferred. Does not know models.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data import Dataset
from mmtutor.evaluation.scorecard.floors import _luck
from mmtutor.evaluation.scorecard.measures import Measure, Scorecard, measure
from mmtutor.evaluation.statistics.bootstrap import weighted_mean
from mmtutor.evaluation.statistics.preferences import Preferences, strengths
from mmtutor.files import atomic_file

COLUMNS = ("rater", "question", "first", "second", "first_answer", "second_answer", "preferred")


def write_preferences(
    answers: Mapping[str, Sequence[str]], questions: Sequence[str], path: str | Path
) -> None:
    """A CSV for raters: two answers in each row, in random order, and `preferred` left empty.

    Each question is asked of one random pair of models. Raters write "first", "second" or "tie",
    and their name; hide the columns `first` and `second`, which name the models, from them. What
    they filled in is graded by `scorecard(name of a model, path)`; with fewer than six raters
    nothing can be flagged.

    Args:
        answers: what each model answered, by name; two models at least.
        questions: N strings, as many as each model has answers.
    """
    checks.instance(Mapping, answers=answers)
    checks.instance((str, Path), path=path)
    checks.at_least(2, **{"len(answers)": len(answers)})
    questions = checks.listed(str, questions=questions)
    checks.same_length(questions=questions, **{f"answers[{m!r}]": a for m, a in answers.items()})
    random, text = Random(0), io.StringIO(newline="")
    table = csv.DictWriter(text, COLUMNS, restval="")
    table.writeheader()
    for i, question in enumerate(questions):
        first, second = random.sample(sorted(answers), 2)
        row = {"question": question, "first": first, "second": second}
        row |= {"first_answer": answers[first][i], "second_answer": answers[second][i]}
        table.writerow(row)
    with atomic_file(path) as file:
        file.write(text.getvalue().encode())


def _preferred(name: str, data: Dataset) -> Scorecard:
    """The card of the model called `name` in a table of preferences."""
    first, second, verdict = (_column(data, key) for key in ("first", "second", "preferred"))
    names = sorted({*first, *second})
    checks.one_of(names, model=name)
    done = [i for i, each in enumerate(verdict) if each]
    won = {i: _share(verdict[i], first[i], second[i], i) for i in done}  # of the first
    ours = [i for i in done if name in (first[i], second[i])]
    if not ours:
        raise ValueError(f"preferred must be filled in with {_words()} for {name}, got no row")
    rater = _raters(data, len(verdict))
    score = torch.tensor([won[i] if first[i] == name else 1 - won[i] for i in ours]).double()
    groups = None if rater is None else rater[ours]
    below = _luck((score - 0.5) / len(score), groups=groups)
    cells = {
        "preferred": measure(weighted_mean(score), len(score), "high", groups, floor=0.5 - below)
    }
    left = {}
    if rater is None or len(rater[done].unique()) < 2:
        left["preference, strength"] = "a column 'rater' with two raters or more"
    else:
        cells["strength"] = _strength(name, names, first, second, won, rater)
    habit = torch.tensor([won[i] - 0.5 for i in done]).double()
    every = None if rater is None else rater[done]
    floor = _luck(habit / len(habit), lambda sums: sums.abs().amax(dim=1), every)

    def leaning(weights: Tensor) -> Tensor:
        return (weights @ habit / weights.sum(dim=1)).abs()

    raters = {"lean to one side": measure(leaning, len(habit), "low", every, floor=floor)}
    return Scorecard(name, {"preference": cells, "raters": raters}, left)


def _strength(
    name: str, names: list[str], first: list, second: list, won: dict[int, float], rater: Tensor
) -> Measure:
    """Bradley and Terry's strength; a tie counts as a win of each, all others as two."""
    rows = [(i, side) for i, share in won.items() for side in _sides(share)]
    number = {each: i for i, each in enumerate(names)}
    pairs = [(first[i], second[i]) if side else (second[i], first[i]) for i, side in rows]
    winner, loser = (torch.tensor([number[pair[k]] for pair in pairs]) for k in (0, 1))
    judged = Preferences(winner, loser, rater[[i for i, _ in rows]])
    return Measure(strengths(judged, len(names))[number[name]], "high", "log-odds")


def _sides(share: float) -> tuple[bool, bool]:
    return (True, False) if share == 0.5 else (share == 1,) * 2


def _column(data: Dataset, name: str) -> list[str]:
    return [str(each).strip() for each in data.column(name)]


def _share(verdict: str, first: str, second: str, row: int) -> float:
    """1 where the first was preferred, 0 where the second was, 0.5 for a tie."""
    known = {"first": 1.0, "second": 0.0, "tie": 0.5, second: 0.0, first: 1.0}
    if verdict not in known or first == second:
        raise ValueError(
            f"preferred must be {_words()}, of two models, got {verdict!r} in row {row}"
        )
    return known[verdict]


def _words() -> str:
    return "'first', 'second', 'tie' or a model's name"


def _raters(data: Dataset, n: int) -> Tensor | None:
    if "rater" not in data.columns:
        return None
    names = _column(data, "rater")
    return torch.tensor([sorted(set(names)).index(each) for each in names])
