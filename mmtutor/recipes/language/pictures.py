"""A real language model that sees: EfficientNet-Lite0, a projector and SmolLM2-135M.

Knows one whole experiment, the first stage of LLaVA (Liu et al. 2023): on `emoji` in three drawing
styles and on `openclipart` the projector learns to show pictures to a language model that is
frozen. What is then named are concepts that were never in training, and a style that never was
(`openmoji`). From scratch, on questions with exact truth, is `vlm`.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from mmtutor.data import Dataset, load, loader
from mmtutor.evaluation.generation import cider_d
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.recipes.common import Result, TrainConfig, settings
from mmtutor.recipes.common.config import Count, Rate
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
        epochs, lr: of the alignment: names, everything but the projector frozen.
    """

    split: Literal["test", "val"] = "test"
    limit: Count | None = None
    grid: Count = 1
    epochs: Count = 2
    lr: Rate = 1e-3
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "fp32"


PRESETS = {
    "tiny": Config(limit=24, epochs=1),
    "cpu": Config(limit=400, epochs=1),
    "stored": Config(),  # about half an hour on one core
    "t4": Config(grid=2, epochs=8, precision="auto"),
    "h100": Config(grid=4, epochs=16, batch_size=128, precision="auto"),
}


def run(config: Config, progress: bool = True) -> Result:
    """Learn to name the pictures, then name some that were never seen; metrics as `_described`."""
    sighted = Sighted(config.grid, config.seed)
    history = sighted.learn(config, _seen(config, sighted), progress)
    return Result(
        metrics=_described(config, sighted), history=history, model=sighted.learned(), config=config
    )


def _pictures(
    sighted: Sighted, limit: int | None, name: str, split: str, style: str | None
) -> Dataset:
    """A part of the data, the pictures as cells of the model's own encoder."""
    full = load(name, split, **({"style": style} if style else {}))
    order = torch.randperm(len(full), generator=torch.Generator().manual_seed(0))
    full = full.subset(order[:limit].sort().values)
    encoder, pictures = sighted.model.image_encoder, Dataset({"image": full.column("image")})
    images = (batch["image"].to(sighted.device) for batch in loader(pictures, 64))
    cells = [encoder.cells(image).half().cpu() for image in images]
    columns = {"image": torch.cat(cells), **{k: full.column(k) for k in ("caption", "group")}}
    return Dataset(columns, name=name)


def _seen(config: Config, sighted: Sighted) -> Dataset:
    """What is learned: `image` (N, grid^2, 1280), an empty `question`, the name as `answer`; of the
    training concepts of emoji in three styles, and openclipart."""
    parts = [("emoji", "train", style) for style in STYLES] + [("openclipart", "train", None)]
    sets = [_pictures(sighted, config.limit, *part) for part in parts]
    names = [caption for each in sets for caption in each.column("caption")]
    image = torch.cat([each.column("image") for each in sets])
    return Dataset({"image": image, "question": [""] * len(names), "answer": names})


def _described(config: Config, sighted: Sighted) -> dict[str, dict]:
    """The parts, as `_scored`: concepts never seen in styles seen (`held_out`), never seen in the
    style never seen (`both`), and seen in the style never seen (`style`; 200 of them)."""
    parts = {
        "held_out": (config.limit, config.split, STYLES),
        "both": (config.limit, config.split, UNSEEN),
        "style": (200, "train", UNSEEN),
    }
    found = {}
    for part, (limit, split, styles) in parts.items():
        sets = [_pictures(sighted, limit, "emoji", split, style) for style in styles]
        image, group = (torch.cat([each.column(k) for each in sets]) for k in ("image", "group"))
        names = [caption for each in sets for caption in each.column("caption")]
        order = torch.randperm(len(image), generator=torch.Generator().manual_seed(config.seed))
        said = {
            "seen": sighted.answer(image),
            "permuted": sighted.answer(image[order]),
            "blind": sighted.answer(torch.zeros_like(image[:1])) * len(image),
        }
        found[part] = _scored(said, names, group)
    return found


def _scored(said: dict[str, list[str]], names: list[str], group: Tensor) -> dict:
    """Of each way to name the pictures its CIDEr-D with an interval over groups, and `examples`:
    the name, what was said, and its score."""
    truth = [[name] for name in names]
    scores = {way: cider_d(texts, truth).per_example for way, texts in said.items()}
    examples = [*zip(names, said["seen"], scores["seen"].tolist(), strict=True)]
    return {
        way: bootstrap_interval(values, groups=group, resamples=2_000)._asdict()
        for way, values in scores.items()
    } | {"examples": examples[:: max(len(names) // 40, 1)]}
