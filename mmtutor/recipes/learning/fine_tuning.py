"""Fine-tuning: the upper part of a pretrained tower learns to sort emoji, in several ways.

Knows one whole experiment on pictures: from nothing, with the tower as it is, tuned whole, tuned
layer by layer, and with low-rank changes; by the number of labels and by rank; and what the tower
then still says about pictures of its old task.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset, load
from mmtutor.data.augment import AugmentPictures
from mmtutor.encoders import EfficientNetLite0, SmallCNN
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.predict import predict
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses import cross_entropy
from mmtutor.models import Classifier
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import Count, Rate, Share, Size
from mmtutor.recipes.learning.tuned_tower import Rehearsal, Rehearsed, Upper, maps, said
from mmtutor.training import History
from mmtutor.training.adapters import add_lora
from mmtutor.training.fit import Objective

CLASSES = (
    *("activities", "animals-nature", "flags", "food-drink", "objects"),
    *("people-body", "smileys-emotion", "symbols", "travel-places"),
)
STYLES = ("google", "twitter", "fluent")  # that are learned from
NEW_STYLE = "openmoji"
WAYS = ("scratch", "probe", "full", "layer-wise", "LoRA", "AdaLoRA", "full with replay")
RATES = {"full": 3e-4, "layer-wise": 1e-3, "LoRA": 3e-3, "AdaLoRA": 1e-2}  # of the tower

Way = Literal[WAYS]
Job = tuple["Config", str]


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        ways: how the tower is used, each with the same labels.
        labels: pictures with a label.
        budgets: numbers of labels with which the ways `by_labels` are trained too.
        ranks: of LoRA; `rank` is that of the ways.
        decay: factor on the rate from one layer to the one before it, where layers have their own.
        seen: how many pictures are seen at least, again and again; three times that from scratch.
        weight: of what is rehearsed.
        lr: of the new head; RATES are the tower's.
        test: pictures at most, of each kind, that are tested on.
        split: what they are from: "test", or "val" while anything is still being chosen.
    """

    ways: tuple[Way, ...] = WAYS
    labels: Count = 1_000
    budgets: tuple[Count, ...] = (60, 250, 1_000)
    by_labels: tuple[Way, ...] = ("scratch", "probe", "full")
    ranks: tuple[Count, ...] = (1, 2, 4, 8, 16)
    rank: Count = 4
    decay: Share = 0.6
    seen: Count = 3_000
    weight: Size = 1.0
    test: Count = 1_000
    split: Literal["test", "val"] = "test"
    batch_size: Count = 32
    lr: Rate = 3e-3


PRESETS = {
    "tiny": Config(
        labels=20, budgets=(10, 20), ranks=(1, 4), seen=40, test=20, batch_size=10,
    ),
    "cpu": Config(
        ways=("probe", "full"), by_labels=("probe",), ranks=(4,), labels=200, budgets=(60,),
        seen=2_000,
    ),
    "stored": Config(),
    "t4": Config(labels=4_000, budgets=(100, 1_000, 4_000), seen=80_000, batch_size=64),
    "h100": Config(labels=4_000, budgets=(100, 1_000, 4_000), seen=400_000, batch_size=128),
}  # fmt: skip


def run(config: Config, progress: bool = True) -> Result:
    """Train whatever `plan` says, and test it.

    Metrics: by part of the plan and name, what `_summary` says and how many numbers were `trained`.
    """
    tests = {kind: data(config, config.split, kind) for kind in ("known", "new", "old")}
    found: dict[Job, dict[str, Tensor]] = {}
    trained: dict[Job, int] = {}
    parts = plan(config)
    for job in (job for jobs in parts.values() for job in jobs.values()):
        if job not in found:
            model, history = tuned(*job, progress)
            found[job], trained[job] = right(model, tests), parameters(model)
    metrics = {}
    for part, jobs in parts.items():
        correct = {name: found[job] for name, job in jobs.items()}
        metrics[part] = {
            name: _summary(correct, name, tests) | {"trained": trained[job]}
            for name, job in jobs.items()
        }
    return Result(metrics, history, model, config)


def plan(config: Config) -> dict[str, dict[Any, Job]]:
    """What is trained: each of the ways, each rank of LoRA, and three ways by number of labels."""
    parts: dict[str, dict[Any, Job]] = {
        "ways": {way: (config, way) for way in config.ways},
        "ranks": {rank: (replace(config, rank=rank), "LoRA") for rank in config.ranks},
    }
    for way in config.by_labels:
        parts[f"{way} by labels"] = {n: (replace(config, labels=n), way) for n in config.budgets}
    return parts


def data(config: Config, split: str, kind: str = "known") -> Dataset:
    """Emoji of the styles that are learned ("known") or of the "new" one; or "old", clip art.

    Columns: image, and `map` (N, 192, 2, 2) float32, what the blocks that nobody tunes make of it;
    of emoji label, and `group`, which says what belongs together. Of split "train" as many as
    there are labels, drawn by the seed.
    """
    if kind == "old":
        drawn = load("openclipart", split)
        columns = {"image": drawn.column("image")}
    else:
        drawn = load("emoji", split, style=STYLES if kind == "known" else NEW_STYLE)
        label = torch.tensor([CLASSES.index(name) for name in drawn.column("category")])
        columns = {k: drawn.column(k) for k in ("image", "group")} | {"label": label}
    generator = torch.Generator().manual_seed(config.seed if split == "train" else 0)
    count = config.labels if split == "train" else config.test
    rows = torch.randperm(len(drawn), generator=generator)[:count]
    chosen = Dataset(columns, name=drawn.name).subset(rows)
    return chosen.with_column("map", maps(EfficientNetLite0().network, chosen.column("image")))


@torch.no_grad()
def features(data: Dataset) -> Tensor:
    """What the whole tower, untuned, makes of the maps in `data`: (N, 1280)."""
    upper = Upper(EfficientNetLite0().network)
    return torch.cat([upper(x).pooled() for x in data.column("map").split(256)])


def build(config: Config, way: str) -> nn.Module:
    """A classifier that has not learned yet, in which only what the way changes is trainable."""
    torch.manual_seed(config.seed)
    if way == "scratch":
        return Classifier(SmallCNN(96, 32), len(CLASSES))
    tower = EfficientNetLite0(trainable=True).network
    model = Classifier(Upper(tower), len(CLASSES))
    if way == "probe":
        model.encoder.requires_grad_(False)
    if way == "LoRA":
        add_lora(model.encoder, config.rank, float(config.rank))
    if way == "AdaLoRA":
        model.encoder = adaptive(config, model.encoder)
    return Rehearsal(model, tower.classifier) if way == "full with replay" else model


def adaptive(config: Config, encoder: nn.Module) -> nn.Module:
    """AdaLoRA by `peft` around an encoder: twice the rank at first, then where it serves most."""
    from peft import AdaLoraConfig, get_peft_model

    steps = epochs(config) * -(-config.labels // config.batch_size)
    given = {"init_r": 2 * config.rank, "target_r": config.rank, "lora_alpha": 2 * config.rank}
    when = {"total_step": steps, "tinit": steps // 10, "tfinal": steps // 2}
    return get_peft_model(encoder, AdaLoraConfig(target_modules=["linear"], **given, **when))


def epochs(config: Config, way: str = "full") -> int:
    """So many that enough pictures are seen; from scratch, three times as many."""
    return max(2, -(-config.seen * (3 if way == "scratch" else 1) // config.labels))


def optimizer(config: Config, model: nn.Module, way: str) -> torch.optim.Optimizer:
    """AdamW with a rate for the new head and another for the tower, or for each of its layers."""
    inner = model.model if isinstance(model, Rehearsal) else model
    layers = [inner.encoder.head, *reversed(inner.encoder.blocks)]  # from the top
    rate, decay = RATES.get(way, RATES["full"]), config.decay if way == "layer-wise" else 1.0
    rated = [(layer, rate * decay**depth) for depth, layer in enumerate(layers)]
    groups = [
        {"params": [p for p in part.parameters() if p.requires_grad], "lr": lr}
        for part, lr in [*rated, (inner.head, config.lr)]
    ]
    groups = [group for group in groups if group["params"]]
    made = torch.optim.AdamW(groups, weight_decay=config.weight_decay, fused=True)
    if way == "AdaLoRA":  # it moves its ranks after every step
        steps = iter(range(inner.encoder.peft_config["default"].total_step))
        allocate = inner.encoder.base_model.update_and_allocate
        made.register_step_post_hook(lambda *_: allocate(next(steps)))
    return made


def objective(config: Config, way: str) -> Objective:
    """Cross-entropy; with replay also that of the old answers, so that they stay as they were."""
    if way != "full with replay":
        return cross_entropy

    def both(output: Rehearsed, batch: dict[str, Tensor]) -> Tensor:
        rehearsed = F.cross_entropy(output.old, batch["old_answer"])
        return cross_entropy(output, batch) + config.weight * rehearsed

    return both


def tuned(config: Config, way: str, progress: bool = False) -> tuple[nn.Module, History]:
    """A classifier after training in one of WAYS, and how that went."""
    model, learned = build(config, way), data(config, "train")
    options: dict[str, Any] = {}
    if way == "scratch":
        options["augment"] = AugmentPictures(4)
    else:
        options["optimizer"] = optimizer(config, model, way)
        columns = {key: learned.column(key) for key in ("map", "label")}
        learned = Dataset(columns | (_rehearsed(config) if way == "full with replay" else {}))
    one = replace(config, epochs=epochs(config, way))
    return model, train(one, model, objective(config, way), learned, progress, **options)


def _rehearsed(config: Config) -> dict[str, Tensor]:
    """Old pictures, one beside each new one, and what the tower said of them before."""
    old, tower = data(config, "train", "old").column("map"), EfficientNetLite0().network
    rows = torch.arange(config.labels) % len(old)
    return {"old_map": old[rows], "old_answer": said(Upper(tower), tower, old).softmax(dim=1)[rows]}


def right(model: nn.Module, tests: dict[str, Dataset]) -> dict[str, Tensor]:
    """Which emoji a model gets right, and of which old pictures it says what it used to say."""
    found = {kind: predict(model, tests[kind]).correct for kind in ("known", "new")}
    inner = model.model if isinstance(model, Rehearsal) else model
    if isinstance(inner.encoder, SmallCNN):
        return found
    old, tower = tests["old"].column("map"), EfficientNetLite0().network
    before, now = (said(x, tower, old) for x in (Upper(tower), inner.encoder))
    return found | {"old": now.argmax(dim=1) == before.argmax(dim=1)}


def _summary(correct: dict[Any, dict[str, Tensor]], name: Any, tests: dict[str, Dataset]) -> dict:
    """For each kind of picture the share that is right, and less that of the others, paired."""
    summary: dict[str, Any] = {}
    for kind, own in correct[name].items():
        group = tests[kind].columns.get("group")
        summary[kind] = bootstrap_interval(own.double(), groups=group)._asdict()
        summary[kind]["minus"] = {
            other: bootstrap_interval(own.double() - one[kind].double(), groups=group)._asdict()
            for other, one in correct.items()
            if other != name and kind in one
        }
    return summary
