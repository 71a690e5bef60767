from dataclasses import replace

import pytest
import torch

from mmtutor.data import Dataset
from mmtutor.data.synthetic import bits as information
from mmtutor.evaluation.efficiency import parameters
from mmtutor.recipes.fusion import (
    bakeoff as fusion_bakeoff,
)
from mmtutor.recipes.fusion import (
    entrants as fusion_entrants,
)
from mmtutor.recipes.fusion import (
    halves as fusion_halves,
)
from mmtutor.recipes.fusion.bakeoff import Config
from mmtutor.recipes.fusion.entrants import ENTRANTS, SummedCrossEntropy, _Scores, with_missing

TINY = Config.preset("tiny")


def test_the_tiny_preset_tells_sums_from_products():
    result = fusion_bakeoff.run(TINY, progress=False)
    accuracy = result.metrics["accuracy"]
    assert all(min(accuracy[name]["copy"]) > 0.95 for name in TINY.entrants)
    assert max(accuracy["sum"]["xor"]) < 0.7
    assert min(accuracy["bilinear"]["xor"]) > 0.95
    assert max(result.metrics["bits"]["sum"]["xor"]) < 0.1
    assert len(result.history.loss) == TINY.epochs * TINY.train // TINY.batch_size
    assert set(result.model) == set(TINY.entrants)


@pytest.mark.parametrize("name", ["single stream", "graph"])
def test_tokens_in_one_stream_and_nodes_with_an_edge_learn_what_no_sum_can(name):
    given = {"tasks": ("xor",), "entrants": (name, "graph without edges")}
    result = fusion_bakeoff.run(replace(Config(), seeds=3, **given), progress=False)
    accuracy = result.metrics["accuracy"]
    assert min(accuracy[name]["xor"]) > 0.95
    assert max(accuracy["graph without edges"]["xor"]) < 0.6


def test_all_entrants_have_the_same_size():
    config = Config()
    inputs = fusion_bakeoff._inputs_of(config)
    counts = [parameters(fusion_entrants.build(name, inputs, config)) for name in ENTRANTS]
    assert max(counts) <= config.parameters < 1.03 * min(counts)
    with pytest.raises(ValueError, match="the budget is too small"):
        fusion_entrants.build("bilinear", inputs, replace(config, parameters=100))


@pytest.mark.parametrize("name", [n for n, e in ENTRANTS.items() if e.kind == "sum"])
def test_entrants_called_sums_are_sums(name):
    config = Config()
    model = fusion_entrants.build(name, fusion_bakeoff._inputs_of(config), config).double()
    a, a2, b, b2 = torch.randn(4, 6, 3, information.SIZE).double()
    f = lambda a, b: model({"a": a, "b": b}).logits  # noqa: E731
    assert (f(a, b) - f(a2, b) - f(a, b2) + f(a2, b2)).abs().max() < 1e-12


def test_runs_learn_independently_of_each_other():
    short = replace(TINY, epochs=1, train=64)
    one, _ = fusion_bakeoff._train("sum", replace(short, tasks=("copy",)))
    both, _ = fusion_bakeoff._train("sum", replace(short, tasks=("copy", "redundant + xor")))
    for alone, together in zip(one.stacked, both.stacked, strict=True):
        torch.testing.assert_close(together[:2], alone, rtol=0, atol=1e-4)


def test_bits_of_a_model_that_knows_and_of_one_that_guesses():
    assert fusion_bakeoff._answer_entropy("copy") == pytest.approx(2)
    assert fusion_bakeoff._answer_entropy("and") == pytest.approx(0.8113, abs=1e-4)


def test_logits_without_a_class_take_no_part():
    objective = SummedCrossEntropy([2, 3])
    logits, label = torch.zeros(4, 2, 3), torch.zeros(4, 2, dtype=torch.long)
    expected = torch.tensor([2.0, 3.0]).log()
    torch.testing.assert_close(objective.losses(logits, label).mean(0), expected)
    assert objective(Logits(logits), {"label": label}).item() == pytest.approx(
        expected.sum().item()
    )


class Logits:
    def __init__(self, logits):
        self.logits = logits


def test_missing_and_noisy_are_what_they_say():
    data = Dataset({"a": torch.zeros(500, 2, 3), "label": torch.zeros(500, 2)})
    present = with_missing(data, 0.4).column("present")
    assert present.shape == (500, 2, 2)
    assert present.any(dim=2).all()
    assert (~present).any(dim=2).double().mean() == pytest.approx(0.4, abs=0.05)
    only = with_missing(data, 1.0, 1).column("present")
    assert only[..., 0].all()
    assert not only[..., 1].any()
    noisy = fusion_entrants.with_noise(data, "a", 2.0).column("a")
    assert noisy.std().item() == pytest.approx(2, rel=0.1)
    assert _Scores(*torch.zeros(2, 1)).accuracy.item() == 0


def test_halves_of_real_pictures(fashion_mnist_cache):
    config = fusion_halves.Config.preset("tiny")
    data = fusion_halves.examples("train", config)
    assert data.column("upper").shape == data.column("lower").shape == (300, 2, 7, 14)
    assert not torch.equal(data.column("upper")[:, 0], data.column("upper")[:, 1])
    result = fusion_halves.run(config, progress=False)
    assert set(result.metrics["accuracy"]) == set(config.entrants)
    assert min(min(v) for v in result.metrics["accuracy"].values()) > 0.2  # chance is 0.1
    short, _ = fusion_halves.train("mean", replace(config, epochs=1, missing=0.5))
    assert len(short) == 2


def test_pictures_are_halved_in_size():
    grey = torch.zeros(1, 28, 28, dtype=torch.uint8)
    grey[0, 0, :2] = 255
    small = fusion_halves._small(grey)
    assert small.shape == (1, 14, 14)
    assert small[0, 0, 0].item() == pytest.approx((0.5 - 0.286) / 0.353, abs=1e-3)
