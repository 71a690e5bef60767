"""LoRA against `peft`, on the same A and B; and `peft`'s AdaLoRA through `fit`."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from mmtutor.encoders import SmallTransformer
from mmtutor.training import add_lora, merge_lora
from mmtutor.training.adapters import LoRALinear, load_lora, save_lora
from mmtutor.training.checkpoint import CheckpointError, write_tensors
from tests.training.problem import data, model, run, squared_error


@pytest.fixture(scope="module")
def peft():
    return pytest.importorskip("peft")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 5, bias=False))


def filled(net):
    """Adapters that have learned something: no B is zero."""
    torch.manual_seed(1)
    for layer in net.modules():
        if isinstance(layer, LoRALinear):
            nn.init.normal_(layer.B)
    return net


def both(peft, targets, rank=3, alpha=12.0):
    """Our adapters and theirs on the same model, with the same A and B."""
    ours, theirs = network(), network()
    add_lora(ours, rank, alpha, targets)
    filled(ours)
    names = targets or ["0", "2"]
    theirs = peft.get_peft_model(
        theirs, peft.LoraConfig(r=rank, lora_alpha=alpha, target_modules=names)
    )
    with torch.no_grad():
        for name in names:
            layer, there = ours.get_submodule(name), theirs.base_model.model.get_submodule(name)
            there.lora_A["default"].weight.copy_(layer.A)
            there.lora_B["default"].weight.copy_(layer.B)
    return ours, theirs


@pytest.mark.parametrize("targets", [None, ["2"]])
def test_outputs_gradients_and_merged_weights_are_those_of_peft(peft, targets):
    ours, theirs = both(peft, targets)
    x = torch.randn(4, 7, 6)
    torch.testing.assert_close(ours(x), theirs(x))
    for net in (ours, theirs):
        net(x).square().sum().backward()
    for name in targets or ["0", "2"]:
        layer, there = ours.get_submodule(name), theirs.base_model.model.get_submodule(name)
        torch.testing.assert_close(layer.A.grad, there.lora_A["default"].weight.grad)
        torch.testing.assert_close(layer.B.grad, there.lora_B["default"].weight.grad)
        assert layer.base.weight.grad is None
    merge_lora(ours)
    torch.testing.assert_close(ours.state_dict(), theirs.merge_and_unload().state_dict())


def test_a_is_as_random_as_that_of_peft(peft):
    ours = network()
    add_lora(ours, 3, 1.0, ["2"])
    theirs = peft.get_peft_model(network(), peft.LoraConfig(r=3, target_modules=["2"]))
    there = theirs.base_model.model.get_submodule("2").lora_A["default"].weight
    bound = 8**-0.5  # uniform within, as the weights of nn.Linear(8, …)
    for a in (ours[2].A, there):
        assert a.abs().max() <= bound
        assert 0.4 * bound < a.std() < 0.75 * bound
    assert not ours[2].B.any()


def test_at_first_nothing_changes_and_only_the_products_learn():
    net, x = network(), torch.randn(4, 6)
    before = net(x)
    assert add_lora(net, 2, 4.0) == ["0", "2"]
    torch.testing.assert_close(net(x), before, rtol=0, atol=0)
    learns = {name: p.numel() for name, p in net.named_parameters() if p.requires_grad}
    assert learns == {"0.A": 12, "0.B": 16, "2.A": 16, "2.B": 10}


def test_fit_trains_the_adapters_and_merging_changes_no_prediction():
    net, batch = model(), next(iter(data()))
    frozen = deepcopy(net.state_dict())
    add_lora(net, 2, 4.0)
    losses = run(net, data(), epochs=20, lr=0.05).loss
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])
    torch.testing.assert_close(net.layers[0].base.weight, frozen["layers.0.weight"], rtol=0, atol=0)
    before = net(batch)
    merge_lora(net)
    torch.testing.assert_close(net(batch), before)
    assert net.state_dict().keys() == frozen.keys()
    assert not any(isinstance(module, LoRALinear) for module in net.modules())


def test_dropout_hides_inputs_of_the_product_alone():
    net = network()
    add_lora(net, 2, 4.0, ["0"], dropout=0.5)
    x, layer = torch.randn(200, 6), filled(net)[0]
    plain, adapted = layer.base(x), layer.eval()(x)
    torch.manual_seed(2)
    hidden = nn.functional.dropout(x, 0.5)
    torch.manual_seed(2)
    torch.testing.assert_close(layer.train()(x), plain + 2 * hidden @ layer.A.T @ layer.B.T)
    torch.testing.assert_close(adapted, plain + 2 * x @ layer.A.T @ layer.B.T)


def test_layers_that_share_weights_or_stand_twice():
    shared, block = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    net = nn.Sequential(shared, block, shared, block)
    assert len(add_lora(net, 1, 1.0)) == 4
    assert net[0] is net[2]
    assert sum(p.numel() for p in net.parameters() if p.requires_grad) == 16
    x = torch.randn(3, 4)
    before = filled(net)(x)
    merge_lora(net)
    torch.testing.assert_close(net(x), before)
    net, embedding = nn.Sequential(nn.Linear(4, 9)), nn.Embedding(9, 4)
    net[0].weight = embedding.weight
    tied = embedding.weight.detach().clone()
    add_lora(net, 1, 1.0)
    merge_lora(filled(net))
    torch.testing.assert_close(embedding.weight, tied, rtol=0, atol=0)


def test_pytorch_s_own_transformer_layer_sees_the_adapted_weights():
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    assert add_lora(layer, 2, 4.0) == ["linear1", "linear2"]  # not what the attention packs
    x = torch.randn(2, 3, 8)
    slow = filled(layer)(x)
    with torch.no_grad():
        torch.testing.assert_close(layer(x), slow)


def test_only_the_adapters_are_saved(tmp_path):
    net = SmallTransformer(11, 8, 2, 2)
    base = deepcopy(net)
    add_lora(net, 2, 4.0, ["qkv", "out"], dropout=0.1)
    save_lora(filled(net), tmp_path / "lora.safetensors")
    load_lora(base, tmp_path / "lora.safetensors")
    torch.testing.assert_close(base.state_dict(), net.state_dict())
    learns = [[n for n, p in m.named_parameters() if p.requires_grad] for m in (net, base)]
    assert learns[0] == learns[1]
    assert all(name.endswith((".A", ".B")) for name in learns[0])  # not the norms, say
    numbers = sum(p.numel() for p in net.parameters() if p.requires_grad)
    assert (tmp_path / "lora.safetensors").stat().st_size < 4 * numbers + 2_000


def test_files_that_do_not_fit_leave_the_model_alone(tmp_path):
    net = network()
    add_lora(net, 2, 4.0)
    save_lora(net, tmp_path / "lora.safetensors")
    write_tensors(tmp_path / "plain.safetensors", {"a": torch.zeros(1)})
    other = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 4))
    with pytest.raises(CheckpointError, match="2 is 5 x 8 in the file, 4 x 8 here"):
        load_lora(other, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=r"0 must be an nn.Linear, got a ReLU"):
        load_lora(nn.Sequential(nn.ReLU()), tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match="without adapters"):
        load_lora(other, tmp_path / "plain.safetensors")
    assert all(p.requires_grad for p in other.parameters())
    with pytest.raises(ValueError, match="no adapters yet"):
        load_lora(net, tmp_path / "lora.safetensors")


class Conv1D(nn.Module):
    """What GPT-2 of `transformers` has in the place of a linear layer."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4, 12))


@pytest.mark.parametrize(
    ("targets", "error", "sentence"),
    [
        (["attention"], TypeError, "got 'attention', which is a MultiheadAttention"),
        (["out_proj"], TypeError, "which is a NonDynamicallyQuantizableLinear"),
        (["c_attn"], TypeError, "got 'c_attn', which is a Conv1D"),
        (["fist"], ValueError, "got 'fist'; did you mean 'first'"),
        ([], ValueError, "targets must be not empty"),
        ("first", TypeError, "targets must be a list"),
    ],
)
def test_what_is_no_linear_layer_is_refused(targets, error, sentence):
    net = nn.ModuleDict(
        {"first": nn.Linear(4, 4), "attention": nn.MultiheadAttention(4, 2), "c_attn": Conv1D()}
    )
    with pytest.raises(error, match=sentence):
        add_lora(net, 2, 4.0, targets)
    assert all(p.requires_grad for p in net.parameters())


def test_other_bad_input():
    net = network()
    with pytest.raises(ValueError, match="rank must be a whole number of at least 1, got 0"):
        add_lora(net, 0, 4.0)
    with pytest.raises(ValueError, match=r"must hold an nn.Linear, got a ReLU without"):
        add_lora(nn.ReLU(), 2, 4.0)
    for job in (merge_lora, lambda net: save_lora(net, "x")):
        with pytest.raises(ValueError, match="model must have adapters"):
            job(net)
    add_lora(net, 2, 4.0, ["0"])
    for targets in (None, ["0"], ["2"]):
        with pytest.raises(ValueError, match="no adapters yet"):
            add_lora(net, 2, 4.0, targets)


def test_adalora_of_peft_trains_through_fit(peft):
    """It moves its ranks after every step, which a hook of the optimiser does for it."""
    epochs, batches = 12, data()
    steps = epochs * len(batches)
    config = peft.AdaLoraConfig(
        init_r=3, target_r=1, tinit=4, tfinal=12, total_step=steps, target_modules=["0", "3"]
    )
    net = peft.get_peft_model(model(), config)
    frozen = net.base_model.model.layers[0].base_layer.weight.clone()
    optimizer = torch.optim.AdamW([p for p in net.parameters() if p.requires_grad], lr=0.1)
    count = iter(range(steps))

    def allocate(*_):
        net.base_model.update_and_allocate(next(count))

    optimizer.register_step_post_hook(allocate)
    losses = run(net, batches, epochs=epochs, optimizer=optimizer).loss
    assert sum(losses[-4:]) < 0.6 * sum(losses[:4])
    ranks = [sum(kept) for kept in net.peft_config["default"].rank_pattern.values()]
    assert sum(ranks) == 2  # of 6: one a layer on average, where it serves most
    torch.testing.assert_close(
        net.base_model.model.layers[0].base_layer.weight, frozen, rtol=0, atol=0
    )
    assert squared_error(net(next(iter(batches))), next(iter(batches))).isfinite()
