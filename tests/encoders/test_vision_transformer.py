import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models import VisionTransformer as TorchvisionTransformer

from mmtutor.data import collate
from mmtutor.encoders import VisionTransformer, encode
from mmtutor.encoders.vision_transformer import patches, rearrange_patches


def twins(**options):
    """Ours and torchvision's of the same weights; torchvision's class token is left out below."""
    torch.manual_seed(0)
    ours = VisionTransformer(12, image_size=12, patch=4, depth=2, heads=3, **options)
    theirs = TorchvisionTransformer(12, 4, 2, 3, 12, 48, norm_layer=nn.LayerNorm)
    theirs.conv_proj.load_state_dict(ours.embedding.state_dict())
    theirs.encoder.pos_embedding = nn.Parameter(ours.position.detach()[None].clone())
    theirs.encoder.ln.load_state_dict(ours.transformer.norm.state_dict())
    for mine, other in zip(ours.transformer.blocks, theirs.encoder.layers, strict=True):
        for one, another in (
            (mine.norm1, other.ln_1),
            (mine.norm2, other.ln_2),
            (mine.attention.out, other.self_attention.out_proj),
            (mine.mlp[0], other.mlp[0]),
            (mine.mlp[2], other.mlp[3]),
        ):
            nn.init.normal_(one.bias, std=0.1)
            another.load_state_dict(one.state_dict())
        other.self_attention.in_proj_weight.data.copy_(mine.attention.qkv.weight)
        other.self_attention.in_proj_bias.data.copy_(mine.attention.qkv.bias)
    return ours, theirs


@pytest.mark.parametrize("batch", [1, 3])
def test_it_equals_torchvision_gradients_included(batch):
    ours, theirs = twins()
    x = torch.rand(batch, 3, 12, 12)
    results = []
    for forward in (
        lambda x: ours(x).pooled(),
        lambda x: theirs.encoder(theirs._process_input(2 * x - 1)).mean(dim=1),
    ):
        y = x.clone().requires_grad_()
        out = forward(y)
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
        results.append((out.detach(), y.grad))
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=0, atol=1e-5)
    for mine, other in (
        (ours.embedding.weight, theirs.conv_proj.weight),
        (ours.position[None], theirs.encoder.pos_embedding),
    ):
        assert (ours.position.grad != 0).any()
        grad = ours.position.grad[None] if mine.ndim == 3 else mine.grad
        torch.testing.assert_close(grad, other.grad, rtol=0, atol=1e-5)


def test_patch_embedding_is_a_linear_layer_on_patches():
    encoder = VisionTransformer(8, image_size=6, patch=3, positions=False)
    x = torch.rand(2, 3, 6, 6)
    flat = patches(2 * x - 1, 3).flatten(2)  # [B, N, 3 * 3 * 3]
    torch.testing.assert_close(flat.mT, F.unfold(2 * x - 1, 3, stride=3))
    weight, bias = encoder.embedding.weight.flatten(1), encoder.embedding.bias
    torch.testing.assert_close(encoder.embed(x), F.linear(flat, weight, bias))


def test_rearranging_moves_whole_patches():
    x = torch.arange(2 * 3 * 4 * 6).view(2, 3, 4, 6)
    order = torch.tensor([3, 0, 5, 1, 2, 4])
    moved = rearrange_patches(x, 2, order)
    assert torch.equal(patches(moved, 2), patches(x, 2)[:, order])
    assert torch.equal(rearrange_patches(moved, 2, order.argsort()), x)
    assert torch.equal(patches(x, 2)[:, 1], x[:, :, 0:2, 2:4])
    with pytest.raises(ValueError, match=r"patch must divide the sides \(4, 6\) of x, got 4"):
        patches(x, 4)


def test_without_positions_the_order_of_patches_changes_nothing():
    torch.manual_seed(0)
    x, order = torch.rand(2, 3, 12, 12), torch.randperm(9)
    moved = rearrange_patches(x, 4, order)
    blind = VisionTransformer(8, image_size=12, patch=4, positions=False).eval()
    seeing = VisionTransformer(8, image_size=12, patch=4).eval()
    with torch.no_grad():
        torch.testing.assert_close(blind(moved).pooled(), blind(x).pooled(), rtol=0, atol=1e-5)
        assert (seeing(moved).pooled() - seeing(x).pooled()).abs().max() > 1e-3
        expected = seeing(x).pooled()
        seeing.position.copy_(seeing.position[order])  # the positions move with their patches
        torch.testing.assert_close(seeing(moved).pooled(), expected, rtol=0, atol=1e-5)


def test_patches_that_are_masked_change_nothing():
    torch.manual_seed(0)
    encoder = VisionTransformer(8, image_size=12, patch=4).eval()
    x = torch.rand(2, 3, 12, 12)
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 5:] = False
    other = x.clone()
    other[1, :, 8:] = 0  # the last row of patches
    with torch.no_grad():
        one = encode(encoder, {"image": x, "image_mask": mask})
        two = encode(encoder, {"image": other, "image_mask": mask})
        whole = encoder(x)
    torch.testing.assert_close(one.tokens, two.tokens, rtol=0, atol=1e-6)
    assert one.tokens[1, 5:].abs().max() == 0
    torch.testing.assert_close(one.tokens[0], whole.tokens[0], rtol=0, atol=1e-6)
    assert torch.equal(one.mask, mask)


def test_a_picture_with_no_patch_left_gives_zeros():
    encoder = VisionTransformer(8, image_size=8, patch=4)
    encoded = encoder(torch.rand(1, 3, 8, 8), torch.zeros(1, 4, dtype=torch.bool))
    assert encoded.pooled().abs().sum() == 0


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="patch must divide image_size = 28, got 5"):
        VisionTransformer(8, image_size=28, patch=5)
    encoder = VisionTransformer(8, image_size=28, patch=7)
    for shape in ((2, 3, 32, 32), (2, 1, 28, 28), (3, 28, 28)):
        with pytest.raises(ValueError, match=r"image must be \(B, 3, 28, 28\)"):
            encoder(torch.rand(shape))
    with pytest.raises(ValueError, match=r"mask must be \(2, 16\), got \(2, 28\)"):
        encoder(torch.rand(2, 3, 28, 28), torch.ones(2, 28, dtype=torch.bool))
    with pytest.raises(KeyError, match="image"):
        encode(encoder, collate([{"tokens": [1, 2]}]))


def test_a_batch_and_its_single_pictures_agree():
    torch.manual_seed(0)
    encoder = VisionTransformer(8, image_size=8, patch=4).eval()
    x = torch.rand(3, 3, 8, 8)
    with torch.no_grad():
        together = encoder(x).tokens
        alone = torch.cat([encoder(one[None]).tokens for one in x])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_every_parameter_gets_a_gradient():
    encoder = VisionTransformer(8, image_size=8, patch=4)
    encoder(torch.rand(2, 3, 8, 8)).tokens[:, 0].square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in encoder.parameters())
