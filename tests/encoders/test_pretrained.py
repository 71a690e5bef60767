import sys

import pytest
import torch
import torch.nn.functional as F

from mmtutor.data import Dataset, collate, load, loader
from mmtutor.encoders import (
    CellCNN,
    EfficientNetLite0,
    FeatureEncoder,
    FrozenEncoder,
    WordLlama,
    imagenet_categories,
)
from mmtutor.encoders.efficientnet import _SameConv
from mmtutor.losses import cross_entropy
from mmtutor.models import Classifier
from mmtutor.training import fit


@pytest.fixture(scope="module")
def tower():
    return EfficientNetLite0()


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("kernel", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_convolution_pads_as_tensorflow_says(size, kernel, stride):
    """out = ceil(in / stride); of an odd total the larger part goes after, not before."""
    conv = _SameConv(1, 1, kernel, stride, bias=False)
    x = torch.randn(1, 1, size, size)
    out = conv(x)
    assert out.shape[-1] == -(-size // stride)
    total = max((out.shape[-1] - 1) * stride + kernel - size, 0)
    before, after = total // 2, total - total // 2
    padded = F.pad(x, (before, after, before, after))
    torch.testing.assert_close(out, F.conv2d(padded, conv.weight, stride=stride))
    assert before <= after


def test_tower_gives_a_grid_of_features_and_logits(tower):
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        encoded = tower(image)
        logits = tower.logits(image)
        assert encoded.tokens.shape == (1, 4, tower.dim)
        assert encoded.mask.all()
        torch.testing.assert_close(encoded.tokens[:, 1], tower.features(image)[:, :, 0, 1])
        torch.testing.assert_close(logits, tower.classify(encoded.pooled()))
        assert logits.shape == (1, 1000)


@pytest.mark.usefixtures("stamps_cache")
def test_tower_knows_animals_on_real_pictures(tower):
    animals = {
        "marsupials/koala": "koala",
        "mammals/hippopotamus": "hippopotamus",
        "birds/hen": "hen",
        "insects/Brown_slug": "slug",
    }
    stamps = load("stamps", split="all", image_size=224)
    names = [name.removeprefix("animals/") for name in stamps.column("name")]
    batch = collate([stamps[names.index(name)] for name in animals])
    with torch.no_grad():
        best = tower.logits(batch["image"]).argmax(dim=1)
    assert [imagenet_categories()[k] for k in best.tolist()] == list(animals.values())


def test_tower_expects_its_own_normalisation(tower):
    with torch.no_grad():
        grey = torch.full((1, 3, 64, 64), 127 / 255)
        seen, zeros = tower.features(grey), tower.network.features(grey * 0)
        # 127 / 255 is rounded, so the network does not see exact zeros; a mean of 128 is far off.
        torch.testing.assert_close(seen, zeros, rtol=1e-3, atol=1e-4)
        other = tower.features(torch.full((1, 3, 64, 64), 128 / 255))
        assert (other - zeros).abs().max() > 1e-3


def test_frozen_tower_never_changes(tower):
    tower.train()
    before = {name: tensor.clone() for name, tensor in tower.state_dict().items()}
    with torch.no_grad():
        assert not tower.features(torch.rand(2, 3, 32, 32)).requires_grad
    assert not any(p.requires_grad for p in tower.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in tower.state_dict().items())


def test_trainable_tower_sends_gradients_to_all_it_uses():
    tower = EfficientNetLite0(trainable=True).train()
    tower(torch.rand(2, 3, 32, 32)).pooled().sum().backward()
    unused = {name for name, p in tower.named_parameters() if p.grad is None}
    assert unused == {"network.classifier.weight", "network.classifier.bias"}
    assert tower.network.stem.norm.training


def test_feature_encoder_passes_features_on():
    features = torch.rand(3, 4)
    assert torch.equal(FeatureEncoder(4)(features).pooled(), features)
    with pytest.raises(ValueError, match=r"image_features.*\(B, 4\).*\(3, 5\)"):
        FeatureEncoder(4)(torch.rand(3, 5))


def test_wordllama_knows_that_a_cat_is_more_a_kitten_than_a_tractor():
    encoder, tokenizer = WordLlama(), WordLlama.tokenizer()
    cat, kitten, tractor = (
        encoder(torch.tensor([tokenizer.encode(word)])).pooled()[0]
        for word in ("cat", "kitten", "tractor")
    )
    assert cat.shape == (256,)
    assert F.cosine_similarity(cat, kitten, dim=0) > F.cosine_similarity(cat, tractor, dim=0) + 0.2
    assert not encoder.embedding.weight.requires_grad
    assert WordLlama(trainable=True).embedding.weight.requires_grad


def test_wordllama_is_read_without_being_imported():
    WordLlama()
    assert "wordllama" not in sys.modules


@pytest.mark.parametrize("build", [EfficientNetLite0, WordLlama, WordLlama.tokenizer])
def test_missing_weights_say_how_to_get_them(monkeypatch, tmp_path, build):
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"`mmtutor fetch (efficientnet-lite0|wordllama)`"):
        build()


def cell_cnn() -> CellCNN:
    """Untrained, in evaluation mode, with batch statistics that are not those of the start."""
    torch.manual_seed(0)
    encoder = CellCNN(8, width=4)
    encoder(torch.rand(16, 3, 48, 48))
    return encoder.eval()


def test_a_frozen_encoder_does_not_change_while_the_rest_learns():
    model = Classifier(FrozenEncoder(cell_cnn()), classes=2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.randint(256, (32, 3, 48, 48), dtype=torch.uint8)
    data = Dataset({"image": images, "label": torch.arange(32) % 2})
    batches = loader(data, 8)
    fit(model, cross_entropy, batches, epochs=1, lr=0.1, progress=False)
    after = model.state_dict()
    changed = {name for name in before if not after[name].equal(before[name])}
    assert changed
    assert not any(name.startswith("encoder.") for name in changed)
    assert any("num_batches_tracked" in name for name in before)  # batch statistics were looked at


def test_gradients_pass_through_a_frozen_encoder_to_the_pixels():
    frozen = FrozenEncoder(cell_cnn()).train()
    image = torch.rand(2, 3, 48, 48, requires_grad=True)
    tokens = frozen(image).tokens
    (tokens * torch.randn(tokens.shape)).sum().backward()
    assert image.grad.flatten(1).abs().amax(dim=1).min() > 0
    assert all(p.grad is None for p in frozen.parameters())


def test_a_frozen_encoder_passes_on_tokens_that_it_made_before():
    frozen, tokens = FrozenEncoder(cell_cnn()), torch.randn(5, 9, 10)
    passed = frozen(tokens)
    assert passed.tokens is tokens
    assert passed.mask.equal(torch.ones(5, 9) > 0)
