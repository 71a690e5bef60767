"""A real language model that sees: EfficientNet-Lite0, a projector and SmolLM2-135M.

Knows one whole experiment in the two stages of LLaVA (Liu et al. 2023). On `emoji` in three drawing
styles and on `openclipart` the projector learns to show pictures to a language model that is
frozen; then projector and LoRA learn to answer questions made by rule from names and keywords. What
is asked of them are concepts that were never in training, a style that never was (`openmoji`), and,
with five folds, `stamps`. From scratch, on questions with exact truth, is `vlm`.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from mmtutor.data import Dataset, load, loader
from mmtutor.data.splits import fold_of
from mmtutor.evaluation.generation import cider_d
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
from mmtutor.recipes.common.stored import load_weights
from mmtutor.recipes.language.sighted import Cells, Sighted

STYLES = ("google", "twitter", "fluent")
UNSEEN = ("openmoji",)  # under a share-alike licence, and never learned
WHAT, WORDS = "What is it?", "Which words suit it?"


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        pictures: "emoji", with openclipart, through all stages; or "stamps", which begin with the
            stored weights of the former and are learned in five folds.
        split: what is asked about: "test", or "val" while settings are being chosen.
        limit: pictures of each part of the data at most; None takes all.
        grid: a picture is grid x grid visual tokens.
        epochs, lr: of the alignment: names, everything but the projector frozen.
        questions: of the second stage, each asked once; `tune_lr` and `rank` are its rate and
            LoRA's rank.
    """

    pictures: Literal["emoji", "stamps"] = "emoji"
    split: Literal["test", "val"] = "test"
    limit: Count | None = None
    grid: Count = 1
    epochs: Count = 2
    lr: Rate = 1e-3
    questions: Count = 2_400
    tune_lr: Rate = 5e-4
    rank: Count = 8
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "fp32"


PRESETS = {
    "tiny": Config(limit=24, epochs=1, questions=24),
    "cpu": Config(limit=400, epochs=1, questions=400),
    "stored": Config(),  # about half an hour on one core
    "stamps": Config(pictures="stamps", epochs=3, lr=5e-4),
    "t4": Config(grid=2, epochs=8, questions=20_000, precision="auto"),
    "h100": Config(grid=4, epochs=16, questions=60_000, batch_size=128, precision="auto"),
}


def run(config: Config, progress: bool = True) -> Result:
    """Both stages, then questions about what was never seen; or the five folds of `stamps`.

    Metrics of emoji: of each stage (`aligned`, `instructed`) the parts of `_described`; `pope`, by
    sampling; and what is said to a `grey` picture, by question.
    """
    sighted = Sighted(config.grid, config.seed)
    if config.pictures == "stamps":
        return _in_folds(config, sighted, progress)
    shown = _seen(config)
    history = sighted.learn(config, _captions(shown), progress)
    metrics = {"aligned": _described(config, sighted, "")}
    sighted.adapt(config.rank)
    tune = replace(config, epochs=1, lr=config.tune_lr)
    sighted.learn(tune, questions(shown, config.questions, config.seed), progress)
    metrics["instructed"] = _described(config, sighted, WHAT)
    metrics["pope"] = {how: _pope(config, sighted, how) for how in get_args(Sampling)}
    grey = torch.full((1, 3, 112, 112), 0.5)
    metrics["grey"] = {question: sighted.answer(grey, question)[0] for question in (WHAT, WORDS)}
    return Result(metrics=metrics, history=history, model=sighted.learned(), config=config)


@lru_cache(maxsize=12)
def _pictures(grid: int, limit: int | None, name: str, split: str, style: str | None) -> Dataset:
    """A part of the data, the pictures as cells: computed once a process."""
    full = load(name, split, **({"style": style} if style else {}))
    order = torch.randperm(len(full), generator=torch.Generator().manual_seed(0))
    full = full.subset(order[:limit].sort().values)
    encoder, pictures = Cells(grid), Dataset({"image": full.column("image")})
    cells = [encoder.cells(batch["image"]).half() for batch in loader(pictures, 64)]
    keywords = full.columns.get("keywords", [[] for _ in range(len(full))])
    columns = {
        "image": torch.cat(cells),
        "caption": full.column("caption"),
        "keywords": [each["en"] if isinstance(each, dict) else each for each in keywords],
        "group": full.column("group"),
        "name": full.columns.get("name", [""] * len(full)),
    }
    return Dataset(columns, name=name)


def _seen(config: Config) -> Dataset:
    """What is learned: `image` (N, grid^2, 1280), `caption`, `keywords`, `group` and `name`, of the
    training concepts of emoji in three styles, and of openclipart."""
    parts = [("emoji", "train", style) for style in STYLES] + [("openclipart", "train", None)]
    sets = [_pictures(config.grid, config.limit, *part) for part in parts]
    columns = {
        key: torch.cat([each.column(key) for each in sets])
        if key in ("image", "group")
        else [value for each in sets for value in each.column(key)]
        for key in sets[0].columns
    }
    return Dataset(columns)


def _captions(shown: Dataset) -> Dataset:
    """Of each picture its name, and nothing asked: `image`, `question` and `answer`."""
    asked = {"question": [""] * len(shown), "answer": shown.column("caption")}
    return Dataset({"image": shown.column("image")} | asked)


def questions(shown: Dataset, count: int, seed: int) -> Dataset:
    """So many questions about random pictures, by rule: a third each asks for the name, for
    keywords, and whether something is there.

    What is there is a name or keyword of the picture; what is not there is one of another picture:
    the words of a question do not tell the answer.
    """
    random = Random(seed)
    objects = [
        [c, *k] for c, k in zip(shown.column("caption"), shown.column("keywords"), strict=True)
    ]
    rows, asked, said = [random.randrange(len(shown)) for _ in range(count)], [], []
    for i, row in enumerate(rows):
        if i % 3 == 0:
            asked.append(WHAT)
            said.append(objects[row][0])
        elif i % 3 == 1:
            asked.append(WORDS)
            said.append(", ".join(random.sample(objects[row], min(4, len(objects[row])))))
        else:
            other = random.choice([row, random.randrange(len(shown))])
            name = random.choice(objects[other])
            there = name in objects[row]
            asked.append(PopeQuestion(row, name, there).text)
            said.append("yes" if there else "no")
    image = shown.column("image")[torch.tensor(rows)]
    return Dataset({"image": image, "question": asked, "answer": said})


def _described(config: Config, sighted: Sighted, question: str) -> dict[str, dict]:
    """The parts, as `_scored`: concepts never seen in styles seen (`held_out`), never seen in the
    style never seen (`both`), and seen in the style never seen (`style`; 200 of them)."""
    parts = {
        "held_out": (config.limit, config.split, STYLES),
        "both": (config.limit, config.split, UNSEEN),
        "style": (200, "train", UNSEEN),
    }
    found = {}
    for part, (limit, split, styles) in parts.items():
        sets = [_pictures(config.grid, limit, "emoji", split, style) for style in styles]
        image, group = (torch.cat([each.column(k) for each in sets]) for k in ("image", "group"))
        names = [caption for each in sets for caption in each.column("caption")]
        order = torch.randperm(len(image), generator=torch.Generator().manual_seed(config.seed))
        said = {
            "seen": sighted.answer(image, question),
            "permuted": sighted.answer(image[order], question),
            "blind": sighted.answer(torch.zeros_like(image[:1]), question) * len(image),
        }
        found[part] = _scored(said, names, group)
    return found


def _scored(said: dict[str, list[str]], names: list[str], group: Tensor) -> dict:
    """Of each way to name the pictures its CIDEr-D with an interval over groups, and `examples`:
    the name, what was said, and its score."""
    truth = [[name] for name in names]
    scores = {way: cider_d(texts, truth).per_example for way, texts in said.items()}
    if "nearest" in scores:
        scores["more"] = scores["seen"] - scores["nearest"]
    examples = [*zip(names, said["seen"], scores["seen"].tolist(), strict=True)]
    return {
        way: bootstrap_interval(values, groups=group, resamples=2_000)._asdict()
        for way, values in scores.items()
    } | {"examples": examples[:: max(len(names) // 40, 1)]}


def _pope(config: Config, sighted: Sighted, how: Sampling) -> dict:
    """POPE's numbers, and an `interval` of the accuracy over concepts never seen, in one style;
    their keywords are there."""
    shown = _pictures(config.grid, config.limit, "emoji", config.split, STYLES[0])
    asked = pope_questions(shown.column("keywords"), how, each=1, seed=config.seed)
    rows = torch.tensor([each.image for each in asked])
    said = sighted.answer(shown.column("image")[rows], [each.text for each in asked], 2)
    said, there = says_yes(said), torch.tensor([each.present for each in asked])
    group = shown.column("group")[rows]
    right = bootstrap_interval((said == there).double(), groups=group, resamples=2_000)
    return pope(said, there)._asdict() | {"interval": right._asdict()}


def _in_folds(config: Config, sighted: Sighted, progress: bool) -> Result:
    """Captions of `stamps`, each by a model that saw neither it nor its like; metrics as `_scored`,
    with the caption of the `nearest` training picture, and how much `more` is seen, in pairs."""
    start = load_weights("pictures")
    sighted.adapt(config.rank)
    shown = _pictures(config.grid, config.limit, "stamps", "all", None)
    group, captioned = shown.column("group"), shown.column("caption")
    folds = torch.from_numpy(fold_of(group.tolist(), shown.column("name"), 5, config.seed))
    said = {way: [""] * len(shown) for way in ("seen", "permuted", "blind", "nearest")}
    features = F.normalize(shown.column("image").float().sqrt().flatten(1), dim=1)
    for fold in folds.unique():
        sighted.put(start)
        train, test = ((folds != fold).nonzero()[:, 0], (folds == fold).nonzero()[:, 0])
        history = sighted.learn(config, _captions(shown.subset(train)), progress)
        like = train[(features[test] @ features[train].T).argmax(1)]
        image = shown.column("image")[test]
        found = {
            "seen": sighted.answer(image),
            "permuted": sighted.answer(image.flip(0)),
            "blind": sighted.answer(torch.zeros_like(image[:1])) * len(test),
            "nearest": [captioned[row] for row in like],
        }
        for way, texts in found.items():
            for row, text in zip(test.tolist(), texts, strict=True):
                said[way][row] = text
    metrics = _scored(said, captioned, group)
    return Result(metrics=metrics, history=history, model=sighted.learned(), config=config)
