"""A hub checkpoint as a dual encoder gives the numbers that `transformers` itself gives."""

import json

import pytest
import torch
from PIL import Image

from mmtutor.data import collate
from mmtutor.data.hub.flickr30k import read_picture
from mmtutor.data.hub.preprocess import HubUnreachableError
from mmtutor.models.dual_encoder import DualEncoderOutput
from mmtutor.models.hub import checkpoint
from mmtutor.models.hub.dual_encoder import HubDualEncoder, load_clip
from tests.hub_standins import picture, save_bert, save_clip, save_siglip

CAPTIONS = ["a red square on the left", "left: green", "one blue thing"]
LONG = (
    "someone painted a yellow patch near the top edge, and nothing else at all, and so on for ever"
)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def siglip(tmp_path_factory):
    return save_siglip(tmp_path_factory.mktemp("siglip"))


def batch_of(prepare, captions=CAPTIONS):
    pictures = [read_picture(picture(row)) for row in range(len(captions))]
    examples = [
        prepare({"image": image, "caption": caption})
        for image, caption in zip(pictures, captions, strict=True)
    ]
    return collate(examples)


def own_scores(folder, padding):
    """Cosines (3, 3) by the library's own processor and model, straight from pictures and text."""
    import io

    from transformers import AutoModel, AutoProcessor

    processor, model = AutoProcessor.from_pretrained(folder), AutoModel.from_pretrained(folder)
    pictures = [Image.open(io.BytesIO(picture(row))).convert("RGB") for row in range(3)]
    inputs = processor(text=CAPTIONS, images=pictures, return_tensors="pt", padding=padding)
    with torch.no_grad():
        logits = model(**inputs).logits_per_image
        bias = getattr(model, "logit_bias", torch.zeros(1))
        return (logits - bias) / model.logit_scale.exp()


@pytest.mark.parametrize(("kind", "padding"), [("clip", True), ("siglip", "max_length")])
def test_cosines_are_the_library_s_own(kind, padding, request):
    folder = request.getfixturevalue(kind)
    model, prepare = load_clip(folder)
    with torch.no_grad():
        output = model(batch_of(prepare))
    assert isinstance(output, DualEncoderOutput)
    torch.testing.assert_close(
        output.image @ output.text.T, own_scores(folder, padding), atol=1e-5, rtol=0
    )
    ones = torch.ones(3)
    torch.testing.assert_close(output.image.norm(dim=1), ones)
    torch.testing.assert_close(output.text.norm(dim=1), ones)


@pytest.mark.parametrize("kind", ["clip", "siglip"])
def test_text_is_the_same_alone_and_beside_a_longer_one(kind, request):
    model, prepare = load_clip(request.getfixturevalue(kind))
    alone = collate([prepare({"caption": CAPTIONS[1]})])
    beside = collate([prepare({"caption": text}) for text in (CAPTIONS[1], LONG)])
    with torch.no_grad():
        first = model.encode_text(alone)
        torch.testing.assert_close(first[0], model.encode_text(beside)[0], atol=1e-6, rtol=0)


def test_the_mask_hides_the_padding_from_a_text_tower_that_looks_both_ways():
    """A CLIP reads left to right and never sees it; a ChineseCLIP's BERT would."""
    from transformers import ChineseCLIPConfig, ChineseCLIPModel

    size = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    config = ChineseCLIPConfig(
        text_config=size | {"vocab_size": 30},
        vision_config=size | {"image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    model = HubDualEncoder(ChineseCLIPModel(config), [0.5] * 3, [0.5] * 3).eval()
    alone = collate([{"tokens": torch.tensor([5, 6, 7])}])
    beside = collate([{"tokens": torch.tensor([5, 6, 7])}, {"tokens": torch.arange(9)}])
    unmasked = beside | {"tokens_mask": torch.ones(2, 9, dtype=torch.bool)}
    with torch.no_grad():
        first = model.encode_text(alone)[0]
        torch.testing.assert_close(first, model.encode_text(beside)[0], atol=1e-6, rtol=0)
        assert (first - model.encode_text(unmasked)[0]).abs().max() > 1e-4


def test_what_stands_in_the_padding_of_a_clip_does_not_matter(clip):
    model, prepare = load_clip(clip)
    batch = collate([prepare({"caption": text}) for text in (CAPTIONS[1], LONG)])
    assert not batch["tokens_mask"].all()
    other = batch | {"tokens": batch["tokens"].masked_fill(~batch["tokens_mask"], 7)}
    with torch.no_grad():
        torch.testing.assert_close(model.encode_text(batch), model.encode_text(other))


def test_siglip_gets_the_padding_it_was_trained_on(siglip):
    _, prepare = load_clip(siglip)
    tokens = prepare({"caption": "one blue thing"})["tokens"]
    assert tokens.tolist()[3:] == [1] * 13  # </s> up to the full length


def test_long_captions_are_cut_and_keep_their_end_token(clip):
    _, prepare = load_clip(clip)
    tokens = prepare({"caption": " ".join([LONG] * 3)})["tokens"]
    assert len(tokens) == 16
    assert tokens[-1] == prepare.processor.tokenizer.eos_token_id


def test_the_name_of_a_special_token_in_a_caption_is_text(siglip):
    _, prepare = load_clip(siglip)
    tokenizer = prepare.processor.tokenizer
    tokens = prepare({"caption": "one </s> thing"})["tokens"].tolist()
    plain = prepare({"caption": "one thing"})["tokens"].tolist()
    assert tokens.index(tokenizer.eos_token_id) > plain.index(tokenizer.eos_token_id)


@pytest.mark.parametrize(
    ("example", "message"),
    [
        ({"caption": None}, "caption must be a string, got None"),
        ({"caption": ["a dog"]}, "caption must be a string"),
        ({"image": torch.rand(3, 8, 8)}, "image must be uint8, with values from 0 to 255, got flo"),
        ({"image": torch.zeros(8, 8, 3, dtype=torch.uint8)}, r"image must be \(3, H, W\)"),
    ],
)
def test_what_cannot_be_prepared_is_named(clip, example, message):
    _, prepare = load_clip(clip)
    with pytest.raises((TypeError, ValueError), match=message):
        prepare(example)


def test_only_what_an_example_has_is_prepared(clip):
    _, prepare = load_clip(clip)
    ready = prepare({"image": read_picture(picture(0)), "group": 4})
    assert ready["image"].dtype == torch.uint8
    assert ready["image"].shape == (3, 32, 32)
    assert set(ready) == {"image", "group"}


def test_half_precision_weights_give_float32_embeddings_close_by(clip):
    full, prepare = load_clip(clip)
    half, _ = load_clip(clip, dtype=torch.bfloat16)
    batch = batch_of(prepare)
    with torch.no_grad():
        expected, found = full(batch), half(batch)
    assert half.model.dtype == torch.bfloat16
    assert half.mean.dtype == torch.float32
    for side in (0, 1):
        assert found[side].dtype == torch.float32
        assert (found[side] * expected[side]).sum(1).min() > 0.999


def test_a_version_that_returns_bare_tensors_gives_the_same(clip, monkeypatch):
    model, prepare = load_clip(clip)
    batch = batch_of(prepare)
    with torch.no_grad():
        expected = model.encode_image(batch)
        wrapped = model.model.get_image_features
        bare = lambda **inputs: wrapped(**inputs).pooler_output  # noqa: E731
        monkeypatch.setattr(model.model, "get_image_features", bare)
        torch.testing.assert_close(model.encode_image(batch), expected)


def test_the_checkpoint_s_scale_is_known_but_not_trained(clip, siglip):
    model, _ = load_clip(clip)
    assert model.logit_scale == pytest.approx(1 / 0.07, rel=1e-3)
    assert model.logit_bias is None
    assert load_clip(siglip)[0].logit_bias == 0.0
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert "model.logit_scale" not in trained
    assert "model.visual_projection.weight" in trained


def test_a_missing_modality_is_named(clip):
    model, prepare = load_clip(clip)
    batch = batch_of(prepare)
    with pytest.raises(KeyError, match="lacks image"):
        model.encode_image({"tokens": batch["tokens"]})
    with pytest.raises(KeyError, match="lacks tokens"):
        model.encode_text({"image": batch["image"]})


def test_a_model_that_is_no_dual_encoder_is_refused_before_its_weights_are_read(tmp_path):
    folder = save_bert(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(TypeError, match="is a bert model, not a dual encoder"):
        load_clip(folder)


def test_pickled_weights_are_not_read(tmp_path):
    folder = save_clip(tmp_path)
    weights = folder / "model.safetensors"
    weights.unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_clip(folder)


def test_code_that_comes_with_a_model_does_not_run(tmp_path):
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\n"
    (tmp_path / "own_code.py").write_text(code + "class Config: pass\nclass Model: pass\n")
    auto_map = {"AutoConfig": "own_code.Config", "AutoModel": "own_code.Model"}
    config = {"model_type": "own", "auto_map": auto_map}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_clip(tmp_path)
    assert not marker.exists()


def test_without_a_network_the_error_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint, "hub_reachable", lambda: False)
    with pytest.raises(HubUnreachableError) as caught:
        load_clip("nobody/no-such-clip")
    expected = (
        "nobody/no-such-clip could not be reached; pass a local folder, or try again with a network"
    )
    assert str(caught.value) == expected


def test_a_wrong_path_is_not_taken_for_a_hub_id():
    with pytest.raises(FileNotFoundError, match="neither a local folder nor a hub id"):
        load_clip("./no/such/clip")
