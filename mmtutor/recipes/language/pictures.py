"""A real language model that sees: EfficientNet-Lite0, a projector and SmolLM2-135M.

Knows one whole experiment: on `emoji` in three drawing styles and on `openclipart` a projector
learns to show pictures to a language model that is frozen. First it learns which words suit a
picture, without the language model, as BLIP-2 begins (Li et al. 2023); then to have the picture
named, the first stage of LLaVA (Liu et al. 2023). What is named in the end are concepts that were
never in training, and a style that never was (`openmoji`). From scratch, on questions with exact
truth, is `vlm`.

Flags are left out: nobody knows the name of a flag never seen.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from mmtutor.data import Dataset, load
from mmtutor.evaluation.generation import cider_d
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.recipes.common import Result, TrainConfig, settings
from mmtutor.recipes.common.config import Count, CountOrZero, Rate
from mmtutor.recipes.language.memory import directions
from mmtutor.recipes.language.sighted import Sighted

STYLES = ("google", "twitter", "fluent")
UNSEEN = ("openmoji",)  # under a share-alike licence, and never learned


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        split: what is asked about: "test", or "val" while settings are being chosen.
        limit: pictures of each part of the data at most; None takes all.
        grid: a picture is grid x grid visual tokens.
        word_epochs, word_lr: over the words that suit; 0 leaves this out.
        epochs, lr: over the names. All but the projector is frozen throughout.
    """

    split: Literal["test", "val"] = "test"
    limit: Count | None = None
    grid: Count = 2
    word_epochs: CountOrZero = 4
    word_lr: Rate = 2e-3
    epochs: Count = 14
    batch_size: Count = 64
    lr: Rate = 1.5e-3
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "bf16"


PRESETS = {
    "tiny": Config(limit=24, word_epochs=1, epochs=1),
    "cpu": Config(limit=400, epochs=2),
    "stored": Config(),  # three quarters of an hour on one core
    "t4": Config(epochs=20, precision="auto"),
    "h100": Config(grid=4, epochs=30, batch_size=128, precision="auto"),
}


def run(config: Config, progress: bool = True) -> Result:
    """Learn to name the pictures, then name some that were never seen; metrics as `described`."""
    sighted = Sighted(config.grid, config.seed)
    shown = learned_from(sighted, config.limit)
    if config.word_epochs:
        begin = replace(config, epochs=config.word_epochs, lr=config.word_lr, precision="fp32")
        sighted.learn_words(begin, shown, progress)
    history = sighted.learn(config, shown, progress)
    return Result(
        metrics=described(sighted, shown, config.split, config.limit),
        history=history,
        model=sighted.learned(),
        config=config,
    )


def drawings(name: str, split: str, style: str | None = None, limit: int | None = None) -> Dataset:
    """A part of the data, at most `limit` pictures of it, without flags."""
    full = load(name, split, **({"style": style} if style else {}))
    if name == "emoji":
        kept = [kind != "flags" for kind in full.column("category")]
        full = full.subset(torch.tensor(kept).nonzero()[:, 0])
    order = torch.randperm(len(full), generator=torch.Generator().manual_seed(0))
    return full.subset(order[:limit].sort().values)


def pictures(
    sighted: Sighted, name: str, split: str, style: str | None = None, limit: int | None = None
) -> Dataset:
    """What `drawings` gives, as it is learned from and asked about.

    Columns: image (N, grid^2, 1280) float16, cells of the model's own encoder; caption; keywords
    (list of str); words (the two as one text); group.
    """
    full = drawings(name, split, style, limit)
    columns = {"image": sighted.cells(full.column("image"))}
    columns |= {k: full.column(k) for k in ("caption", "group")}
    keywords = full.columns.get("keywords", [[]] * len(full))
    keywords = [x["en"] if isinstance(x, dict) else x for x in keywords]
    both = zip(full.column("caption"), keywords, strict=True)
    columns |= {"keywords": keywords, "words": [" ".join([name, *each]) for name, each in both]}
    return Dataset(columns, name=name)


def learned_from(sighted: Sighted, limit: int | None = None) -> Dataset:
    """What is learned: `pictures` of the training concepts of emoji in three styles, and of
    openclipart, whose `group` is -1; with an empty `question` and the name as `answer`."""
    parts = [("emoji", "train", style) for style in STYLES] + [("openclipart", "train", None)]
    sets = [pictures(sighted, *part, limit=limit) for part in parts]
    image = torch.cat([each.column("image") for each in sets])
    known = [each.column("group") for each in sets[:-1]]
    group = torch.cat([*known, torch.full((len(sets[-1]),), -1)])
    columns = {k: [x for each in sets for x in each.column(k)] for k in ("words", "keywords")}
    columns["answer"] = [x for each in sets for x in each.column("caption")]
    return Dataset({"image": image, "group": group, "question": [""] * len(image)} | columns)


def described(
    sighted: Sighted, shown: Dataset, split: str, limit: int | None = None, question: str = ""
) -> dict[str, dict]:
    """How well pictures are named, in parts, each as `name_scores`.

    They are concepts never seen in styles seen (`held_out`), never seen in the style never seen
    (`both`), and seen in the style never seen (`style`; 200 of them).

    Each with what is said of the pictures (`seen`), of others (`permuted`), of none (`blind`), and
    with the name of the `nearest` picture among those that were `shown`; with a memory also what is
    said of other pictures where the memory is of the right one (`recalled`).
    """
    parts = {
        "held_out": (split, STYLES, limit),
        "both": (split, UNSEEN, limit),
        "style": ("train", UNSEEN, 200),
    }
    found = {}
    for part, (of, styles, most) in parts.items():
        sets = [pictures(sighted, "emoji", of, style, most) for style in styles]
        image, group = (torch.cat([each.column(k) for each in sets]) for k in ("image", "group"))
        names = [caption for each in sets for caption in each.column("caption")]
        order = torch.randperm(len(image), generator=torch.Generator().manual_seed(0))
        seen = sighted.answer(image, question)
        said = {
            "seen": seen,
            "permuted": [seen[row] for row in order],
            "blind": sighted.answer(torch.zeros_like(image[:1]), question) * len(image),
            "nearest": nearest_names(image, shown, "answer"),
        }
        if sighted.memory:
            right = sighted.memory.recall(image)
            said["recalled"] = sighted.answer(image[order], question, recalled=right)
        found[part] = name_scores(said, names, group)
    return found


def nearest_names(image: Tensor, shown: Dataset, column: str) -> list[str]:
    """Of each picture (N, n, 1280) the text in `column` of the most similar one `shown`."""
    like = (directions(image) @ directions(shown.column("image")).T).argmax(dim=1)
    return [shown.column(column)[row] for row in like]


def name_scores(said: dict[str, list[str]], names: list[str], group: Tensor) -> dict:
    """Of each way to name the pictures its CIDEr-D with an interval over groups, and `examples`:
    the name, what was said, and its score.

    `more` is the difference, in pairs, between what was said (`seen`) and the name of the nearest.
    """
    truth = [[name] for name in names]
    scores = {way: cider_d(texts, truth).per_example for way, texts in said.items()}
    scores["more"] = scores["seen"] - scores["nearest"]
    examples = [*zip(names, said["seen"], scores["seen"].tolist(), strict=True)]
    return {
        way: bootstrap_interval(values, groups=group, resamples=2_000)._asdict()
        for way, values in scores.items()
    } | {"examples": examples[:: max(len(names) // 40, 1)]}
