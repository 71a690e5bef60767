import pytest
import torch
from torch import nn

from mmtutor.encoders import BagOfWords, FeatureEncoder
from mmtutor.models.branches import Branches
from mmtutor.models.multitask import MultiTask


def two_heads(trunk=None, encoder=None):
    torch.manual_seed(0)
    return MultiTask(
        encoder or FeatureEncoder(4), {"a": nn.Linear(4, 3), "b": nn.Linear(4, 2)}, trunk
    )


def test_every_head_reads_the_same_code():
    model, x = two_heads(nn.Linear(4, 4)), torch.randn(5, 4)
    output = model({"image_features": x})
    code = model.trunk(x)
    assert list(output.tasks) == ["a", "b"]
    for name, head in model.heads.items():
        torch.testing.assert_close(output.tasks[name], head(code))


def test_shared_parameters_are_those_that_both_losses_reach():
    model = two_heads(nn.Linear(4, 4), BagOfWords(7, 4))
    output = model({"tokens": torch.tensor([[2, 3]])})
    names = {
        task: {
            name
            for name, gradient in zip(
                dict(model.named_parameters()),
                torch.autograd.grad(
                    x.sum(), list(model.parameters()), retain_graph=True, allow_unused=True
                ),
                strict=True,
            )
            if gradient is not None
        }
        for task, x in output.tasks.items()
    }
    ids = {name: id(p) for name, p in model.named_parameters()}
    assert {ids[name] for name in names["a"] & names["b"]} == {id(p) for p in model.shared}


def test_padding_changes_nothing():
    model = two_heads(encoder=BagOfWords(7, 4))
    short = model({"tokens": torch.tensor([[2, 3]]), "tokens_mask": torch.ones(1, 2).bool()})
    mask = torch.tensor([[True, True, False]])
    long = model({"tokens": torch.tensor([[2, 3, 0]]), "tokens_mask": mask})
    for name in short.tasks:
        torch.testing.assert_close(short.tasks[name], long.tasks[name])


def test_no_head_and_no_modality_are_named():
    with pytest.raises(ValueError, match="heads must be not empty"):
        MultiTask(FeatureEncoder(4), {})
    with pytest.raises(KeyError, match="lacks image_features"):
        two_heads()({"tokens": torch.zeros(1, 1)})


def branches(drop=0.0):
    torch.manual_seed(0)
    return Branches([FeatureEncoder(2, "token_features"), FeatureEncoder(3)], 4, drop)


def features(batch=5):
    generator = torch.Generator().manual_seed(0)
    sizes = {"image_features": 3, "token_features": 2}
    return {name: torch.randn(batch, d, generator=generator) for name, d in sizes.items()}


@pytest.mark.parametrize("batch", [1, 5])
def test_branches_are_concatenation_and_one_linear_layer(batch):
    model, data = branches(), features(batch)
    output = model(data)
    whole = nn.Linear(5, 4)
    weights = [model.scores[name].weight for name in ("image_features", "token_features")]
    whole.weight.data = torch.cat(weights, dim=1)
    whole.bias.data = model.bias.data
    both = torch.cat([data["image_features"], data["token_features"]], dim=1)
    torch.testing.assert_close(output.logits, whole(both))
    assert list(output.branches) == ["image_features", "token_features"]


def test_an_absent_modality_adds_nothing():
    model, data = branches().eval(), features()
    present = torch.tensor([[True, False]]).expand(5, 2)
    output = model({**data, "present": present})
    torch.testing.assert_close(output.logits, output.branches["image_features"] + model.bias)
    other = {**data, "token_features": torch.full((5, 2), 9.0), "present": present}
    assert torch.equal(model(other).logits, output.logits)
    with pytest.raises(ValueError, match=r"present must be \(5, 2\), got .*\(5, 3\)"):
        model({**data, "present": torch.ones(5, 3).bool()})


def test_dropout_takes_one_modality_of_an_example_in_training_only():
    model, data = branches(drop=1.0), features(400)
    gone = [(x == 0).all(dim=1) for x in model(data).branches.values()]
    assert (gone[0] ^ gone[1]).all()
    assert 100 < gone[0].sum() < 300
    model.eval()
    assert not any((x == 0).all(dim=1).any() for x in model(data).branches.values())


def test_wrong_branches_are_named():
    with pytest.raises(ValueError, match="each of another modality"):
        Branches([FeatureEncoder(3), FeatureEncoder(3)], 4)
    with pytest.raises(ValueError, match="classes must be a whole number of at least 2, got 1"):
        Branches([FeatureEncoder(3)], 1)
    with pytest.raises(KeyError, match="lacks token_features"):
        branches()({"image_features": torch.zeros(1, 3)})
