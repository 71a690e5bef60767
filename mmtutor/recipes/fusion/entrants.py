"""The entrants of the fusion bake-off: of equal size, trained many at once, tested spoiled too.

Knows fusions with their heads, and data of vectors in which R models each have examples of their
own: every column is (N, R, ...). Does not know what the data are; `fusion_bakeoff` and
`fusion_halves` do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.encoders.vectors import TokenMLP
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.predict import outputs
from mmtutor.fusion import FUSIONS
from mmtutor.models import ClassifierOutput, Ensemble, FusionClassifier, ProjectionHead
from mmtutor.recipes import common
from mmtutor.recipes.common import Result, TrainConfig, settings
from mmtutor.recipes.common.config import Count, Size
from mmtutor.training import History


@dataclass(frozen=True)
class _Entrant:
    """A fusion with its options and the head behind it.

    Attributes:
        out_dim: size of what the fusion gives; None takes that of the `Config`.
        hidden: size of the head's middle layer; None makes it linear. Late fusion needs no head.
        patience: it is trained for so many times more epochs. Attention among tokens learns slowly.
        kind: what a proof says of its scores. "sum": they are sums over modalities, which cannot be
            an exclusive or. "sign": the sign of a difference of scores is that of such a sum, so
            that three of the four cases can be right at most. "any": there is no such limit.
    """

    fusion: str
    options: dict[str, int | tuple] = field(default_factory=dict)
    out_dim: int | None = None
    hidden: int | None = None
    patience: int = 1
    kind: Literal["sum", "sign", "any"] = "any"


FEW = {"bottlenecks": 2}
ENTRANTS = {
    "late": _Entrant("late", kind="sum"),
    "concat": _Entrant("concat", kind="sum"),
    "sum": _Entrant("sum", kind="sum"),
    "mean": _Entrant("mean", kind="sum"),
    "weighted": _Entrant("weighted", kind="sum"),
    "attention, one head": _Entrant("attention", {"heads": 1}, kind="sign"),
    "max": _Entrant("max", out_dim=32),
    "convolution": _Entrant("convolution"),
    "gated": _Entrant("gated"),
    "bilinear": _Entrant("bilinear"),
    "low-rank tensor": _Entrant("low_rank_tensor"),
    "attention": _Entrant("attention"),
    "cross-attention": _Entrant("cross_attention", out_dim=8, patience=2),
    "bottleneck": _Entrant("bottleneck", FEW, out_dim=8, patience=2),
    "single stream": _Entrant("single_stream", {"depth": 1}, out_dim=12, patience=2),
    "graph": _Entrant("graph", out_dim=32),
    "concat, MLP head": _Entrant("concat", hidden=32),
    "bottleneck, one layer": _Entrant("bottleneck", FEW | {"depth": 1}, out_dim=8, kind="sum"),
    "graph without edges": _Entrant("graph", {"edges": ()}, out_dim=32, kind="sum"),
}


class Inputs(NamedTuple):
    """What goes in and out: modalities of `length` vectors of `size` numbers, and the classes."""

    modalities: tuple[str, ...]
    size: int
    length: int
    classes: int


@settings
class ContestConfig(TrainConfig):
    """What the bake-offs are told in common.

    Attributes:
        entrants: names in `ENTRANTS`.
        seeds: runs of each, with training data and first weights of their own.
        train, test: examples of each run.
        parameters: how many numbers a model may learn; what fusion and head leave over goes to the
            encoders.
        dim, out_dim: size of an encoder's tokens, and of what the fusion gives, unless the entrant
            says otherwise.
    """

    entrants: tuple[Literal[tuple(ENTRANTS)], ...] = ()
    seeds: Count = 5
    train: Count = 2048
    test: Count = 1024
    parameters: Count = 5000
    dim: Count = 12
    out_dim: Count = 12
    epochs: Count = 2
    weight_decay: Size = 0.0


def build(
    name: str, inputs: Inputs, config: ContestConfig, seed: int = 0, hidden: int | None = None
) -> FusionClassifier:
    """One untrained model; `hidden` is the width of its encoders, None fills the budget."""
    entrant = ENTRANTS[name]
    hidden = _encoder_width(name, inputs, config) if hidden is None else hidden
    torch.manual_seed(seed)
    encoders = {
        modality: TokenMLP(modality, inputs.size, config.dim, hidden, inputs.length)
        for modality in inputs.modalities
    }
    late = entrant.fusion == "late"
    out_dim = inputs.classes if late else entrant.out_dim or config.out_dim
    dims = dict.fromkeys(encoders, config.dim)
    fusion = FUSIONS[entrant.fusion](dims, out_dim, **entrant.options)
    head = nn.Identity() if late else ProjectionHead(out_dim, inputs.classes, entrant.hidden)
    return FusionClassifier(encoders, fusion, head)


def _encoder_width(name: str, inputs: Inputs, config: ContestConfig) -> int:
    """The widest encoders with which the model keeps to `config.parameters`.

    Raises ValueError if fusion and head alone exceed the budget.
    """
    one, two = (parameters(build(name, inputs, config, hidden=hidden)) for hidden in (1, 2))
    if one > config.parameters:
        raise ValueError(f"{name} needs {one} parameters at least, the budget is too small")
    return 1 + (config.parameters - one) // (two - one)


class SummedCrossEntropy(nn.Module):
    """Cross-entropy of every model, summed, so that none has a say in another's gradient.

    Args:
        classes: how many of the C logits each of the R models has a use for.
    """

    def __init__(self, classes: Sequence[int]) -> None:
        super().__init__()
        extra = torch.arange(max(classes)) >= torch.tensor(classes).unsqueeze(1)  # [R, C]
        self.register_buffer("extra", extra)

    def forward(self, output: ClassifierOutput, batch: dict[str, Tensor]) -> Tensor:
        return self.losses(output.logits, batch["label"]).mean(dim=0).sum()

    def losses(self, logits: Tensor, label: Tensor) -> Tensor:
        """In nats, of every example of every model: (B, R, C), (B, R) -> (B, R)."""
        return F.cross_entropy(self.possible(logits).movedim(-1, 1), label, reduction="none")

    def possible(self, logits: Tensor) -> Tensor:
        """The logits that a model has no use for become the lowest number."""
        return logits.masked_fill(self.extra, torch.finfo(logits.dtype).min)


def train_together(
    config: TrainConfig,
    models: Sequence[nn.Module],
    objective: SummedCrossEntropy,
    data: Dataset,
    progress: bool = False,
) -> tuple[Ensemble, History]:
    """Train R models at once on `data`, in its order."""
    ensemble = Ensemble(models)
    options = {"lr": config.lr, "weight_decay": config.weight_decay, "betas": (0.9, 0.95)}
    optimizer = torch.optim.AdamW(ensemble.parameters(), **options, fused=True)
    options = {"optimizer": optimizer, "clip_norm": None}
    batches = loader(data, config.batch_size)
    return ensemble, common.train(config, ensemble, objective, batches, progress, **options)


class _Scores(NamedTuple):
    """Of each of the R models, float64: share of right answers, and mean cross-entropy in nats."""

    accuracy: Tensor
    loss: Tensor


def score(ensemble: Ensemble, data: Dataset, objective: SummedCrossEntropy) -> _Scores:
    """Test R models on `data`."""
    device = next(ensemble.parameters()).device
    objective, right, loss = objective.to(device), [], []
    for batch, output in outputs(ensemble, data):
        answers = objective.possible(output.logits).argmax(dim=-1)
        right.append((answers == batch["label"]).cpu())
        loss.append(objective.losses(output.logits, batch["label"]).cpu())
    return _Scores(torch.cat(right).double().mean(dim=0), torch.cat(loss).double().mean(dim=0))


def compete(
    config: ContestConfig,
    train: Callable[[str], tuple[Ensemble, History]],
    test: Dataset,
    objective: SummedCrossEntropy,
) -> tuple[Result, dict[str, _Scores]]:
    """Train every entrant of `config` by its name, and test it; the metrics are lists over models.

    Their history has the mean loss of each step that all took, and all their work.
    """
    scores, histories, ensembles = {}, [], nn.ModuleDict()
    for name in config.entrants:
        ensembles[name], history = train(name)
        scores[name] = score(ensembles[name], test, objective)
        histories.append(history)
    loss = [sum(step) / len(step) for step in zip(*(h.loss for h in histories), strict=False)]
    seconds, examples = (sum(getattr(h, k) for h in histories) for k in ("seconds", "examples"))
    work = History(loss, history.learning_rate, history.epochs, seconds, examples)
    metrics = {
        "accuracy": {name: found.accuracy.tolist() for name, found in scores.items()},
        "parameters": {name: parameters(e) // len(e) for name, e in ensembles.items()},
    }
    return Result(metrics, work, ensembles, config), scores


def with_missing(
    data: Dataset, share: float, modality: int | None = None, seed: int = 0
) -> Dataset:
    """`data` with a column `present` (N, R, 2): `share` of the examples lack a modality.

    Args:
        modality: which of the two, by its place in the sorted order; None draws one for each.
    """
    generator = torch.Generator().manual_seed(seed)
    rows = data.column("label").shape  # [N, R]
    lacks = torch.rand(rows, generator=generator) < share
    which = torch.randint(2, rows, generator=generator)
    which = which if modality is None else torch.full_like(which, modality)
    absent = F.one_hot(which, 2).bool() & lacks.unsqueeze(-1)
    return data.with_column("present", ~absent)


def with_noise(data: Dataset, modality: str, deviation: float, seed: int = 0) -> Dataset:
    """`data` with noise of this standard deviation added to one modality."""
    generator = torch.Generator().manual_seed(seed)
    clean = data.column(modality)
    noise = torch.randn(clean.shape, generator=generator)
    return data.with_column(modality, clean + deviation * noise)
