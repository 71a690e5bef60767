"""Whatever answers questions, behind one call: a part's name and its data -> `Answers`.

Knows the kinds of models that a scorecard takes. Does not know what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data import Dataset
from mmtutor.data.tables import read_table
from mmtutor.evaluation.predict import predict
from mmtutor.evaluation.scorecard.grading import Answers, Grade, _chosen, _graded
from mmtutor.models.hub.vqa import HubVqa, _kind

BATCH = 16  # questions that are put at once to a model that writes
SECRET = ("answer", "answers", "label", "target", "refuse", "subset", "group", "paraphrase")
LETTERS = "Answer with the option's letter from the given choices directly."  # LLaVA's words


class _Chooses:
    """A module whose output has `logits` of the classes in the column `label`."""

    writes = False

    def __init__(self, module: nn.Module) -> None:
        self.module = module

    def __call__(self, part: str, data: Dataset) -> Answers:
        if "label" not in data.columns:
            raise ValueError(
                "data must have a column 'label' for a module with logits; a model that writes its "
                f"answers needs a method answer(batch), got {type(self.module).__name__} without"
            )
        return _chosen(predict(self.module, data))


class _Writes:
    """A function of a batch that gives texts, or pairs of a text and a confidence in [0, 1].

    The batch holds lists: `question`, `image` (uint8 (3, H, W) each) and all other columns but
    those that would give the answer away. Options stand in the question, each with its letter.
    A tensor (B, C) of logits is read as a choice among the C options.
    """

    writes = True

    def __init__(self, answer: Callable[[dict[str, list]], Any], score: Grade | None) -> None:
        self.answer, self.score = answer, score
        self.seconds: list[float] = []  # for a question, of each batch that was asked

    def __call__(self, part: str, data: Dataset) -> Answers:
        said: list[Any] = []
        for start in range(0, len(data), BATCH):
            rows = data.__getitems__(range(start, min(start + BATCH, len(data))))
            batch = {name: [row[name] for row in rows] for name in rows[0] if name not in SECRET}
            if "options" in batch:
                pairs = zip(batch["question"], batch["options"], strict=True)
                batch["question"] = [_with_options(*pair) for pair in pairs]
            began = perf_counter()
            replies = self.answer(batch)
            self.seconds.append((perf_counter() - began) / len(rows))
            said += _replies(replies, batch, len(rows))
        found = _graded([text for text, _ in said], data, self.score)
        if any(sure is None for _, sure in said):
            return found
        return found._replace(sure=torch.tensor([float(sure) for _, sure in said]).double())


class _Stored:
    """A table of stored answers: `answer`, perhaps `confidence`, and a column for each part."""

    writes = True
    seconds: Sequence[float] = ()

    def __init__(self, table: Dataset, score: Grade | None) -> None:
        if "answer" not in table.columns:
            there = ", ".join(table.columns)
            raise ValueError(f"the file of answers must have a column 'answer', got {there}")
        self.table, self.score = table, score

    def __call__(self, part: str, data: Dataset) -> Answers | None:
        column = part or "answer"
        if column not in self.table.columns:
            return None
        place = self._places(data)
        texts = [self.table.column(column)[i] for i in place]
        found = _graded(texts, data, self.score)
        if column != "answer" or "confidence" not in self.table.columns:
            return found
        sure = torch.tensor([_number(self.table.column("confidence")[i]) for i in place]).double()
        checks.within("[0, 1]", confidence=sure)
        return found._replace(sure=sure)

    def _places(self, data: Dataset) -> list[int]:
        """Which stored row answers each row of `data`: by `id` where both have one."""
        if "id" in data.columns and "id" in self.table.columns:
            known = {each: i for i, each in enumerate(self.table.column("id"))}
            lacking = [each for each in data.column("id") if each not in known]
            if lacking:
                raise ValueError(
                    f"the file of answers must answer every id, got none for {lacking[0]!r}"
                )
            return [known[each] for each in data.column("id")]
        rows = data.column("row").tolist()
        if max(rows) >= len(self.table):
            raise ValueError(
                f"the file of answers must have a row for each question or a column 'id', got "
                f"{len(self.table)} rows for question {max(rows) + 1}"
            )
        return rows


def _asker(model: Any, score: Grade | None) -> _Chooses | _Writes | _Stored:
    """The model behind one call; TypeError for what cannot answer."""
    if isinstance(model, str | Path):
        return _Stored(_opened(model=model), score)
    if isinstance(model, Dataset):
        return _Stored(model, score)
    if (
        hasattr(model, "model")
        and getattr(model, "processor", None)
        and not hasattr(model, "answer")
    ):
        model = (model.model, model.processor)  # a pipeline of `transformers`
    if isinstance(model, tuple) and len(model) == 2:
        network, processor = model
        model = _kind(network.config, type(network).__name__)[1](network.eval(), processor)
    if isinstance(model, HubVqa):
        hub = model
        return _Writes(lambda batch: hub.answer(batch["image"], batch["question"]), score)
    if callable(getattr(model, "answer", None)):
        return _Writes(model.answer, score)
    if isinstance(model, nn.Module):
        return _Chooses(model)
    if callable(model):
        return _Writes(model, score)
    raise TypeError(
        "model must be a function of a batch, an object with answer(batch), a module with logits, "
        "a pair of a transformers model and its processor, or a file of answers, "
        f"got {checks.shortened(model)}"
    )


def _opened(**argument: Any) -> Any:
    """The table at an argument that is a path; any other argument as it is."""
    [(name, value)] = argument.items()
    try:
        return read_table(value) if isinstance(value, str | Path) else value
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _replies(replies: Any, batch: Mapping[str, list], n: int) -> list[tuple[str, float | None]]:
    """What a function gave for a batch, as texts with a confidence or None."""
    if isinstance(replies, Tensor):
        if "options" not in batch:
            raise ValueError("data must have a column 'options' for a model that gives logits")
        checks.shaped(replies=(replies, f"{n} C"))
        sure, place = replies.double().softmax(dim=1).max(dim=1)
        pairs = zip(place.tolist(), sure.tolist(), strict=True)
        return [(chr(ord("A") + i), one) for i, one in pairs]
    found = checks.listed((str, tuple), **{"what model answers": replies})
    if len(found) != n:
        raise ValueError(f"model must give an answer a question, got {len(found)} for {n}")
    pairs = [(one, None) if isinstance(one, str) else one for one in found]
    for pair in pairs:
        if len(pair) != 2 or not isinstance(pair[0], str):
            raise TypeError(f"model must give texts, or pairs (text, confidence), got {pair!r:.60}")
        if pair[1] is not None:
            checks.within("[0, 1]", confidence=pair[1])
    return pairs


def _with_options(question: str, options: Sequence[str]) -> str:
    lines = [f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(options)]
    return "\n".join([question, *lines, LETTERS])


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"confidence must be a number in every row, got {text!r}") from None
