"""A chat in a world where the truth is known: what is asked, what is answered, and how it is told.

Captions of `shapes` and questions about them are all there is to read; "red ring" is a request, and
an answer is right if it says that there is one. Knows texts and tokens. Does not know how a model
is taught.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from mmtutor.data import Dataset
from mmtutor.data.shapes import COLOURS, SHAPES, english, scenes
from mmtutor.data.shapes.questions.dataset import questions
from mmtutor.data.shapes.questions.words import english as question_words
from mmtutor.losses.preferences import answer_log_probability
from mmtutor.models.generative import GPT, generate
from mmtutor.models.modes import evaluating

SPECIAL = ("<pad>", "<start>", "<user>", "<assistant>", "<end>")
PAD, START, USER, ASSISTANT, END = range(len(SPECIAL))
ANSWER = 23  # tokens of the longest answer, its end included
LENGTH = ANSWER + 5  # and those of a request before it


class Vocabulary:
    """The words of the captions, after the tokens that no text can contain."""

    def __init__(self) -> None:
        lines = [*english(scenes(n=2_000, max_objects=3)), *question_words(questions(n=2_000)[0])]
        said = {word for line in lines for word in words(line)}
        self.tokens = [*SPECIAL, *sorted(said)]
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    def encode(self, text: str) -> list[int]:
        """The words of a text as ids. Raises KeyError for a word that no caption has."""
        return [self.ids[word] for word in words(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return " ".join(self.tokens[i] for i in ids if i >= len(SPECIAL))


def words(text: str) -> list[str]:
    """Words in small letters, commas and question marks."""
    return re.findall("[a-z]+|[,?]", text)


class Request(NamedTuple):
    """What is asked for: an object of this colour and shape."""

    colour: str
    shape: str

    def is_met(self, caption: str) -> bool:
        """Whether the caption says that there is one."""
        return f"{self.colour} {self.shape}" in caption


def requests(split: str, count: int, seed: int) -> list[Request]:
    """What is asked for, drawn evenly from what captions can say."""
    scene = scenes(split, count, seed, max_objects=1)
    names = zip(scene.colour[:, 0], scene.shape[:, 0], strict=True)
    return [Request(COLOURS[colour], SHAPES[shape]) for colour, shape in names]


def captions(split: str, count: int, seed: int) -> list[str]:
    """Sentences about one to three objects."""
    return english(scenes(split, count, seed, max_objects=3))


def asked_of_pictures(split: str, count: int, seed: int) -> list[str]:
    """Questions about pictures, without answers."""
    return question_words(questions(split, count, seed)[0])


def demonstrations(
    count: int, careful: float, silent: float, seed: int, vocabulary: Vocabulary
) -> Dataset:
    """Requests with answers, laid out. A share is `careful` and does what was asked, the rest is
    any caption; in a share that is `silent` the request is left out."""
    scene = scenes("train", 2 * count, seed, max_objects=3)
    lines, generator = english(scene), torch.Generator().manual_seed(seed)
    draws = torch.rand(2, count, generator=generator)
    is_careful, is_silent = draws[0] < careful, draws[1] < silent
    prompts, answers = [], []
    for i in range(count):
        asked = Request(COLOURS[scene.colour[2 * i, 0]], SHAPES[scene.shape[2 * i, 0]])
        prompts.append(prompt(None if is_silent[i] else asked, vocabulary))
        answers.append(lines[2 * i if is_careful[i] else 2 * i + 1])
    return laid_out(prompts, answers, vocabulary)


def prompt(asked: Request | None, vocabulary: Vocabulary) -> list[int]:
    """A request, or none, in the template of a chat, up to where the answer begins."""
    return [START, USER, *vocabulary.encode(" ".join(asked or ())), ASSISTANT]


def laid_out(
    prompts: Sequence[list[int]], answers: Sequence[str], vocabulary: Vocabulary
) -> Dataset:
    """`tokens` (N, LENGTH) int64, padded on the right, and `answer` (N, LENGTH) bool, the end
    token included."""
    tokens = torch.full((len(prompts), LENGTH), PAD)
    answer = torch.zeros(tokens.shape, dtype=torch.bool)
    for row, (before, text) in enumerate(zip(prompts, answers, strict=True)):
        ids = [*before, *vocabulary.encode(text), END]
        tokens[row, : len(ids)] = torch.tensor(ids)
        answer[row, len(before) : len(ids)] = True
    return Dataset({"tokens": tokens, "answer": answer})


def answered(
    model: GPT, asked: Sequence[Request], vocabulary: Vocabulary, seed: int = 0
) -> list[str]:
    """An answer to each request, drawn from the model."""
    prompts = torch.tensor([prompt(each, vocabulary) for each in asked])
    prompts = prompts.to(model.embedding.weight.device)
    generator = torch.Generator(prompts.device).manual_seed(seed)
    options = {"temperature": 1.0, "stop": END, "generator": generator}
    written = generate(model, {"tokens": prompts}, ANSWER - 1, **options).tokens
    return [vocabulary.decode(row) for row in written.tolist()]


@torch.no_grad()
def scored(model: GPT, columns: dict[str, Tensor]) -> Tensor:
    """The log-probabilities (...) of answers (..., LENGTH)."""
    with evaluating(model):
        device, shape = model.embedding.weight.device, columns["answer"].shape[:-1]
        flat = [columns[k].flatten(0, -2).split(512) for k in ("tokens", "answer")]
        parts = [(t.to(device), a.to(device)) for t, a in zip(*flat, strict=True)]
        found = [answer_log_probability(model({"tokens": t}).logits, t, a) for t, a in parts]
        return torch.cat(found).cpu().view(shape)
