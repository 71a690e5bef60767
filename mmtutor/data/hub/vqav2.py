"""VQAv2: a million questions about photographs, each answered by ten people; from hub or folder.

Knows the columns of the table, and how the book's own questions take its form. Does not know any
model or metric. `datasets` is imported only when a table is opened.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from mmtutor.checks import at_least, instance, listed
from mmtutor.data.dataset import Dataset
from mmtutor.data.hub.flickr30k import ReadPicture, open_folder, undecoded
from mmtutor.data.hub.preprocess import is_folder, need_hub_extra, open_table

if TYPE_CHECKING:
    import datasets

VQAV2 = "lmms-lab/VQAv2"
NEEDED = ("image", "question", "answers")
ANNOTATORS = 10
SAME = {"val": "validation", "validation": "val"}


def load_vqav2(
    source: str | Path = VQAV2, split: str = "validation", *, limit: int | None = None
) -> Dataset:
    """Questions of VQAv2 (Goyal et al. 2017), an example a question, pictures read on demand.

    Columns: `row` int64 (row of the table), `question` str, `answers` list[str] (usually ten),
    `answer` str (the commonest), `question_type` str (its first words), `answer_type` str
    ("yes/no", "number" or "other"), `image_id` int64, `name` str. The transform adds `image` uint8
    (3, H, W) of the picture's own size. The answers of the test splits are not published. An
    `image_id` that is a string is numbered by where it first appears.

    Args:
        source: a hub id, or a local folder of parquet files or saved by `datasets`. The table has
            columns `image`, `question` and `answers` (strings, or the hub's records with an
            `answer` each), and may have the others; a table without `image_id` has as many
            pictures as questions.
        split: a part of the table; "val" is another name of "validation".
        limit: only the first so many questions; of a hub's table, only these are fetched then.

    Raises:
        HubUnreachableError: no network and no cached copy.
        FileNotFoundError: `source` is neither a folder nor a hub id, or a folder without a table.
        ValueError: a missing split or column, a limit below 1, or a row that holds None, no answers
            or another type; the message names the table, the row and the column.
        ImportError: the extra `hub` is not installed.
    """
    instance(str, split=split)
    if limit is not None:
        at_least(1, limit=limit)
    need_hub_extra()
    table = undecoded(_part(source, split, limit), NEEDED, source)
    table = table.select(range(min(len(table), limit or len(table))))
    return Dataset(_columns(table, source), ReadPicture(table, source), f"vqav2 {split}")


def open_stream(source: str | Path, split: str = "validation") -> datasets.IterableDataset:
    """The rows of a split one after the other, pictures not decoded, nothing kept on disk.

    Raises HubUnreachableError without a network, ValueError for a split that is not there.
    """
    instance(str, split=split)
    return open_table(source, split=split, streaming=True).decode(False)


def ten_of_one_mind(dataset: Dataset) -> Dataset:
    """The book's own questions in the form of VQAv2: ten people who all give the true answer.

    For easy-VQA and the questions about shapes, whose columns `type` and `answer` are the answer
    type and the truth. Ten, because the accuracy leaves one person out and wants three who agree.

    Raises:
        KeyError: a column is missing.
        TypeError: `dataset` is none, or `type` or `answer` holds something else than strings.
    """
    instance(Dataset, dataset=dataset)
    kinds, answers = (
        [str(text) for text in listed(str, **{f"dataset.column({name!r})": dataset.column(name)})]
        for name in ("type", "answer")
    )
    said = [[answer] * ANNOTATORS for answer in answers]
    columns = {"answers": said, "answer_type": kinds, "question_type": kinds}
    if "image_id" not in dataset.columns:
        columns["image_id"] = dataset.column("scene")
    return Dataset({**dataset.columns, **columns}, dataset.transform, dataset.name)


def _part(source: str | Path, split: str, limit: int | None) -> datasets.Dataset:
    """One split; from the hub only as much as is needed."""
    import datasets
    from huggingface_hub import constants

    if is_folder(source):
        parts = open_folder(source)
        found = next((name for name in (split, SAME.get(split)) if name in parts), None)
        if found is None:
            raise ValueError(f"{source} has no split {split!r}; it has {', '.join(sorted(parts))}")
        return parts[found]
    split = "validation" if split == "val" else split
    if limit is None or constants.HF_HUB_OFFLINE:
        return open_table(source, split=split)
    stream = open_stream(source, split)
    return datasets.Dataset.from_list(list(stream.take(limit)), features=stream.features)


def _columns(table: datasets.Dataset, source: str | Path) -> dict[str, Any]:
    rows = range(len(table))

    def read(name: str, of: type | tuple[type, ...], otherwise: Any = None) -> list[Any]:
        """A column, each entry an `of`; or what is to stand there if the table has none."""
        if name not in table.column_names:
            return list(otherwise)
        for row, value in enumerate(found := list(table[name])):
            if not isinstance(value, of) or isinstance(value, bool):
                wanted = "a string" if of is str else "a whole number or a string"
                where = f"{source}, row {row}, column {name}"
                raise ValueError(f"{where}: {value!r}, expected {wanted}")
        return found

    ids = read("image_id", (int, str), rows)
    number = {
        each: each if isinstance(each, int) else i for i, each in enumerate(dict.fromkeys(ids))
    }
    answers = [
        _answers(value, f"{source}, row {row}, column answers")
        for row, value in enumerate(table["answers"])
    ]
    blank = [""] * len(rows)
    return {
        "row": torch.tensor(rows),
        "question": read("question", str),
        "answers": answers,
        "answer": [Counter(said).most_common(1)[0][0] for said in answers],
        "question_type": read("question_type", str, blank),
        "answer_type": read("answer_type", str, blank),
        "image_id": torch.tensor([number[each] for each in ids]),
        "name": [f"question {each}" for each in read("question_id", (int, str), rows)],
    }


def _answers(value: Any, where: str) -> list[str]:
    """From strings, from records with an `answer` each, or from one record of lists."""
    if isinstance(value, dict):
        value = value.get("answer")
    said = value if isinstance(value, list) else []
    said = [one.get("answer") if isinstance(one, dict) else one for one in said]
    if said and all(isinstance(one, str) for one in said):
        return said
    raise ValueError(
        f"{where}: {value!r}, expected a list of strings, or of records with an 'answer' each; the "
        "test splits of VQAv2 have none"
    )
