import pytest
import torch
from torch import nn

from mmtutor.encoders.vectors import TokenMLP
from mmtutor.fusion import FUSIONS
from mmtutor.models import Ensemble, FusionClassifier


def models(name: str, count: int = 3) -> list[nn.Module]:
    torch.manual_seed(0)
    return [
        FusionClassifier(
            {m: TokenMLP(m, 4, 5, hidden=6, max_length=3) for m in "ab"},
            FUSIONS[name]({"a": 5, "b": 5}, 8),
            nn.Linear(8, 2),
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_it_computes_what_its_models_compute_gradients_included(name):
    parts = models(name)
    ensemble = Ensemble(parts)
    assert len(ensemble) == 3
    batch = {key: torch.randn(7, 3, 2, 4) for key in "ab"}
    batch["present"] = torch.rand(7, 3, 2) < 0.7
    logits = ensemble(batch).logits
    logits.square().sum().backward()
    for r, part in enumerate(parts):
        alone = part({key: value[:, r] for key, value in batch.items()}).logits
        torch.testing.assert_close(logits[:, r], alone, rtol=0, atol=1e-5)
        alone.square().sum().backward()
        named = dict(part.named_parameters())
        for key, stacked in zip(ensemble.names, ensemble.stacked, strict=True):
            torch.testing.assert_close(stacked.grad[r], named[key].grad, rtol=1e-4, atol=1e-4)


def test_buffers_and_nothing_are_refused():
    for bad in ([], [nn.BatchNorm1d(2)]):
        with pytest.raises(ValueError, match="without buffers"):
            Ensemble(bad)
