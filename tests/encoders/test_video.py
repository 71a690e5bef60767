"""Video encoders: convolution as the library's, order seen or not seen, padding without effect."""

import pytest
import torch
import torch.nn.functional as F

from mmtutor.encoders import encode
from mmtutor.encoders.video import (
    SpaceTimeBlock,
    VideoCNN,
    VideoTransformer,
    conv3d,
    factorised_kernel,
    multiply_adds,
    per_frame,
)

KINDS = ("2d", "3d", "2+1d")
ENCODERS = {
    **{kind: lambda kind=kind: VideoCNN(16, 4, kind) for kind in KINDS},
    "transformer": lambda: VideoTransformer(16, 4, depth=1, heads=2),
}


def built(name: str):
    """An encoder whose normalisations have seen some clips, in evaluation mode."""
    torch.manual_seed(0)
    encoder = ENCODERS[name]()
    encoder(torch.rand(8, 3, 3, 16, 16))
    return encoder.eval()


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding"),
    [
        ((2, 3, 8, 9, 7), (3, 3, 3), (1, 1, 1), (1, 1, 1)),
        ((1, 2, 5, 6, 11), (2, 3, 1), (2, 1, 3), (0, 2, 0)),
        ((3, 1, 7, 5, 5), (5, 2, 4), (3, 2, 1), (2, 1, 1)),
        ((2, 4, 1, 4, 4), (1, 4, 4), (1, 4, 4), (0, 0, 0)),
        ((1, 2, 2, 4, 4), (4, 3, 3), (1, 1, 1), (1, 1, 1)),
    ],
)
@pytest.mark.parametrize("with_bias", [True, False])
def test_conv3d_equals_the_library_with_its_gradients(shape, kernel, stride, padding, with_bias):
    torch.manual_seed(0)
    x = torch.randn(shape, requires_grad=True)
    weight = torch.randn(6, shape[1], *kernel).mul_(0.2).requires_grad_()
    bias = torch.randn(6, requires_grad=True) if with_bias else None
    inputs = [x, weight, *([bias] if with_bias else [])]
    ours = conv3d(x, weight, bias, stride, padding)
    theirs = F.conv3d(x, weight, bias, stride, padding)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    signal = torch.randn_like(theirs)
    for one, other in zip(
        torch.autograd.grad(ours, inputs, signal),
        torch.autograd.grad(theirs, inputs, signal),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=5e-5)


def test_a_kernel_longer_than_the_clip_is_named():
    with pytest.raises(ValueError, match="x has 2 padded frames, fewer than a kernel of 3"):
        conv3d(torch.zeros(1, 1, 2, 4, 4), torch.zeros(1, 1, 3, 1, 1))


def test_space_then_time_is_one_separable_kernel():
    torch.manual_seed(0)
    x, space, time = torch.randn(2, 3, 6, 7, 7), torch.randn(5, 3, 3, 3), torch.randn(4, 5, 3)
    two = F.conv3d(F.conv3d(x, space.unsqueeze(2)), time[..., None, None])
    torch.testing.assert_close(
        two, F.conv3d(x, factorised_kernel(space, time)), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_changes_nothing(name):
    encoder = built(name)
    clips = [torch.rand(frames, 3, 16, 16) for frames in (5, 2, 1)]
    padded = torch.rand(3, 7, 3, 16, 16)  # rubbish where there is no clip
    mask = torch.arange(7) < torch.tensor([[5], [2], [1]])
    for row, clip in enumerate(clips):
        padded[row, : len(clip)] = clip
    together = encoder(padded, mask)
    assert torch.equal(together.mask, mask)
    for row, clip in enumerate(clips):
        alone = encoder(clip[None])
        torch.testing.assert_close(together.tokens[row, : len(clip)], alone.tokens[0])
        torch.testing.assert_close(together.pooled()[row], alone.pooled()[0])


@pytest.mark.parametrize("name", ENCODERS)
def test_padding_changes_nothing_in_training(name):
    """Batch normalisation counts real frames only, and no gradient comes from padding."""
    gradients = []
    for extra in (0, 3):
        torch.manual_seed(0)
        encoder = ENCODERS[name]().train()
        clips = torch.rand(4, 5, 3, 16, 16, generator=torch.Generator().manual_seed(1))
        clips = torch.cat([clips, torch.full((4, extra, 3, 16, 16), 9.0)], dim=1)
        mask = (torch.arange(5 + extra) < 5).expand(4, -1)
        encoder(clips, mask).pooled().square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert one.abs().sum() > 0
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ENCODERS)
def test_a_clip_of_padding_alone_is_finite(name):
    mask = torch.tensor([[True, True], [False, False]])
    encoded = built(name)(torch.rand(2, 2, 3, 16, 16), mask)
    assert encoded.tokens.isfinite().all()
    assert encoded.pooled()[1].eq(0).all()


@pytest.mark.parametrize("name", ENCODERS)
def test_order_is_seen_by_what_looks_along_time_and_by_nothing_else(name):
    encoder, clips = built(name), torch.rand(3, 6, 3, 16, 16)
    forwards, backwards = encoder(clips).pooled(), encoder(clips.flip(1)).pooled()
    assert torch.allclose(forwards, backwards, atol=1e-5) == (name == "2d")


def test_the_transformer_is_blind_to_order_without_positions():
    torch.manual_seed(0)
    encoder = VideoTransformer(16, 4, positions=False).eval()
    clips, order = torch.rand(2, 6, 3, 16, 16), torch.randperm(6)
    torch.testing.assert_close(encoder(clips).pooled(), encoder(clips[:, order]).pooled())


def test_a_token_knows_two_frames_on_each_side():
    encoder, clip = built("3d"), torch.rand(1, 9, 3, 16, 16)
    changed = clip.clone()
    changed[:, 4] = 0
    differs = (encoder(clip).tokens != encoder(changed).tokens).any(dim=2)[0]
    assert differs.tolist() == [False] * 2 + [True] * 5 + [False] * 2


def test_per_frame_hands_over_real_frames_only():
    x, mask = torch.arange(6.0).view(2, 3, 1), torch.tensor([[True, True, False], [True] * 3])
    seen = []
    out = per_frame(lambda frames: seen.append(frames) or frames + 1, x, mask)
    assert seen[0].flatten().tolist() == [0, 1, 3, 4, 5]
    assert out.squeeze(-1).tolist() == [[1, 2, 0], [4, 5, 6]]


def test_an_unknown_kind_and_a_missing_modality_are_named():
    with pytest.raises(ValueError, match=r"kind must be '2d', '3d' or '2\+1d', got '4d'"):
        SpaceTimeBlock(1, 1, "4d")
    with pytest.raises(KeyError, match="lacks video; it has image"):
        encode(VideoCNN(8, 2), {"image": torch.rand(1, 3, 16, 16)})


def test_multiply_adds_are_what_the_library_counts():
    from torch.utils.flop_counter import FlopCounterMode

    layer = torch.nn.Conv3d(3, 5, (3, 2, 4), padding=(1, 0, 0))
    with FlopCounterMode(display=False) as counter:
        out = layer(torch.rand(2, 3, 6, 8, 8))
    positions = out[:, 0].numel()
    assert 2 * multiply_adds(3, 5, (3, 2, 4), positions) == counter.get_total_flops()
