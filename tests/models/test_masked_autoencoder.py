"""The masked autoencoder, step by step by hand, and what it must not see."""

import pytest
import torch

from mmtutor.encoders import VisionTransformer
from mmtutor.encoders.vision_transformer import patches
from mmtutor.evaluation.efficiency import flops
from mmtutor.losses.self_supervised import hidden_patches
from mmtutor.models.masked_autoencoder import MaskedAutoencoder, join_patches


def small(ratio=0.75):
    torch.manual_seed(0)
    return MaskedAutoencoder(VisionTransformer(16, 8, 2, 2, 4), ratio, dim=8, heads=2).eval()


def test_masking_decoder_and_loss_are_those_done_by_hand_for_each_picture():
    model, image = small(), torch.rand(3, 3, 8, 8)
    order = torch.stack([torch.randperm(16) for _ in range(3)])
    output = model({"image": image, "order": order})
    errors = []
    for b in range(3):
        seen, hidden = order[b, :4], order[b, 4:]
        squares = patches(image[b : b + 1], 2)[0]  # [N, 3, 2, 2]
        rows = []
        for place in seen.tolist():
            weight = model.encoder.embedding.weight.flatten(1)
            vector = weight @ (2 * squares[place] - 1).flatten() + model.encoder.embedding.bias
            rows.append(vector + model.encoder.position[place])
        alone = torch.ones(1, 4, dtype=torch.bool)
        known = model.enter(model.encoder.transformer(torch.stack(rows)[None], alone))[0]
        canvas = []
        for place in range(16):
            where = (seen == place).nonzero()
            vector = known[where[0, 0]] if len(where) else model.hole
            canvas.append(vector + model.position[place])
        drawn = model.draw(model.decoder(torch.stack(canvas)[None], torch.ones(1, 16).bool()))[0]
        torch.testing.assert_close(output.drawn[b], drawn)
        assert output.hidden[b].nonzero().flatten().tolist() == sorted(hidden.tolist())
        errors += [(drawn[n] - squares[n].flatten()).square().mean() for n in hidden]
    torch.testing.assert_close(hidden_patches(output), torch.stack(errors).mean())


def test_what_is_hidden_changes_nothing_that_is_drawn():
    model, image = small(), torch.rand(2, 3, 8, 8)
    order = torch.arange(16).expand(2, 16)
    first = model({"image": image, "order": order})
    hidden = first.hidden.reshape(2, 1, 4, 4).repeat_interleave(2, 2).repeat_interleave(2, 3)
    other = model({"image": torch.where(hidden, torch.rand_like(image), image), "order": order})
    torch.testing.assert_close(other.drawn, first.drawn)
    seen = model({"image": torch.where(hidden, image, 1 - image), "order": order})
    assert not torch.allclose(seen.drawn, first.drawn, atol=1e-3)


def test_visible_patches_alone_are_encoded():
    """Counted, not timed: hiding three quarters saves three quarters of the encoder's work."""
    image = {"image": torch.rand(8, 3, 8, 8)}
    model, all_seen = small(), small(0.0)
    whole, most = flops(lambda: all_seen(image)), flops(lambda: model(image))
    canvas, real = torch.rand(8, 16, 8), torch.ones(8, 16).bool()
    decoder = flops(lambda: model.decoder(canvas, real))
    assert (most - decoder) < 0.4 * (whole - decoder)


@pytest.mark.parametrize(("ratio", "visible"), [(0.0, 16), (0.5, 8), (0.75, 4), (0.99, 1)])
def test_as_many_are_hidden_as_the_ratio_says_and_each_equally_often(ratio, visible):
    hidden = small(ratio)({"image": torch.rand(400, 3, 8, 8)}).hidden
    assert (hidden.sum(dim=1) == 16 - visible).all()
    assert (hidden.double().mean(dim=0) - (1 - visible / 16)).abs().max() < 0.12


def test_joined_patches_are_the_picture():
    image = torch.rand(2, 3, 12, 12)
    torch.testing.assert_close(join_patches(patches(image, 4).flatten(2)), image)
    for shape in ((2, 3, 48), (2, 4, 10)):
        with pytest.raises(ValueError, match="squares must be"):
            join_patches(torch.rand(shape))


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="ratio"):
        small(1.0)
    with pytest.raises(KeyError, match="image"):
        small()({})
    with pytest.raises(ValueError, match="order"):
        small()({"image": torch.rand(2, 3, 8, 8), "order": torch.zeros(2, 3, dtype=torch.int64)})
