import pytest
import torch

from mmtutor.evaluation.robustness.attacks import cross_entropy, margins, pgd
from mmtutor.evaluation.robustness.gradient_masking import (
    _Check,
    gradient_masking_checks,
    loss_surface,
)
from mmtutor.recipes.scorecard.planted_faults import QuantisedInput, SaturatedLogits
from tests.evaluation.small_models import Linear, Network, pictures


def failed(model, batch, **options) -> set[str]:
    checks = gradient_masking_checks(model, batch, 0.04, **options)
    return {check.name for check in checks if not check.passed}


def test_an_honest_model_passes():
    model, other = Network(), Network(seed=1)
    batch = pictures(model, 200)
    assert failed(model, batch) == set()
    assert failed(model, batch, surrogate=other) == set()


@pytest.mark.parametrize("mask", [QuantisedInput, SaturatedLogits])
def test_a_model_that_hides_its_gradient_is_found(mask):
    honest = Network()
    batch = pictures(honest, 200)
    planted = mask(honest)
    same = planted.eval()(batch).logits.argmax(1) == batch["label"]
    assert same.float().mean() > 0.85  # it answers almost as before
    found = failed(planted, batch, surrogate=honest)
    assert {"examples without a gradient", "examples whose margin does not rise"} <= found
    assert "an unbounded attack leaves nothing" in found
    assert "PGD leaves no more than a transferred one" in found
    # and the hidden gradient was the only defence
    own, lent = (
        (margins(planted, pgd(attacked, batch, 0.1)) <= 0).float().mean()
        for attacked in (planted, honest)
    )
    assert lent < own - 0.3


def test_a_sure_model_is_not_taken_for_a_masked_one():
    torch.manual_seed(0)
    model = Linear(8 * torch.randn(2, 12))  # cross-entropy 0 in float32 for most examples
    batch = pictures(model, 100)
    assert (cross_entropy(model(batch).logits, batch["label"]) == 0).float().mean() > 0.2
    assert failed(model, batch) == set()


def test_the_edge_passes():
    assert _Check("", 0.5, 0.5).passed
    assert not _Check("", 0.51, 0.5).passed


def test_the_surface_has_the_example_in_the_middle_and_rises_along_its_rows():
    model = Network()
    batch = pictures(model, 7)
    surface = loss_surface(model, batch, 0.1, size=5)
    assert surface.shape == (7, 5, 5)
    expected = cross_entropy(model(batch).logits, batch["label"]).detach()
    torch.testing.assert_close(surface[:, 2, 2], expected)
    along, aside = surface[:, :, 2].diff(dim=1), surface[:, 2].diff(dim=1)
    assert (along > 0).float().mean() > 0.9
    assert along.mean() > 3 * aside.mean().abs()
    assert loss_surface(QuantisedInput(model, 2), batch, 0.0, size=3).std(dim=(1, 2)).max() == 0
