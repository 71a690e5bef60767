"""A world of questions with four options, a fair model, and models with one planted fault each.

A picture has three levels of grey: what is on its left, on its right, and how hard it is, with the
group it belongs to. A fair model is right as often as it says it is, in every way of asking.
"""

from __future__ import annotations

import numpy as np
import torch

from mmtutor.data import Dataset

COLOURS = ("red", "green", "blue", "grey")
SURE = (0.6, 0.9)  # of a hard picture, and of an easy one
STEP = 60  # grey levels between two classes


def questions(n: int, seed: int) -> Dataset:
    """n questions, three about each picture, that tell a model no answer."""
    draw = np.random.default_rng(seed)
    pictures = -(-n // 3)
    levels = draw.integers(0, 4, (pictures, 3)).repeat(3, axis=0)[:n]
    side = draw.integers(0, 2, n)
    options = [[COLOURS[i] for i in draw.permutation(4)] for _ in range(n)]
    where = [("left", "right")[s] for s in side]
    return Dataset(
        {
            "image": torch.from_numpy(levels[:, :, None, None] * STEP).to(torch.uint8),
            "image_id": torch.arange(pictures).repeat_interleave(3)[:n],
            "question": [f"{i}: what is on the {w}?" for i, w in enumerate(where)],
            "paraphrase": [f"Say, in {i}, what the {w} has." for i, w in enumerate(where)],
            "options": options,
            "answer": [COLOURS[levels[i, s]] for i, s in enumerate(side)],
            "group": [f"shade {level // 2}" for level in levels[:, 2]],
            "subset": [f"part {i}" for i in draw.integers(0, 3, n)],
        },
        name="planted",
    )


class Model:
    """What a batch is answered with: the letter of an option, and how sure it is."""

    def __init__(self, seed: int = 0) -> None:
        self.draw = np.random.default_rng(seed)

    def __call__(self, batch: dict[str, list]) -> list[tuple[str, float]]:
        image = torch.stack(batch["image"]).float().mean(dim=(2, 3)).numpy()
        levels = (image / STEP).round().clip(0, 3).astype(int)
        return [
            self.one(*row) for row in zip(levels, batch["question"], batch["options"], strict=True)
        ]

    def one(self, level: np.ndarray, question: str, options: list[str]) -> tuple[str, float]:
        seen = COLOURS[level[int("right" in question)]]
        sure = self.sure(level, question)
        if self.draw.random() >= sure:
            seen = self.draw.choice([option for option in options if option != seen])
        return self.say("ABCD"[options.index(seen)], sure)

    def sure(self, level: np.ndarray, question: str) -> float:
        return SURE[level[2] % 2]

    def say(self, letter: str, sure: float) -> tuple[str, float]:
        return letter, sure


class Blind(Model):
    def one(self, level, question, options):
        return self.draw.choice(list("ABCD")).item(), 0.25


class OverConfident(Model):
    def say(self, letter, sure):
        return letter, 0.999


class GroupBiased(Model):
    def sure(self, level, question):
        return super().sure(level, question) - 0.3 * (level[2] // 2)


class AlwaysB(Model):
    def one(self, level, question, options):
        return "B", 0.25


class Verbose(Model):
    def say(self, letter, sure):
        return f"Having looked at the picture with care, I think that the answer is {letter}.", sure


class PromptSensitive(Model):
    def sure(self, level, question):
        return 0.4 if question.startswith("Question:") else super().sure(level, question)


class Contaminated(Model):
    """Knows the questions of the data by heart, in those very words, under any prompt."""

    def sure(self, level, question):
        return 0.99 if "what is on the" in question else super().sure(level, question)


SKILL = {"accuracy", "exact match", "macro F1", "domains covered", "paraphrases agree"}
SKILL |= {"noisy image", "typos", "least used modality"}
SKILL |= {"same when asked again", "same under other prompts"}
# Each fault: its model, its own cell, and the cells in which the truth is not that of a fair model.
FAULTS = {
    "blind": (Blind, "least used modality", SKILL),
    "over-confident": (OverConfident, "calibration error", set()),
    "group-biased": (GroupBiased, "gap: group", set()),
    "letter-biased": (AlwaysB, "favoured letter", SKILL),
    "verbose": (Verbose, "words too many", {"exact match"}),
    "prompt-sensitive": (PromptSensitive, "gap between prompts", set()),
    "contaminated": (Contaminated, "gain from known wording", set()),
}
