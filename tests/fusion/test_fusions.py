"""What holds for every fusion: one constructor, padding, absence, precision, gradients, errors."""

import pytest
import torch

import mmtutor.fusion
from mmtutor.encoders import Encoded
from mmtutor.fusion import FUSIONS, Fusion, Weighted

DIMS = {"image": 3, "audio": 2, "tokens": 4}
LENGTHS = {"audio": 4, "image": 1, "tokens": 3}
OUT = 8


def encoded(batch: int = 2, seed: int = 0, dtype=torch.float32) -> dict[str, Encoded]:
    generator = torch.Generator().manual_seed(seed)
    return {
        name: Encoded(
            torch.randn(batch, LENGTHS[name], dim, generator=generator).to(dtype),
            torch.ones(batch, LENGTHS[name], dtype=torch.bool),
        )
        for name, dim in DIMS.items()
    }


@pytest.fixture(params=sorted(FUSIONS))
def fusion(request):
    torch.manual_seed(0)
    return FUSIONS[request.param](DIMS, OUT).eval()


def test_the_registry_has_every_fusion_that_the_package_exports():
    kinds = {x for x in vars(mmtutor.fusion).values() if isinstance(x, type)}
    assert set(FUSIONS.values()) == {x for x in kinds if issubclass(x, Fusion)} - {Fusion}


def test_one_constructor_builds_all_and_gives_one_vector(fusion):
    assert fusion(encoded()).shape == (2, OUT)
    assert list(fusion.dims) == sorted(DIMS)
    assert fusion.out_dim == OUT


def test_every_parameter_learns(fusion):
    fusion(encoded(8)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in fusion.parameters())


def test_modalities_may_come_in_any_order(fusion):
    codes = encoded()
    turned = dict(reversed(codes.items()))
    torch.testing.assert_close(fusion(turned), fusion(codes), rtol=0, atol=0)
    torch.manual_seed(0)
    other = type(fusion)(dict(reversed(DIMS.items())), OUT)
    torch.testing.assert_close(other(codes), fusion(codes), rtol=0, atol=0)


def test_a_batch_of_one_is_the_first_of_two(fusion):
    codes = encoded()
    one = {name: Encoded(code.tokens[:1], code.mask[:1]) for name, code in codes.items()}
    torch.testing.assert_close(fusion(one), fusion(codes)[:1], rtol=0, atol=1e-6)


def test_padding_changes_nothing_gradients_included(fusion):
    def outcome(pad: int):
        codes, leaves = {}, []
        for name, (tokens, mask) in encoded().items():
            leaf = tokens.clone().requires_grad_()
            leaves.append(leaf)
            junk = torch.full((len(tokens), pad, tokens.shape[2]), torch.nan)
            codes[name] = Encoded(
                torch.cat([leaf, junk], 1), torch.cat([mask, torch.zeros(len(mask), pad) > 0], 1)
            )
        out = fusion(codes)
        weight = torch.linspace(-1, 1, out.numel()).view_as(out)
        return [out, *torch.autograd.grad((out * weight).sum(), leaves)]

    for padded, plain in zip(outcome(2), outcome(0), strict=True):
        torch.testing.assert_close(padded, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("absent", range(3))
def test_what_is_absent_is_not_looked_at(fusion, absent):
    present = torch.ones(2, 3, dtype=torch.bool)
    present[0, absent] = False
    one, other = encoded(), encoded()
    name = sorted(DIMS)[absent]
    other[name].tokens[0] = torch.nan
    out = fusion(one, present)
    torch.testing.assert_close(fusion(other, present), out, rtol=0, atol=0)
    assert out.isfinite().all()
    torch.testing.assert_close(out[1], fusion(one)[1], rtol=0, atol=1e-6)
    assert not torch.allclose(out[0], fusion(one)[0])


def test_an_empty_mask_says_absent_too(fusion):
    codes, present = encoded(), torch.tensor([[False, True, True]] * 2)
    masked = codes | {"audio": Encoded(codes["audio"].tokens, codes["audio"].mask & False)}
    torch.testing.assert_close(fusion(masked), fusion(codes, present), rtol=0, atol=0)


def test_without_any_modality_it_is_finite_and_so_are_gradients(fusion):
    out = fusion(encoded(), torch.zeros(2, 3, dtype=torch.bool))
    out.sum().backward()
    assert out.isfinite().all()
    assert all(p.grad.isfinite().all() for p in fusion.parameters() if p.grad is not None)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_extreme_inputs_stay_finite(fusion, dtype):
    codes = {
        name: Encoded((1e4 * code.tokens.sign()).to(dtype), code.mask)
        for name, code in encoded().items()
    }
    out = fusion.to(dtype)(codes)
    assert out.dtype == dtype
    assert out.isfinite().all()


def test_gradients_are_those_of_finite_differences(fusion):
    fusion = fusion.double()
    codes = encoded(dtype=torch.float64)
    masks = {name: code.mask for name, code in codes.items()}
    masks["tokens"][0, 2] = False
    present = torch.tensor([[True, True, True], [True, False, True]])

    def forward(*tokens):
        return fusion(
            {n: Encoded(t, masks[n]) for n, t in zip(codes, tokens, strict=True)}, present
        )

    leaves = [code.tokens.requires_grad_() for code in codes.values()]
    assert torch.autograd.gradcheck(forward, leaves, fast_mode=True)


def test_a_missing_modality_is_named(fusion):
    codes = encoded()
    del codes["audio"]
    with pytest.raises(KeyError, match="encoded lacks audio; it has image, tokens"):
        fusion(codes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"video": c["audio"]}, "and no more, got audio, image, tokens, video"),
        (
            lambda c: c | {"image": Encoded(c["image"].tokens[0], c["image"].mask)},
            r"encoded\['image'\] must be",
        ),
        (
            lambda c: c | {"image": Encoded(c["tokens"].tokens, c["tokens"].mask)},
            r"encoded\['image'\] must be",
        ),
        (
            lambda c: c | {"image": Encoded(c["image"].tokens, c["tokens"].mask)},
            r"mask of encoded\['image'\] must be",
        ),
    ],
)
def test_wrong_shapes_are_named(fusion, change, message):
    with pytest.raises(ValueError, match=message):
        fusion(change(encoded()))


def test_present_of_another_shape_is_refused(fusion):
    with pytest.raises(ValueError, match=r"present must be \(2, 3\)"):
        fusion(encoded(), torch.ones(2, 2, dtype=torch.bool))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("attention", {"heads": 3}),
        ("cross_attention", {"heads": 3}),
        ("low_rank_tensor", {"rank": 0}),
        ("convolution", {"kernel": 2}),
        ("single_stream", {"heads": 3}),
        ("single_stream", {"depth": 0}),
        ("graph", {"rounds": 0}),
        ("graph", {"edges": [("audio", "video")]}),
        ("graph", {"edges": [("audio", "audio")]}),
    ],
)
def test_options_that_cannot_be_are_refused(name, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        FUSIONS[name](DIMS, OUT, **options)


def test_sizes_that_cannot_be_are_refused():
    for dims, out_dim in (({}, 4), ({"image": 0}, 4), ({"image": 3}, 0)):
        with pytest.raises(ValueError, match=r"(dims|out_dim).* must be (a whole|not empty)"):
            FUSIONS["concat"](dims, out_dim)
    with pytest.raises(ValueError, match="two modalities"):
        FUSIONS["cross_attention"]({"image": 3}, 4)
    for weights in (
        {"image": 1.0},
        dict.fromkeys(DIMS, 0.0),
        {**dict.fromkeys(DIMS, 1), "image": -1},
    ):
        with pytest.raises(ValueError, match=r"weights(\['image'\])? must be"):
            Weighted(DIMS, OUT, weights=weights)
