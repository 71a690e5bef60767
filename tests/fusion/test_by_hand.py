"""Each fusion against a computation by hand, or against a computation written another way."""

import math
from itertools import combinations

import pytest
import torch
from torch import nn

from mmtutor.encoders import Encoded
from mmtutor.encoders.transformer import TransformerBlock, attention_weights
from mmtutor.fusion import (
    FUSIONS,
    Attention,
    Bilinear,
    Bottleneck,
    Convolution,
    CrossAttention,
    Gated,
    InteractionGraph,
    Late,
    LowRankTensor,
    MultiHeadCrossAttention,
    SingleStream,
    Weighted,
)

X, Y = [1.0, 2.0], [3.0, -1.0]
PAIR = {"x": 2, "y": 2}


def code(*tokens: list[float]) -> Encoded:
    """One example with these tokens."""
    return Encoded(torch.tensor([tokens]), torch.ones(1, len(tokens), dtype=torch.bool))


def pair() -> dict[str, Encoded]:
    return {"x": code(X), "y": code(Y)}


def plain(name: str, **options):
    """The fusion whose projections are identities, so that vectors stay as they are."""
    fusion = FUSIONS[name](PAIR, 2, **options)
    for linear in fusion.project.maps:
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    return fusion


def set_to(module: nn.Module, value: float) -> None:
    for parameter in module.parameters():
        nn.init.constant_(parameter, value)


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("sum", {}, [4.0, 1.0]),
        ("mean", {}, [2.0, 0.5]),
        ("weighted", {}, [2.0, 0.5]),
        ("weighted", {"weights": {"x": 3, "y": 1}}, [1.5, 1.25]),
        ("max", {}, [3.0, 2.0]),
    ],
)
def test_pooling(name, options, expected):
    torch.testing.assert_close(plain(name, **options)(pair()), torch.tensor([expected]))


@pytest.mark.parametrize(("name", "expected"), [("sum", X), ("mean", X), ("max", X)])
def test_with_one_modality_present_pooling_returns_it(name, expected):
    present = torch.tensor([[True, False]])
    torch.testing.assert_close(plain(name)(pair(), present), torch.tensor([expected]))


def test_weights_are_shared_out_among_those_present():
    fusion = plain("weighted", weights={"x": 0.2, "y": 0.8})
    torch.testing.assert_close(fusion(pair(), torch.tensor([[True, False]])), torch.tensor([X]))
    assert fusion.weights().tolist() == pytest.approx([0.2, 0.8])
    learned = Weighted(PAIR, 2)
    with torch.no_grad():
        learned.logits.copy_(torch.tensor([0.0, math.log(3)]))
    assert learned.weights().tolist() == pytest.approx([0.25, 0.75])


def test_concat():
    fusion = FUSIONS["concat"](PAIR, 1)
    with torch.no_grad():
        fusion.out.weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
        fusion.out.bias.fill_(0.5)
    assert fusion(pair()).item() == 1 + 20 + 300 - 1000 + 0.5


def test_concat_with_a_linear_layer_is_a_sum_of_projections():
    concat, total = FUSIONS["concat"](PAIR, 3), FUSIONS["sum"](PAIR, 3)
    with torch.no_grad():
        for part, linear in zip(concat.out.weight.split(2, dim=1), total.project.maps, strict=True):
            linear.weight.copy_(part)
            linear.bias.copy_(concat.out.bias / 2)
    torch.testing.assert_close(total(pair()), concat(pair()))


def test_convolution():
    fusion = plain("convolution", channels=1)
    set_to(fusion.convolution, 1.0)  # window sums of x + y = [4, 1], plus 1: [6, 6]
    set_to(fusion.pool, 2.0)
    torch.testing.assert_close(fusion(pair()), torch.tensor([[14.0, 14.0]]))
    set_to(fusion.convolution, -1.0)  # rectified away
    torch.testing.assert_close(fusion(pair()), torch.tensor([[2.0, 2.0]]))
    assert isinstance(fusion, Convolution)


def test_gates_scale_each_modality():
    fusion = plain("gated")
    set_to(fusion.gate, 0.0)
    expected = (torch.tensor([X]).tanh() + torch.tensor([Y]).tanh()) / 2
    torch.testing.assert_close(fusion(pair()), expected)
    with torch.no_grad():
        fusion.gate.weight[:2] = 100.0 * torch.tensor([0, 0, 1.0, 0])  # y opens the gate of x
        fusion.gate.bias[2:] = -100.0  # and y itself is shut out
    torch.testing.assert_close(fusion(pair()), torch.tensor([X]).tanh())
    assert isinstance(fusion, Gated)


def test_bilinear_is_the_form_with_ones():
    torch.manual_seed(0)
    fusion = Bilinear(PAIR, 4)
    x, y = torch.tensor([*X, 1]), torch.tensor([*Y, 1])
    expected = torch.stack([x @ w.view(3, 3) @ y for w in fusion.weight])
    torch.testing.assert_close(fusion(pair())[0], expected)


def test_bilinear_by_hand():
    fusion = Bilinear(PAIR, 1)
    with torch.no_grad():
        fusion.weight.copy_(torch.tensor([[1.0, 0, 0, 0, 0, 10, 0, 0, 100]]))  # x0 y0, x1, 1
    assert fusion(pair()).item() == 3 + 20 + 100
    assert fusion(pair(), torch.tensor([[True, False]])).item() == 20 + 100


@pytest.mark.parametrize("dims", [PAIR, {"a": 1, "b": 3, "c": 2}])
def test_low_rank_equals_its_explicit_outer_product(dims):
    torch.manual_seed(1)
    low, full = LowRankTensor(dims, 5, rank=3).double(), Bilinear(dims, 5).double()
    with torch.no_grad():
        full.weight.copy_(low.weight())
    codes = {
        n: Encoded(torch.randn(4, 2, d).double(), torch.ones(4, 2) > 0) for n, d in dims.items()
    }
    leaves = [c.tokens.requires_grad_() for c in codes.values()]
    torch.testing.assert_close(low(codes), full(codes))
    grads = [torch.autograd.grad(f(codes).square().sum(), leaves) for f in (low, full)]
    torch.testing.assert_close(*grads)


def test_at_full_rank_it_can_be_any_bilinear_fusion():
    torch.manual_seed(2)
    dims = {"x": 3, "y": 5}
    full, low = Bilinear(dims, 2).double(), LowRankTensor(dims, 2, rank=4).double()
    u, s, vh = torch.linalg.svd(full.weight.view(2, 4, 6), full_matrices=False)
    with torch.no_grad():
        low.factors[0].copy_((u * s.unsqueeze(1)).permute(2, 0, 1))  # [rank, out, 3 + 1]
        low.factors[1].copy_(vh.transpose(0, 1))
    codes = {
        n: Encoded(torch.randn(7, 1, d).double(), torch.ones(7, 1) > 0) for n, d in dims.items()
    }
    torch.testing.assert_close(low(codes), full(codes))
    poor = LowRankTensor(dims, 2, rank=3).double()
    with torch.no_grad():
        for ours, theirs in zip(poor.factors, low.factors, strict=True):
            ours.copy_(theirs[:3])
    assert not torch.allclose(poor(codes), full(codes), atol=1e-3)


def test_attention_weighs_by_the_score_of_each_modality():
    fusion = plain("attention", heads=1)
    set_to(fusion.hidden, 0.0)
    nn.init.eye_(fusion.hidden.weight)
    with torch.no_grad():
        fusion.score.weight.copy_(torch.tensor([[1.0, 0.0]]))
    a = torch.tensor([math.tanh(1.0), math.tanh(3.0)]).softmax(0)
    torch.testing.assert_close(fusion.weights(pair())[0, 0], a)
    expected = a[0] * torch.tensor(X) + a[1] * torch.tensor(Y)
    torch.testing.assert_close(fusion(pair())[0], expected)
    alone = torch.tensor([[False, True]])
    assert fusion.weights(pair(), alone).tolist() == [[[0.0, 1.0]]]
    torch.testing.assert_close(fusion(pair(), alone)[0], torch.tensor(Y))


def test_attention_weights_depend_on_the_example():
    torch.manual_seed(0)
    fusion = Attention({"x": 3, "y": 3}, 8)
    codes = {n: Encoded(torch.randn(5, 1, 3), torch.ones(5, 1) > 0) for n in "xy"}
    weights = fusion.weights(codes)
    torch.testing.assert_close(weights.sum(-1), torch.ones(5, 4))
    assert weights.std(dim=0).min() > 1e-3


@pytest.mark.parametrize(("length", "keys"), [(1, 1), (4, 7)])
def test_cross_attention_equals_torch(length, keys):
    torch.manual_seed(0)
    ours, theirs = MultiHeadCrossAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    theirs.load_state_dict(
        {
            "in_proj_weight": torch.cat([ours.query.weight, ours.key_value.weight]),
            "in_proj_bias": torch.cat([ours.query.bias, ours.key_value.bias]),
            "out_proj.weight": ours.out.weight,
            "out_proj.bias": ours.out.bias,
        }
    )
    x = torch.randn(2, length, 12, requires_grad=True)
    context = torch.randn(2, keys, 12, requires_grad=True)
    mask = torch.arange(keys) < torch.tensor([[keys], [max(1, keys - 3)]])
    out = ours(x, context, mask)
    expected, weights = theirs(
        x, context, context, key_padding_mask=~mask, average_attn_weights=False
    )
    torch.testing.assert_close(out, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.weights(x, context, mask), weights, rtol=0, atol=1e-6)
    grads = [torch.autograd.grad(o.square().sum(), (x, context)) for o in (out, expected)]
    torch.testing.assert_close(*grads, rtol=0, atol=1e-5)


def test_nobody_to_look_at_gives_the_output_bias():
    attention = MultiHeadCrossAttention(4, 2)
    out = attention(torch.randn(1, 3, 4), torch.randn(1, 2, 4), torch.zeros(1, 2) > 0)
    torch.testing.assert_close(out, attention.out.bias.expand(1, 3, 4))


def test_cross_attention_does_not_know_the_order_of_keys():
    torch.manual_seed(0)
    fusion = CrossAttention({"x": 3, "y": 3}, 8)
    codes = {n: Encoded(torch.randn(2, 5, 3), torch.ones(2, 5) > 0) for n in "xy"}
    turned = codes | {"y": Encoded(codes["y"].tokens.flip(1), codes["y"].mask)}
    torch.testing.assert_close(fusion(turned), fusion(codes))


def test_cross_attention_that_reads_nothing_is_a_mean():
    fusion = CrossAttention({"x": 2, "y": 2}, 2, heads=1)
    for linear in fusion.project:
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    set_to(fusion.block.attention.out, 0.0)
    set_to(fusion.block.mlp, 0.0)
    codes = {"x": code(X, [3.0, 4.0]), "y": code(Y)}  # the mean token of x is [2, 3]
    torch.testing.assert_close(fusion(codes), torch.tensor([[2.5, 1.0]]))


def test_cross_attention_reads_the_other_modality():
    fusion = CrossAttention({"x": 2, "y": 2}, 2, heads=1)
    for linear in fusion.project:
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    block = fusion.block
    set_to(block.mlp, 0.0)
    set_to(block.attention, 0.0)
    nn.init.eye_(block.attention.out.weight)
    nn.init.eye_(block.attention.key_value.weight[2:])
    # One key each: weight 1, so x reads the normalised y, [1, -1], and y the normalised x, [-1, 1].
    torch.testing.assert_close(fusion(pair()), torch.tensor([[2.0, 0.5]]), atol=1e-4, rtol=0)


def test_bottleneck_passes_on_what_two_blocks_see():
    torch.manual_seed(0)
    fusion = Bottleneck(PAIR, 4, heads=2, bottlenecks=3, depth=1)
    tokens = [linear(c.tokens) for linear, c in zip(fusion.project, pair().values(), strict=True)]
    views = [
        block(torch.cat([t, fusion.shared[None]], 1), torch.ones(1, 4) > 0)[:, 1:]
        for block, t in zip(fusion.layers[0], tokens, strict=True)
    ]
    torch.testing.assert_close(fusion(pair()), torch.stack(views).mean(0).mean(1))
    assert isinstance(fusion.layers[0][0], TransformerBlock)


def numbered(dims: dict[str, int], tokens: int = 3, batch: int = 4) -> dict[str, Encoded]:
    """Random tokens, float64, all real."""
    real = torch.ones(batch, tokens) > 0
    return {
        n: Encoded(torch.randn(batch, tokens, d).double(), real.clone()) for n, d in dims.items()
    }


def test_a_single_stream_is_torchs_encoder_over_the_whole_sequence():
    torch.manual_seed(0)
    fusion = SingleStream({"x": 2, "y": 3}, 8, heads=2, depth=2).eval().double()
    codes = numbered(fusion.dims)
    codes["y"].mask[1, 2] = False
    sequence = [fusion.class_token.expand(4, 1, 8)]
    for linear, segment, code in zip(fusion.project, fusion.segments, codes.values(), strict=True):
        sequence.append(linear(code.tokens) + segment)
    layer = nn.TransformerEncoderLayer(
        8, 2, 32, 0.0, "gelu", batch_first=True, norm_first=True, dtype=torch.float64
    )
    norm = nn.LayerNorm(8, dtype=torch.float64)
    theirs = nn.TransformerEncoder(layer, 2, norm, enable_nested_tensor=False)
    for ours, other in zip(fusion.encoder.blocks, theirs.layers, strict=True):
        attention = other.self_attn
        attention.in_proj_weight.data = ours.attention.qkv.weight.data
        attention.in_proj_bias.data = ours.attention.qkv.bias.data
        attention.out_proj.load_state_dict(ours.attention.out.state_dict())
        other.linear1.load_state_dict(ours.mlp[0].state_dict())
        other.linear2.load_state_dict(ours.mlp[2].state_dict())
    padding = torch.zeros(4, 7) > 0
    padding[1, 6] = True
    expected = theirs(torch.cat(sequence, dim=1), src_key_padding_mask=padding)[:, 0]
    torch.testing.assert_close(fusion(codes), expected)
    made, mask = fusion.sequence(codes)
    torch.testing.assert_close(made, torch.cat(sequence, dim=1))
    assert torch.equal(mask, ~padding)


def test_a_single_stream_knows_modalities_by_their_segments_alone():
    torch.manual_seed(0)
    fusion = SingleStream(PAIR, 8).double()
    fusion.project[1].load_state_dict(fusion.project[0].state_dict())
    codes = numbered(PAIR)
    swapped = {"x": codes["y"], "y": codes["x"]}
    assert not torch.allclose(fusion(swapped), fusion(codes), atol=1e-4)
    fusion.segments.data[1] = fusion.segments.data[0]
    torch.testing.assert_close(fusion(swapped), fusion(codes))
    mixed = Encoded(codes["x"].tokens.flip(1), codes["x"].mask)
    torch.testing.assert_close(fusion(codes | {"x": mixed}), fusion(codes))


def test_only_the_second_block_of_a_single_stream_weighs_tokens_by_what_others_are():
    torch.manual_seed(0)
    fusion = SingleStream({"x": 3, "y": 3}, 8, depth=2).double()
    codes = numbered(fusion.dims)
    changed = codes | {"y": numbered(fusion.dims)["y"]}
    ratios = []
    for given in (codes, changed):
        seen = fusion.encoder.attention(*fusion.sequence(given))  # two of [B, heads, 7, 7]
        ratios.append([weights[:, :, 0, 1] / weights[:, :, 0, 2] for weights in seen])
    (first, second), (first_changed, second_changed) = ratios
    torch.testing.assert_close(first_changed, first)
    assert not torch.allclose(second_changed, second, atol=1e-3)


def graph(names: str, edges: list[str] | None, rounds: int = 1) -> InteractionGraph:
    joined = None if edges is None else [tuple(edge) for edge in edges]
    return InteractionGraph(dict.fromkeys(names, 2), 8, joined, rounds).double()


def test_a_node_hears_the_mean_of_its_present_neighbours():
    fusion = graph("abc", ["ab", "bc"])
    for linear in fusion.project.maps:
        nn.init.eye_(linear.weight)
        nn.init.zeros_(linear.bias)
    for linear in (fusion.message, fusion.update):
        set_to(linear, 0.0)
    nn.init.eye_(fusion.message.weight)
    with torch.no_grad():
        fusion.update.weight[:, 8:] = torch.eye(8)  # the message itself
    codes = numbered(fusion.dims, tokens=1, batch=1)
    nodes = {n: nn.functional.pad(c.tokens[0, 0], (0, 6)) for n, c in codes.items()}
    a, b, c = (nn.functional.layer_norm(x, (8,)) for x in nodes.values())
    heard = {"a": b, "b": (a + c) / 2, "c": b}
    expected = torch.stack([nodes[n] + heard[n].relu() for n in "abc"]).mean(0)
    torch.testing.assert_close(fusion(codes)[0], expected)
    without_c = torch.stack([nodes["a"] + b.relu(), nodes["b"] + a.relu()]).mean(0)
    torch.testing.assert_close(fusion(codes, torch.tensor([[1, 1, 0]]))[0], without_c)


@pytest.mark.parametrize("edges", [None, ["ab"], ["ab", "bc"], []])
def test_a_graph_is_attention_with_equal_scores_and_a_mask(edges):
    fusion = graph("abc", edges)
    present = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 0, 0]]) > 0
    keep = torch.tensor(fusion.adjacency) & present[:, None]
    scores = torch.zeros(3, 3, 1)
    torch.testing.assert_close(fusion.weights(present), attention_weights(scores, scores, keep))


@pytest.mark.parametrize(
    ("edges", "rounds", "meet"),
    [
        ([], 1, set()),
        (["ab"], 3, {"ab"}),
        (["ab", "bc", "cd"], 1, {"ab", "bc", "cd", "ac", "bd"}),  # a and c meet in b
        (["ab", "bc", "cd"], 2, {"ab", "bc", "cd", "ac", "bd", "ad"}),
        (None, 1, {"ab", "ac", "ad", "bc", "bd", "cd"}),
    ],
)
def test_modalities_interact_where_a_path_joins_them(edges, rounds, meet):
    torch.manual_seed(0)
    fusion = graph("abcd", edges, rounds)
    codes, other = numbered(fusion.dims, batch=100), numbered(fusion.dims, batch=100)
    for one, two in combinations("abcd", 2):
        f = lambda *changed: fusion(codes | {n: other[n] for n in changed})  # noqa: E731
        amount = (f() - f(one) - f(two) + f(one, two)).abs().max()
        assert (amount > 1e-6) == (one + two in meet), (one, two, amount)


def test_a_graph_does_not_care_how_its_edges_are_written():
    torch.manual_seed(0)
    codes = numbered(dict.fromkeys("abc", 2))
    fusion, same = graph("abc", ["ab", "bc"]), graph("abc", ["cb", "ab", "ba"])
    same.load_state_dict(fusion.state_dict())
    torch.testing.assert_close(same(codes), fusion(codes), rtol=0, atol=0)


def interaction(fusion, scores=lambda z: z) -> float:
    """f(x, y) - f(x', y) - f(x, y') + f(x', y'): zero for a sum of functions of one modality."""
    x, x2, y, y2 = torch.randn(4, 2, 3, 3).double().unbind()
    both = torch.ones(2, 3) > 0

    def f(a, b):
        return scores(fusion({"x": Encoded(a, both), "y": Encoded(b, both)}))

    return (f(x, y) - f(x2, y) - f(x, y2) + f(x2, y2)).abs().max().item()


@pytest.mark.parametrize("name", sorted(FUSIONS))
def test_sums_have_no_interaction_and_the_others_have(name):
    torch.manual_seed(0)
    amount = interaction(FUSIONS[name]({"x": 3, "y": 3}, 8).double())
    if name in ("concat", "sum", "mean", "weighted", "late"):
        assert amount < 1e-12
    else:
        assert amount > 1e-3


def test_one_layer_of_bottlenecks_is_a_sum_and_two_are_not():
    torch.manual_seed(0)
    dims = {"x": 3, "y": 3}
    assert interaction(Bottleneck(dims, 8, depth=1).double()) < 1e-12
    assert interaction(Bottleneck(dims, 8, depth=2).double()) > 1e-5


def test_the_sign_of_one_head_of_attention_is_that_of_a_sum():
    torch.manual_seed(0)
    fusion = Attention({"x": 3, "y": 3}, 8, heads=1).double()
    w, b = torch.randn(8).double(), 0.3
    codes = {n: Encoded(torch.randn(9, 1, 3).double(), torch.ones(9, 1) > 0) for n in "xy"}
    h = fusion.project(codes)
    s = fusion.score(fusion.hidden(h).tanh())  # [B, M, 1]
    total = (s.exp() * (h @ w + b).unsqueeze(-1)).sum(dim=(1, 2))
    score = fusion(codes) @ w + b
    torch.testing.assert_close(score * s.exp().sum(dim=(1, 2)), total)
    assert torch.equal(score > 0, total > 0)


def test_late_fusion_averages_what_each_head_says():
    torch.manual_seed(0)
    fusion = Late(PAIR, 3)
    scores = fusion.scores(pair())
    torch.testing.assert_close(fusion(pair()), scores.mean(1))
    torch.testing.assert_close(fusion(pair(), torch.tensor([[False, True]])), scores[:, 1])
    torch.testing.assert_close(scores[0, 0], fusion.heads[0](torch.tensor(X)))
