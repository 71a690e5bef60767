"""SmolLM2 that names pictures learns to answer questions about them: LLaVA's second stage.

Knows one whole experiment. It begins with the projector that `pictures` learned and stored, and
adds LoRA to the language model. Questions are made by rule, from names and keywords: what it is,
which words suit it, whether something is there. What is asked in the end are concepts that were
never in training, with POPE (Li et al. 2023) in its three forms, and of a grey picture.

Method: Liu et al. (2023), Visual Instruction Tuning, section 4.2; LoRA instead of all weights.
"""

from __future__ import annotations

from random import Random
from typing import Literal, get_args

import torch

from mmtutor.data import Dataset
from mmtutor.evaluation.generation.hallucination import (
    PopeQuestion,
    Sampling,
    pope_questions,
    says_yes,
)
from mmtutor.evaluation.retrieval.probing import pope
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.recipes.common import Result, TrainConfig, settings
from mmtutor.recipes.common.config import Count, Rate
from mmtutor.recipes.common.stored import load_stored, load_weights
from mmtutor.recipes.language.pictures import STYLES, described, learned_from, pictures
from mmtutor.recipes.language.sighted import Sighted
from mmtutor.training.adapters import add_lora

WHAT, WORDS = "What is it?", "Which words suit it?"


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        split: what is asked about: "test", or "val" while settings are being chosen.
        limit: pictures of each part of the data at most; None takes all.
        questions: that are learned from, a third of each kind.
        rank: of `add_lora`.
    """

    split: Literal["test", "val"] = "test"
    limit: Count | None = None
    questions: Count = 6_400
    rank: Count = 8
    batch_size: Count = 32
    lr: Rate = 5e-4
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "bf16"


PRESETS = {
    "tiny": Config(limit=24, questions=24),
    "cpu": Config(limit=400, questions=400),
    "stored": Config(),  # a quarter of an hour on one core
    "t4": Config(questions=40_000, precision="auto"),
}


def run(config: Config, progress: bool = True) -> Result:
    """Learn to answer, then answer about what was never seen.

    Metrics: those of `pictures` (`described`, once asked what it is); `pope`, by sampling, with an
    `interval` of the accuracy; what is said to a `grey` picture, by question.
    """
    sighted = restored("pictures", config.rank)
    shown = learned_from(sighted, config.limit)
    history = sighted.learn(config, questions(shown, config.questions, config.seed), progress)
    metrics = {"described": described(sighted, shown, config.split, config.limit, WHAT)}
    metrics["pope"] = {how: _pope(config, sighted, how) for how in get_args(Sampling)}
    grey = torch.full((1, 3, 112, 112), 0.5)
    metrics["grey"] = {question: sighted.answer(grey, question)[0] for question in (WHAT, WORDS)}
    return Result(metrics=metrics, history=history, model=sighted.learned(), config=config)


def restored(name: str, rank: int | None = None) -> Sighted:
    """SmolLM2 with what the stored run `name` learned, and with new LoRA of `rank` if it is given.

    Raises FileNotFoundError where its result, SmolLM2 or EfficientNet-Lite0 is missing.
    """
    weights = load_weights(name)
    grid = load_stored("pictures")[0]["config"]["grid"]
    sighted = Sighted(grid)
    ranks = {len(x) for key, x in weights.items() if key.endswith("/A")}
    for each in ranks | ({rank} if rank else set()):
        add_lora(sighted.model.gpt, each, 2 * each, ["qkv", "out"])
    own = sighted.learned()
    with torch.no_grad():
        for key, value in weights.items():
            own[key].copy_(value)
    return sighted


def questions(shown: Dataset, count: int, seed: int) -> Dataset:
    """So many questions about random pictures, by rule: `image`, `question` and `answer`.

    A third each asks for the name, for words that suit, and whether something is there. What is
    there is a word of the picture; what is not there is one of another picture: the words of a
    question do not tell the answer.

    Args:
        shown: `image`, the name as `answer`, and `keywords`, a list each.
    """
    random = Random(seed)
    rows = [random.randrange(len(shown)) for _ in range(count)]
    names, suits = shown.column("answer"), shown.column("keywords")
    asked, said = [], []
    for i, row in enumerate(rows):
        if i % 3 == 0 or not suits[row]:
            asked.append(WHAT)
            said.append(names[row])
        elif i % 3 == 1:
            asked.append(WORDS)
            said.append(", ".join(random.sample(suits[row], min(4, len(suits[row])))))
        else:
            other = random.choice([row, random.randrange(len(shown))])
            thing = random.choice(suits[other] or [names[other]])
            there = thing in (names[row], *suits[row])
            asked.append(PopeQuestion(row, thing, there).text)
            said.append("yes" if there else "no")
    image = shown.column("image")[torch.tensor(rows)]
    return Dataset({"image": image, "question": asked, "answer": said})


def _pope(config: Config, sighted: Sighted, how: Sampling) -> dict:
    """POPE's numbers, and an `interval` of the accuracy over groups of concepts never seen, in one
    style; their keywords are there."""
    shown = pictures(sighted, "emoji", config.split, STYLES[0], config.limit)
    asked = pope_questions(shown.column("keywords"), how, each=1, seed=config.seed)
    rows = torch.tensor([each.image for each in asked])
    said = sighted.answer(shown.column("image")[rows], [each.text for each in asked], 2)
    said, there = says_yes(said), torch.tensor([each.present for each in asked])
    group = shown.column("group")[rows]
    right = bootstrap_interval((said == there).double(), groups=group, resamples=2_000)
    return pope(said, there)._asdict() | {"interval": right._asdict()}
