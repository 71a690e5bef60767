"""SmolLM2 that sees learns to answer questions, with pictures that it remembers.

Knows one whole experiment. The projector learns words, as in `pictures`; then LoRA joins the
language model, and both learn from questions made by rule, from names and keywords: what it is,
which words suit it, whether something is there. Each question begins with the names of the most
similar training pictures. What is asked in the end are concepts that were never in training, with
POPE (Li et al. 2023) in its three forms, and of a grey picture; or, in five folds, `stamps`.

Method: Liu et al. (2023), Visual Instruction Tuning, section 4.2, with LoRA instead of all weights;
Ramos et al. (2023), SmallCap, section 3.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset
from mmtutor.data.splits import fold_of
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
from mmtutor.recipes.language.memory import Memory
from mmtutor.recipes.language.pictures import (
    STYLES,
    described,
    drawings,
    learned_from,
    name_scores,
    nearest_names,
    pictures,
)
from mmtutor.recipes.language.sighted import Sighted, reminded
from mmtutor.training.adapters import add_lora

WHAT, WORDS = "What is it?", "Which words suit it?"


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        data: "emoji", learned from with openclipart; or "stamps", learned from in five folds by the
            model that the stored run of "emoji" left.
        split: of emoji, what is asked about: "test", or "val" while settings are being chosen.
        limit: pictures of each part of the data at most; None takes all.
        grid: a picture is grid x grid visual tokens.
        word_epochs, word_lr: over the words that suit.
        questions: that are learned from, each once.
        rank: of `add_lora`.
        epochs: over the captions of `stamps`.
    """

    data: Literal["emoji", "stamps"] = "emoji"
    split: Literal["test", "val"] = "test"
    limit: Count | None = None
    grid: Count = 2
    word_epochs: Count = 4
    word_lr: Rate = 2e-3
    questions: Count = 6_400
    rank: Count = 8
    epochs: Count = 1
    batch_size: Count = 32
    lr: Rate = 1e-3
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "bf16"


PRESETS = {
    "tiny": Config(limit=24, word_epochs=1, questions=24),
    "cpu": Config(limit=400, questions=400),
    "stored": Config(),  # half an hour on one core
    "stamps": Config(data="stamps", epochs=2, lr=5e-4),
    "t4": Config(questions=40_000, precision="auto"),
}


def run(config: Config, progress: bool = True) -> Result:
    """Learn to answer, then answer about what was never seen.

    Metrics of emoji: those of `pictures` (`described`, once asked what it is); `pope`, by sampling,
    with an `interval` of the accuracy; what is said to a `grey` picture, by question. Of stamps
    those of `_in_folds`.
    """
    if config.data == "stamps":
        return _in_folds(config, progress)
    sighted = Sighted(config.grid, config.seed)
    shown = learned_from(sighted, config.limit)
    begin = replace(config, epochs=config.word_epochs, lr=config.word_lr, precision="fp32")
    sighted.learn_words(begin, shown, progress)
    add_lora(sighted.model.gpt, config.rank, 2 * config.rank, ["qkv", "out"])
    sighted.memory, kept = _memory(shown)
    asked = questions(shown, config.questions, config.seed)
    asked = with_memory(asked, sighted.memory, shown.column("group"), kept, config.seed)
    history = sighted.learn(config, asked, progress)
    metrics = {"described": described(sighted, shown, config.split, config.limit, WHAT)}
    metrics["pope"] = {how: _pope(config, sighted, how) for how in get_args(Sampling)}
    grey = torch.full((1, 3, 112, 112), 0.5)
    metrics["grey"] = {question: sighted.answer(grey, question)[0] for question in (WHAT, WORDS)}
    return Result(metrics=metrics, history=history, model=_learned(sighted), config=config)


def restored(name: str = "picture-questions") -> Sighted:
    """SmolLM2 with what the stored run `name` learned: the projector alone (`pictures`), or with
    LoRA and the memory.

    Raises FileNotFoundError where its result, SmolLM2, EfficientNet-Lite0 or the names of the
    emoji in its memory are missing.
    """
    weights, config = load_weights(name), load_stored(name)[0]["config"]
    sighted = Sighted(config["grid"])
    if "rank" in config:
        add_lora(sighted.model.gpt, config["rank"], 2 * config["rank"], ["qkv", "out"])
        kept = [drawings("emoji", "train", style, config["limit"]) for style in STYLES]
        names, words = (
            [x for each in kept for x in each.column(k)] for k in ("caption", "keywords")
        )
        buffers = {k: weights.pop(f"memory/{k}") for k in ("mean", "axes", "vectors")}
        sighted.memory = Memory(names, [x["en"] for x in words], **buffers)
    put(sighted, weights)
    return sighted


def put(sighted: Sighted, weights: dict[str, Tensor]) -> None:
    """Give what can be learned the values of `weights`, by the names of `Sighted.learned`."""
    own = sighted.learned()
    with torch.no_grad():
        for key, value in weights.items():
            own[key].copy_(value)


def _learned(sighted: Sighted) -> nn.ParameterDict:
    """All that a page needs to have the model again."""
    buffers = sighted.memory.named_buffers()
    memory = {f"memory/{k}": nn.Parameter(x, requires_grad=False) for k, x in buffers}
    return nn.ParameterDict({**sighted.learned(), **memory})


def _memory(shown: Dataset) -> tuple[Memory, Tensor]:
    """The emoji among what is `shown`, and their rows."""
    rows = (shown.column("group") >= 0).nonzero()[:, 0]
    kept = shown.subset(rows)
    return Memory.of(*(kept.column(k) for k in ("answer", "keywords", "image"))), rows


def with_memory(asked: Dataset, memory: Memory, group: Tensor, kept: Tensor, seed: int) -> Dataset:
    """The same questions, each after what the memory recalls of its picture.

    A picture never recalls itself. Every other one does not recall its group either, as if its
    concept were new: or else to read out the first name would always be right.

    Args:
        asked: `image`, `question`, and `row`, of the picture in what was shown.
        group: (N,) of what was shown.
        kept: rows of what was shown that the memory keeps, in its order.
    """
    row = asked.column("row").unsqueeze(1)
    itself, alike = row == kept, group[row] == group[kept]
    new = torch.rand(len(row), 1, generator=torch.Generator().manual_seed(seed)) < 0.5
    recalled = memory.recall(asked.column("image"), itself | (alike & new))
    return asked.with_column("question", [*map(reminded, recalled, asked.column("question"))])


def questions(shown: Dataset, count: int, seed: int) -> Dataset:
    """So many questions about random pictures, by rule: `image`, `question`, `answer`, and the
    picture's `row`.

    Half of them ask for the name, a quarter each for words that suit and whether something is
    there. What is there is a word of the picture; what is not there is one of another picture: the
    words of a question do not tell the answer.

    Args:
        shown: `image`, the name as `answer`, and `keywords`, a list each.
    """
    random = Random(seed)
    rows = [random.randrange(len(shown)) for _ in range(count)]
    names, suits = shown.column("answer"), shown.column("keywords")
    asked, said = [], []
    for i, row in enumerate(rows):
        if i % 4 < 2 or not suits[row]:
            asked.append(WHAT)
            said.append(names[row])
        elif i % 4 == 2:
            asked.append(WORDS)
            said.append(", ".join(random.sample(suits[row], min(4, len(suits[row])))))
        else:
            other = random.choice([row, random.randrange(len(shown))])
            thing = random.choice(suits[other] or [names[other]])
            there = thing in (names[row], *suits[row])
            asked.append(PopeQuestion(row, thing, there).text)
            said.append("yes" if there else "no")
    row = torch.tensor(rows)
    columns = {"image": shown.column("image")[row], "question": asked, "answer": said, "row": row}
    return Dataset(columns)


def _in_folds(config: Config, progress: bool) -> Result:
    """Captions of `stamps`, each by a model that saw neither it nor its like; metrics as
    `name_scores`, and how much `more` than the caption of the `nearest` stamp that it saw."""
    sighted = restored()
    begin = {key: value.detach().clone() for key, value in sighted.learned().items()}
    shown = pictures(sighted, "stamps", "all", limit=config.limit)
    group, captions = shown.column("group"), shown.column("caption")
    shown = shown.with_column("answer", captions).with_column("question", [WHAT] * len(shown))
    folds = torch.from_numpy(fold_of(group.tolist(), captions, 5, config.seed))
    said = {way: [""] * len(shown) for way in ("seen", "permuted", "nearest")}
    for fold in folds.unique():
        put(sighted, begin)
        learned, test = (folds != fold).nonzero()[:, 0], (folds == fold).nonzero()[:, 0]
        kept, image = shown.subset(learned), shown.column("image")[test]
        sighted.memory = Memory.of(*(kept.column(k) for k in ("caption", "keywords", "image")))
        kept = kept.with_column("row", torch.arange(len(kept)))
        asked = with_memory(kept, sighted.memory, group[learned], kept.column("row"), config.seed)
        history = sighted.learn(config, asked, progress)
        seen = sighted.answer(image, WHAT, length=20)
        found = {"seen": seen, "permuted": seen[1:] + seen[:1]}
        found["nearest"] = nearest_names(image, kept, "caption")
        for way, texts in found.items():
            for row, text in zip(test.tolist(), texts, strict=True):
                said[way][row] = text
    metrics = name_scores(said, captions, group)
    return Result(metrics=metrics, history=history, model=sighted.learned(), config=config)


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
