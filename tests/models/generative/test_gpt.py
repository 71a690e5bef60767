import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from mmtutor.losses import next_token
from mmtutor.models.generative import GPT, GPTConfig
from mmtutor.models.generative.gpt import GPTOutput
from mmtutor.models.generative.pretrained import weights_of

SIZES = {"vocab_size": 30, "dim": 16, "depth": 2, "heads": 4, "max_length": 12}
OPTIONS = {
    "GPT-2": {},
    "GPT-1": {"norm_first": False},
    "RMSNorm": {"norm": "rms"},
    "rotary": {"positions": "rotary"},
    "SwiGLU": {"activation": "swiglu"},
    "grouped": {"kv_heads": 2},
    "one for all": {"kv_heads": 1, "positions": "rotary"},
    "untied": {"tied": False},
    "no bias": {"bias": False},
    "dropout": {"dropout": 0.1},
    "Llama": {
        **{"norm": "rms", "positions": "rotary", "activation": "swiglu", "bias": False},
        **{"kv_heads": 2, "hidden": 40, "tied": False},
    },
}


def gpt(name: str = "GPT-2", scale: float = 0.3, **changes) -> GPT:
    """A GPT with weights large enough that all of them matter."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(**{**SIZES, **OPTIONS[name], **changes})).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=scale)
    return model


def gpt2(**changes) -> GPT2LMHeadModel:
    config = {"vocab_size": 30, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 12}
    return drawn(GPT2LMHeadModel(GPT2Config(**{**config, **changes})))


def llama(**changes) -> LlamaForCausalLM:
    config = {
        **{"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "intermediate_size": 40},
        **{"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12},
    }
    return drawn(LlamaForCausalLM(LlamaConfig(**{**config, **changes})))


def drawn(model):
    torch.manual_seed(0)
    for parameter in model.parameters():  # biases of zero would hide one that is left out
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def batch_of(lengths: list[int], left: bool = False) -> dict[str, Tensor]:
    torch.manual_seed(1)
    longest = max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    mask = mask.flip(1) if left else mask
    return {"tokens": torch.randint(1, 30, mask.shape) * mask, "tokens_mask": mask}


PEERS = {
    "GPT-2": gpt2,
    "GPT-2, untied": lambda: gpt2(tie_word_embeddings=False, n_inner=24),
    "Llama": llama,
    "Llama, tied": lambda: llama(tie_word_embeddings=True, num_key_value_heads=1),
    "Llama, ungrouped": lambda: llama(num_key_value_heads=4),
    "Llama, another base": lambda: llama(
        rope_parameters={"rope_type": "default", "rope_theta": 50.0}, rms_norm_eps=0.1
    ),
}


@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("left", [False, True])
def test_it_equals_the_models_of_transformers_in_values_and_gradients(name, left):
    theirs = PEERS[name]()
    ours, batch = GPT.from_transformers(theirs), batch_of([9, 5, 1], left)
    tokens, mask = batch["tokens"], batch["tokens_mask"]
    places = (mask.long().cumsum(1) - 1).clamp(min=0)
    expected = theirs(tokens, attention_mask=mask.long(), position_ids=places).logits
    logits = ours(batch).logits
    torch.testing.assert_close(logits[mask], expected[mask], rtol=0, atol=1e-4)
    if not left:  # transformers judges the first token after padding too
        label = tokens.masked_fill(~mask, -100)[:, 1:].flatten()
        F.cross_entropy(expected[:, :-1].flatten(0, 1), label).backward()
        next_token(GPTOutput(logits), batch).backward()
        gradients = {n: p.grad for n, p in theirs.named_parameters()}
        wanted = weights_of(theirs.config.to_dict(), gradients)
        found = {n: p.grad for n, p in ours.named_parameters()}
        assert found.keys() == wanted.keys()
        for part, gradient in found.items():
            torch.testing.assert_close(gradient, wanted[part], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: gpt2(activation_function="relu"), "activation_function must be 'gelu_new' or"),
        (lambda: gpt2(scale_attn_by_inverse_layer_idx=True), "by_inverse_layer_idx must be False"),
        (lambda: llama(hidden_act="gelu"), "hidden_act must be 'silu', got 'gelu'"),
        (lambda: llama(attention_bias=True), "attention_bias must be False, got True"),
        (lambda: llama(head_dim=8), "head_dim must be 4, got 8"),
        (
            lambda: llama(
                rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
            ),
            "rope_type must be 'default', got 'linear'",
        ),
    ],
)
def test_what_it_cannot_do_is_refused(make, named):
    with pytest.raises(ValueError, match=named):
        GPT.from_transformers(make())


def test_another_kind_of_model_is_refused():
    from transformers import BertConfig, BertForMaskedLM

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4}
    bert = BertForMaskedLM(BertConfig(vocab_size=30, intermediate_size=64, **sizes))
    with pytest.raises(ValueError, match="model_type must be 'gpt2' or 'llama', got 'bert'"):
        GPT.from_transformers(bert)


def test_a_model_in_half_precision_stays_so():
    ours = GPT.from_transformers(llama().bfloat16())
    assert ours(batch_of([4])).logits.dtype == torch.bfloat16


@pytest.mark.parametrize("name", OPTIONS)
def test_a_token_sees_only_what_stands_before_it(name):
    model, batch = gpt(name), batch_of([9, 9])
    changed = {**batch, "tokens": batch["tokens"].clone()}
    changed["tokens"][:, 6] = (changed["tokens"][:, 6] + 1) % 30
    before, after = model(batch).logits, model(changed).logits
    torch.testing.assert_close(before[:, :6], after[:, :6], rtol=0, atol=1e-5)
    moved = (before - after).abs().amax(-1)[:, 6:]
    assert moved.min() > 1e-3


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("left", [False, True])
def test_padding_on_either_side_changes_nothing(name, left):
    model, batch = gpt(name), batch_of([9, 5, 1], left)
    logits = model(batch).logits
    assert logits.isfinite().all()
    for i, mask in enumerate(batch["tokens_mask"]):
        alone = model({"tokens": batch["tokens"][i, mask][None]}).logits[0]
        torch.testing.assert_close(logits[i, mask], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("pieces", [[9], [4, 5], [4, 1, 1, 3]])
@pytest.mark.parametrize("left", [None, True])
def test_a_text_read_in_pieces_is_the_text(name, pieces, left):
    model = gpt(name)
    batch = batch_of([9, 6], left=True) if left else {"tokens": batch_of([9, 9])["tokens"]}
    caches, states, start = model.caches(2, 11), [], 0
    for length in pieces:
        end = start + length
        x = model.embedding(batch["tokens"][:, start:end])
        mask = batch["tokens_mask"][:, :end] if left else None
        states.append(model.states(x, mask, caches))
        start = end
    logits, expected = model.logits(torch.cat(states, 1)), model(batch).logits
    real = batch.get("tokens_mask", torch.ones(2, 9).bool())
    torch.testing.assert_close(logits[real], expected[real], rtol=0, atol=1e-5)


def count(c: GPTConfig) -> int:
    """The parameters, from the formula."""
    norm = c.dim * (2 if c.norm == "layer" else 1)
    kv = c.dim * c.groups // c.heads
    attention = c.dim * (c.dim + 2 * kv) + c.dim * c.dim + c.bias * (2 * c.dim + 2 * kv)
    layers = 3 if c.activation == "swiglu" else 2
    mlp = layers * c.dim * c.inner + c.bias * ((layers - 1) * c.inner + c.dim)
    vectors = c.vocab_size * (1 if c.tied else 2) + c.max_length * (c.positions == "learned")
    return vectors * c.dim + c.depth * (2 * norm + attention + mlp) + norm * c.norm_first


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_has_the_parameters_of_the_formula_and_learns(name):
    torch.manual_seed(0)
    model = GPT(GPTConfig(**{**SIZES, **OPTIONS[name]}))
    assert sum(p.numel() for p in model.parameters()) == count(model.config)
    batch = batch_of([12] * 8)
    batch["tokens"][:, 4:] = batch["tokens"][:, :8]  # each text repeats its first four tokens
    batch["tokens"][:, 8:] = batch["tokens"][:, 4:8]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = next_token(model(batch), batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[0] == pytest.approx(torch.tensor(30.0).log().item(), abs=0.5)
    assert losses[-1] < 0.6 * losses[0]


@pytest.mark.parametrize("name", ["GPT-2", "Llama"])
def test_the_weights_shown_are_those_that_it_looks_with(name):
    model, batch = gpt(name), batch_of([9, 5])
    inputs = []
    hook = model.blocks[1].attention.register_forward_hook(lambda *given: inputs.append(given))
    maps = model.attention(batch)
    hook.remove()
    assert len(maps) == 2
    (part, (x, view, _), out), weights = inputs[0], maps[1]
    value = part._heads(x, view.turn)[2].repeat_interleave(part.heads // part.groups, 1)
    by_hand = part.out((weights @ value).transpose(1, 2).flatten(2))
    real = batch["tokens_mask"]
    torch.testing.assert_close(by_hand[real], out[real], rtol=0, atol=1e-5)
    assert (weights.triu(1) == 0).all()
    assert not model.blocks[0].attention._forward_hooks
    alone = model.attention({"tokens": batch["tokens"][1:, :5]})[1]
    torch.testing.assert_close(weights[1:, :, :5, :5], alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"vocab_size": 0}, "vocab_size must be a whole number of at least 1, got 0"),
        ({"heads": 3}, "heads must divide dim = 16, got 3"),
        ({"kv_heads": 3}, "kv_heads must divide heads = 4, got 3"),
        ({"kv_heads": 0}, "kv_heads must be a whole number of at least 1, got 0"),
        ({"heads": 16, "positions": "rotary"}, "heads of an even size, got 16 / 16"),
        ({"positions": "rotari"}, "positions must be 'learned' or 'rotary'.*did you mean"),
        ({"norm": "batch"}, "norm must be 'layer' or 'rms', got 'batch'"),
        ({"activation": "relu"}, "activation must be 'gelu' or 'swiglu'"),
        ({"dropout": 2.0}, r"dropout must be in \[0, 1\], got 2.0"),
        ({"hidden": -1}, "hidden must be a whole number of at least 1, got -1"),
    ],
)
def test_settings_that_make_no_model_are_refused(changes, named):
    with pytest.raises(ValueError, match=named):
        GPTConfig(**{**SIZES, **changes})


def test_bad_batches_are_refused():
    model = gpt()
    with pytest.raises(KeyError, match="the batch lacks tokens; it has text"):
        model({"text": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"tokens must be whole numbers in \[0, 30\), got 30"):
        model({"tokens": torch.tensor([[30]])})
    with pytest.raises(ValueError, match="tokens must be at most max_length = 12 long, got 13"):
        model({"tokens": torch.zeros(1, 13, dtype=torch.int64)})
    with pytest.raises(ValueError, match=r"tokens_mask must be \(1, 3\), got \(1, 2\)"):
        model({"tokens": torch.ones(1, 3).long(), "tokens_mask": torch.ones(1, 2).bool()})
    with pytest.raises(TypeError, match="config must be a GPTConfig"):
        GPT({"vocab_size": 3})
