"""What helps a contrastive model, one change at a time: styles, losses and batches, noisy pairs.

Knows the comparisons of the chapter on contrastive pre-training, each with its control and with
differences that are paired. How one model is trained and asked is `contrastive`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor

from mmtutor.data import Dataset
from mmtutor.evaluation.retrieval.recall import chance_recall, embed
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses import ChunkedContrastive
from mmtutor.models import DualEncoder
from mmtutor.recipes.common import Result, settings
from mmtutor.recipes.common.config import Count, Share
from mmtutor.recipes.learning import contrastive
from mmtutor.recipes.learning.contrastive import PRETRAINED
from mmtutor.training import History

KS = (1, 10)
STYLES: dict[str, dict[str, Any]] = {
    "one style": {"styles": ("google",), "augment": "none"},
    "three styles": {"augment": "none"},
    "three styles, restyled": {"augment": "style"},
}
LOSSES = {
    "InfoNCE": {"kind": "info_nce"},
    "InfoNCE, fixed": {"kind": "info_nce", "learned": False},
    "sigmoid": {"kind": "sigmoid"},
}
Ranked = tuple[Tensor, Tensor]  # ranks of the right text (Q,), groups of the pictures (Q,)


@settings
class Config(contrastive.Config):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        study: "styles", over `folds`; "losses", each with every batch size, equally many epochs;
            "noise", with names that belong to other pictures.
        batch_sizes: of that study.
        wrong: share of the pairs whose text is another's.
        seeds: from `seed` on, for the studies without folds.
    """

    study: Literal["styles", "losses", "noise"] = "styles"
    batch_sizes: tuple[Count, ...] = (32, 128, 512)
    wrong: Share = 0.1
    seeds: Count = 3


HEADS = {**PRETRAINED, "styles": ("google",), "augment": "none", "epochs": 20, "batch_size": 128}
PRESETS = {
    "tiny": Config(folds=2, width=8, size=16, epochs=1),
    "cpu": Config(folds=2, width=16, epochs=4),
    "styles": Config(folds=5, width=16, epochs=6),  # these four take minutes; the book keeps them
    "styles-pretrained": Config(**PRETRAINED, folds=5, epochs=12),
    "losses": Config(**HEADS | {"epochs": 12}, study="losses", batch_sizes=(64, 256, 1024)),
    "noise": Config(**HEADS, study="noise"),
    "t4": Config(width=64, size=64, folds=5, epochs=40),
    "h100": Config(width=128, size=64, folds=5, epochs=100),
}


def run(config: Config, progress: bool = True) -> Result:
    """Train in every way of the study, and ask each model about the same concepts.

    Metrics: `chance`, and `candidates` of each gallery. "styles": `recall[way][kind]` with
    intervals, kinds as in `contrastive`, and `minus[way][kind]`, paired with the first way's unseen
    style. The others: `seeds[way]["recall_at_k"]` in the known style, one number a seed;
    "losses" with the `scale` that was learned, "noise" with the share of wrong pairs that `found`.
    Each group of concepts that look or are called alike counts once, however many it has.
    """
    if config.study == "styles":
        return styles(config, progress)
    parts = next(contrastive.held_out(config))
    study, told = {"losses": losses, "noise": noise}[config.study], []
    for seed in range(config.seed, config.seed + config.seeds):
        scores, last = study(replace(config, seed=seed), *parts, progress)
        told.append(scores)
    seeds = {
        way: {key: [one[way][key] for one in told] for key in scores}
        for way, scores in told[0].items()
    }
    return Result({"seeds": seeds} | _galleries([parts[1]]), last[1], last[0], config)


def styles(config: Config, progress: bool = True) -> Result:
    """One style, several, several and restyled: equally many steps, over all folds."""
    found: dict[str, dict[str, Ranked]] = {}
    for way, chosen in STYLES.items():
        one = replace(config, **chosen)
        twice = one.towers == "pretrained" and one.augment != "none"
        shown = len(one.styles) * (1 + twice)
        one = replace(one, epochs=max(1, round(config.epochs * len(config.styles) / shown)))
        parts = list(contrastive.held_out(one))
        trained = [_trained(one, learned, progress) for learned, _ in parts]
        found[way] = contrastive.joined(
            [
                contrastive.evaluate(model, asked, learned, one)
                for (model, _), (learned, asked) in zip(trained, parts, strict=True)
            ]
        )
    metrics = _report(found) | _galleries([asked for _, asked in parts])
    return Result(metrics, trained[0][1], trained[0][0], config)


def losses(config: Config, learned: Dataset, asked: Dataset, progress: bool = True):
    """Each loss with each batch size; the learning rate grows with the root of the batch."""
    scores = {}
    for name, chosen in LOSSES.items():
        for size in config.batch_sizes:
            lr = config.lr * (size / config.batch_size) ** 0.5
            one, objective = replace(config, batch_size=size, lr=lr), _objective(**chosen)
            last = _trained(one, learned, progress, objective)
            scores[f"{name}, {size}"] = _score(last[0], asked, one)
            scores[f"{name}, {size}"]["scale"] = objective.logit_scale.item()
    return scores, last


def _objective(kind: str, learned: bool = True) -> ChunkedContrastive:
    objective = ChunkedContrastive(kind)
    objective.log_scale.requires_grad_(learned)
    return objective


def noise(config: Config, learned: Dataset, asked: Dataset, progress: bool = True):
    """Pairs of which some are wrong: left as they are, filtered, or as many at random."""
    right = learned.subset([style in config.styles for style in learned.column("style")])
    spoilt, wrong = mismatched(right, config.wrong, config.seed)
    keep = doubts(spoilt, config, progress).argsort()[: len(wrong) - int(wrong.sum())]
    other = torch.Generator().manual_seed(config.seed + 1_000)  # not the order of the wrong ones
    order = torch.randperm(len(wrong), generator=other)
    ways = {
        "as they are": (spoilt, torch.arange(len(wrong))),
        "filtered": (spoilt, keep),
        "as many, at random": (spoilt, order[: len(keep)]),
        "without the wrong ones": (spoilt, (~wrong).nonzero().squeeze(1)),
        "all right": (right, torch.arange(len(wrong))),
    }
    scores = {}
    for way, (pairs, rows) in ways.items():
        last = _trained(config, pairs.subset(rows), progress)
        found = 1 - wrong[rows].sum().item() / wrong.sum().item()
        scores[way] = _score(last[0], asked, config) | {"found": found}
    return scores, last


def mismatched(data: Dataset, share: float, seed: int) -> tuple[Dataset, Tensor]:
    """`data` in which a share of the rows has the texts of another; which, (N,) bool."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randperm(len(data), generator=generator)[: round(share * len(data))]
    source = torch.arange(len(data))
    source[rows] = rows.roll(1)  # none keeps its own
    for name in ("names", "keywords"):
        data = data.with_column(name, [data.column(name)[row] for row in source.tolist()])
    return data, source != torch.arange(len(data))


def doubts(data: Dataset, config: Config, progress: bool = False) -> Tensor:
    """How badly each pair (N,) fits in the eyes of a model that never saw it: minus the cosine.

    Two models learn from half of the groups each, and judge the other half.
    """
    half, doubt = data.column("group") % 2, torch.zeros(len(data))
    for number in (0, 1):
        model, _ = _trained(config, data.subset(half == number), progress)
        other = contrastive.pairs_of(data.subset(half != number), config)
        image, text, _ = embed(model, other)
        doubt[half != number] = -(image * text).sum(dim=1)
    return doubt


def _trained(
    config: Config, learned: Dataset, progress: bool, objective: ChunkedContrastive | None = None
) -> tuple[DualEncoder, History]:
    model = contrastive.build(config)
    return model, contrastive.train_model(model, learned, config, progress, objective)


def _score(model: DualEncoder, asked: Dataset, config: Config) -> dict[str, float]:
    """Recall in the known style."""
    hits = _hits(*contrastive.known(model, asked, config))
    return {f"recall_at_{k}": each.mean().item() for k, each in hits.items()}


def _report(found: Mapping[str, Mapping[str, Ranked]]) -> dict[str, Any]:
    """Recall of each way, and what each has more of than the first way has of the unseen style."""
    hits = {
        way: {name: _hits(*ranked) for name, ranked in one.items()} for way, one in found.items()
    }
    base = next(iter(hits.values()))["unseen"]
    return {
        "recall": {
            way: {name: _intervals(by) for name, by in one.items()} for way, one in hits.items()
        },
        "minus": {
            way: {
                kind: _intervals({k: each - base[k] for k, each in one[kind].items()})
                for kind in ("unseen", "adapted")
            }
            for way, one in hits.items()
        },
        "queries": {name: len(rank) for name, (rank, _) in found["three styles"].items()},
    }


def _hits(rank: Tensor, group: Tensor) -> dict[int, Tensor]:
    """For each k the share of right answers in each group, in order of the groups."""
    _, place, size = group.unique(return_inverse=True, return_counts=True)
    nothing = torch.zeros(len(size), dtype=torch.float64)
    return {k: nothing.index_add(0, place, (rank <= k).double()) / size for k in KS}


def _intervals(hits: Mapping[int, Tensor]) -> dict[str, dict[str, float]]:
    return {f"recall_at_{k}": bootstrap_interval(each)._asdict() for k, each in hits.items()}


def _galleries(asked: list[Dataset]) -> dict[str, Any]:
    """How many concepts each gallery has, and what guessing would find in it."""
    chances, sizes, weights = [], [], []
    for data in asked:
        group = torch.tensor(list(_concepts(data).values()))
        chances.append(chance_recall(group.unique()[:, None] == group, KS))
        sizes.append(len(group))
        weights.append(len(group.unique()))
    chance = {
        f"recall_at_{k}": sum(one[k] * n for one, n in zip(chances, weights, strict=True))
        / sum(weights)
        for k in KS
    }
    return {"chance": chance, "candidates": sizes, "groups": sum(weights)}


def _concepts(data: Dataset) -> dict[int, int]:
    """The group of each concept."""
    pairs = (data.column(name).tolist() for name in ("concept", "group"))
    return dict(zip(*pairs, strict=True))
