"""What every model is asked: test questions, and what else of them is at hand.

Knows data sets and tables, and which columns mean what. Does not know models or measures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mmtutor import checks
from mmtutor.data import Dataset
from mmtutor.data.corruptions import corrupt, gaussian_noise
from mmtutor.evaluation.modality_use import permuted
from mmtutor.evaluation.scorecard.grading import Grade
from mmtutor.evaluation.scorecard.measures import Better, Measure, measure
from mmtutor.evaluation.statistics.bootstrap import Statistic

PROMPTS = ("Question: {question} Answer:", "{question} Answer in a word or two.")
RIGHT = ("label", "answer", "answers")


@dataclass(frozen=True)
class EvaluationSuite:
    """What every model is asked. Whatever but `data` is not there is left out, and named.

    Attributes:
        data: N test examples, with `answer`, `answers` or, for models with logits, `label`. Its
            column `target` (N, H, W) bool shows where the answer is to be seen.
        modalities: the columns that a model is supposed to use.
        domains: columns of `data` (lists of strings) whose values a model should be good at alike.
        sensitive: columns of `data` (lists of strings) whose values must not matter.
        paraphrased: row i asks what row i of `data` asks, in other words.
        pairs: rows 2k and 2k + 1 ask the same of two images and have different answers.
        corrupted: corrupted copies of `data`, by name.
        pictures: the column (N,) int64 that says which image a row is about; rows of one image
            rise and fall together, so intervals draw them together. None: an image for each row.
        prompts: other ways to put a question, each with `{question}`, for models that write.
        score: how texts are graded; see `_graded`.
        radius: of the attack on the images, in units of their [0, 1].
        examined: how many rows the costly measurements (attack, explanations) look at.
    """

    data: Dataset
    modalities: tuple[str, ...] = ()
    domains: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    paraphrased: Dataset | None = None
    pairs: Dataset | None = None
    corrupted: dict[str, Dataset] = field(default_factory=dict)
    pictures: str | None = None
    prompts: tuple[str, ...] = ()
    score: Grade | None = None
    radius: float = 2 / 255
    examined: int = 200

    def __post_init__(self) -> None:
        """Raise TypeError, KeyError or ValueError for what cannot be asked."""
        checks.instance(Dataset, data=self.data)
        checks.same_length(data=self.data)
        for name, other in {"paraphrased": self.paraphrased, **self.corrupted}.items():
            checks.instance((Dataset, type(None)), **{name: other})
            if other is not None:
                checks.same_length(**{name: other, "data": self.data})
        checks.instance((Dataset, type(None)), pairs=self.pairs)
        if self.pairs is not None and (len(self.pairs) % 2 or not len(self.pairs)):
            raise ValueError(f"pairs must have an even number of rows, got {len(self.pairs)}")
        if not set(RIGHT) & self.data.columns.keys():
            there = ", ".join(self.data.columns)
            raise ValueError(f"data must have a column 'answer', 'answers' or 'label', got {there}")
        for column in (*self.domains, *self.sensitive):
            self.data.column(column)
        for prompt in self.prompts:
            if "{question}" not in prompt:
                raise ValueError(f"prompts must each hold {{question}}, got {prompt!r}")
        checks.within("[0, inf)", radius=self.radius)
        checks.at_least(1, examined=self.examined)

    @property
    def groups(self) -> Tensor | None:
        """(N,) int64: which image each row is about."""
        return None if self.pictures is None else self.data.column(self.pictures)

    def measure(
        self,
        statistic: Statistic,
        better: Better = "high",
        rows: Tensor | slice = slice(None),
        floor: float | None = None,
    ) -> Measure:
        """`scorecard.measure` over `rows` of `data`, by default all."""
        n = len(torch.arange(len(self.data))[rows])
        groups = None if self.groups is None else self.groups[rows]
        return measure(statistic, n, better, groups, floor=floor)

    def parts(self) -> dict[str, Dataset]:
        """What is asked besides the questions as they are, by name."""
        asked = {} if self.paraphrased is None else {"paraphrase": self.paraphrased}
        asked |= self.corrupted
        for name in self.modalities:
            if _can_deal(self.groups, len(self.data)):
                asked[f"permuted {name}"] = permuted(self.data, name, groups=self.groups)
        return asked

    def put_otherwise(self) -> dict[str, Dataset]:
        """The questions in the words of each of `prompts`, for models that read them as texts."""
        asked = self.data.column("question") if self.prompts else []
        return {
            f"prompt {i}": self.data.with_column(
                "question", [prompt.replace("{question}", one) for one in asked]
            )
            for i, prompt in enumerate(self.prompts, start=2)
        }


def _suite_of(data: EvaluationSuite | Dataset, score: Grade | None) -> EvaluationSuite:
    """The suite that the columns of a table or a data set make; see `scorecard`."""
    if isinstance(data, EvaluationSuite):
        return data
    checks.instance(Dataset, data=data)
    checks.same_length(data=data)
    data = data.with_column("row", torch.arange(len(data)))
    data, pictures = _numbered(data)
    texts = isinstance(data.columns.get("question"), list)
    modalities = ("image", "tokens") if "tokens" in data.columns else ("image", "question")
    again = _filled(data, "paraphrase")
    return EvaluationSuite(
        data,
        tuple(name for name in modalities if name in data.columns),
        domains=_named(data, "subset"),
        sensitive=_named(data, "group"),
        paraphrased=data.with_column("question", data.column(again[0])) if again else None,
        pairs=_pairs(data) if "pair" in data.columns else None,
        corrupted=_corrupted(data),
        pictures=pictures,
        prompts=PROMPTS if texts else (),
        score=score,
    )


def _numbered(data: Dataset) -> tuple[Dataset, str | None]:
    """With a column that numbers the pictures, where some stand in several rows."""
    names = data.columns.get("image_id", data.columns.get("image"))
    if isinstance(names, Tensor):
        return data, "image_id" if "image_id" in data.columns else None
    if not names or not all(isinstance(one, str | int) for one in names):
        return data, None
    number = {one: i for i, one in enumerate(dict.fromkeys(names))}
    numbered = data.with_column("picture", torch.tensor([number[one] for one in names]))
    return numbered, "picture" if len(number) < len(names) else None


def _filled(data: Dataset, column: str) -> tuple[str, ...]:
    """The column, if it is there and says something in every row."""
    return (column,) if column in data.columns and all(map(str, data.column(column))) else ()


def _named(data: Dataset, column: str) -> tuple[str, ...]:
    """The column, if it has two values or more."""
    found = _filled(data, column)
    return found if found and len(set(map(str, data.column(column)))) > 1 else ()


def _pairs(data: Dataset) -> Dataset | None:
    """The rows whose `pair` stands in exactly two of them, two by two."""
    rows = defaultdict(list)
    for row, name in enumerate(data.column("pair")):
        rows[name].append(row)
    if wrong := [name for name, some in rows.items() if name != "" and len(some) != 2]:
        raise ValueError(
            f"pair must name two rows each, got {len(rows[wrong[0]])} for {wrong[0]!r}"
        )
    found = [row for name, some in rows.items() if name != "" for row in some]
    return data.subset(found) if found else None


def _corrupted(data: Dataset) -> dict[str, Dataset]:
    """Copies with noise on the pictures, and with typing errors."""
    copies = {}
    if "image" in data.columns:
        copies["noisy image"] = data.with_transform(
            lambda example: {**example, "image": _noisy(example["image"])}
        )
    if isinstance(data.columns.get("question"), list):
        copies["typos"] = corrupt(data, "typos", 3, "text", "question")
    return copies


def _noisy(image: Tensor) -> Tensor:
    scale = 1 if image.is_floating_point() else 255
    generator = torch.Generator().manual_seed(0)
    spoiled = gaussian_noise(image[None].float() / scale, 3, generator)[0].clamp(0, 1)
    return (spoiled * scale).to(image.dtype)


def _can_deal(groups: Tensor | None, n: int) -> bool:
    """Whether each row can get the value of another picture."""
    largest = 1 if groups is None else max(Counter(groups.tolist()).values())
    return 2 * largest <= n
