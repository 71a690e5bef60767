"""What only a module with logits can be asked: its costs, its gradients, and an attack on it.

Of a model that writes there is the time that it takes. Does not know scores.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mmtutor.data import Dataset, loader
from mmtutor.data.batch import Batch
from mmtutor.evaluation.efficiency import cost
from mmtutor.evaluation.explanations.quality import pointing_game, sanity_check
from mmtutor.evaluation.predict import outputs, predict
from mmtutor.evaluation.robustness.attacks import margin, pgd
from mmtutor.evaluation.scorecard.answering import _Chooses
from mmtutor.evaluation.scorecard.floors import _above
from mmtutor.evaluation.scorecard.measures import DRAWS, Measure, Measures, constant_measure
from mmtutor.evaluation.scorecard.suite import EvaluationSuite
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval, weighted_mean
from mmtutor.explain import gradient

BATCH = 128  # of images under attack
SAMPLE = 64  # examples whose cost is measured


def _attacked(asker: Any, suite: EvaluationSuite) -> Tensor | None:
    """(n,) bool: of the first `examined` rows, whether it is right under attack as well.

    PGD climbs the margin, which no confidence can blunt.
    """
    if not isinstance(asker, _Chooses) or "image" not in suite.modalities:
        return None
    first = suite.data.subset(range(min(suite.examined, len(suite.data))))
    batches = (pgd(asker.module, b, suite.radius, loss=margin) for b in loader(first, BATCH))
    return predict(asker.module, batches).correct


def _efficiency(asker: Any, suite: EvaluationSuite) -> Measures:
    """Size, operations, time and memory of a prediction, and its energy where that can be read."""
    if not isinstance(asker, _Chooses):
        if not asker.seconds:
            return {"seconds per answer": "the model itself, not stored answers"}
        took = bootstrap_interval(torch.tensor(asker.seconds).double(), "median", DRAWS)
        return {"seconds per answer": Measure(took, "low", "s")}
    batch, _ = _answered(asker.module, suite.data, torch.arange(SAMPLE) % len(suite.data))
    found = cost(
        asker.module, {k: v for k, v in batch.items() if k.split("_mask")[0] in suite.modalities}
    )
    measures: Measures = {
        "parameters": constant_measure(found.parameters, "low", "numbers"),
        "operations": constant_measure(found.flops, "low", "FLOP"),
        "latency": Measure(found.latency, "low", "s"),
        "throughput": Measure(found.throughput, "high", "examples/s"),
        "peak memory": constant_measure(found.peak_bytes, "low", "bytes"),
    }
    if found.joules is not None:
        measures["energy"] = constant_measure(found.joules, "low", "J")
    return measures


def _interpretability(asker: Any, suite: EvaluationSuite) -> Measures:
    """Does the gradient of its answer point at the target object, and change with its weights?

    Only examples where something is to be seen; see `explanations.pointing_game`, `sanity_check`.
    The floor of the pointing game is a point anywhere; the sanity check has none.
    """
    if not isinstance(asker, _Chooses):
        return {"pointing game": "a module with logits, for the gradients"}
    masks = suite.data.columns.get("target")
    if masks is None or not masks.any():
        return {"pointing game": "a column 'target' (N, H, W), True where the answer is to be seen"}
    model = asker.module
    rows = masks.flatten(1).any(dim=1).nonzero().flatten()[: suite.examined]
    batch, answer = _answered(model, suite.data, rows)
    hits = pointing_game(gradient(model, batch, answer).cpu(), masks[rows]).double()
    alike = sanity_check(gradient, model, batch, answer).per_example.cpu()
    groups = None if suite.groups is None else suite.groups[rows]
    floor = _above(hits, masks[rows].flatten(1).double().mean(dim=1), groups)
    return {
        "pointing game": suite.measure(weighted_mean(hits), rows=rows, floor=floor),
        "like random weights": suite.measure(weighted_mean(alike), "low", rows),
    }


def _answered(model: nn.Module, data: Dataset, rows: Tensor) -> tuple[Batch, Tensor]:
    """Some rows as one batch on the model's device, and the classes (B,) that it answers."""
    [(batch, output)] = outputs(model, loader(data.subset(rows), len(rows)))
    return batch, output.logits.argmax(dim=1)
