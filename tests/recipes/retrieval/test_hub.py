"""The hub recipe from table to numbers, on stand-ins that lie in a local folder."""

import json
from dataclasses import replace

import pytest
import torch

from mmtutor.data import Dataset, loader
from mmtutor.data.hub.flickr30k import load_flickr30k, one_row_per_caption
from mmtutor.data.hub.preprocess import HubUnreachableError
from mmtutor.models.hub import checkpoint
from mmtutor.models.hub.dual_encoder import load_clip
from mmtutor.recipes.common.result import plain
from mmtutor.recipes.retrieval import hub as retrieval_hub
from mmtutor.recipes.retrieval.hub import Config, _evaluate, _objective_of, run
from tests.hub_standins import flickr_rows, save_clip, save_flickr30k, save_siglip

pytestmark = pytest.mark.usefixtures("own_datasets_cache")

COUNTS = {"train": 24, "val": 6, "test": 12}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    data = save_flickr30k(folder / "flickr", flickr_rows(COUNTS))
    model = save_clip(folder / "clip")
    return replace(Config.preset("tiny"), model=str(model), data=str(data))


@pytest.fixture(scope="module")
def result(tiny):
    return run(tiny, progress=False)


def test_the_whole_recipe_counts_every_image_and_caption(result):
    for stage in ("zero_shot", "fine_tuned"):
        metrics = result.metrics[stage]
        assert (metrics["images"], metrics["captions"]) == (12, 60)
        for direction in ("image_to_text", "text_to_image"):
            recall = metrics[direction]["recall_at_5"]
            assert 0 <= recall["low"] <= recall["estimate"] <= recall["high"] <= 1
            assert 0 <= metrics[direction]["shuffled"]["recall_at_1"] <= 1
        assert metrics["text_to_image"]["chance"]["recall_at_1"] == pytest.approx(1 / 12)
    json.dumps(plain(result.metrics), allow_nan=False)


def test_fine_tuning_validates_after_every_epoch_and_leaves_the_model_ready(tiny, result):
    assert len(result.history.epochs) == tiny.epochs
    assert "text_to_image_recall_at_1" in result.history.epochs[0]
    assert not result.model.training
    assert result.config == tiny


@pytest.mark.parametrize("save", [save_clip, save_siglip])
def test_in_chunks_fine_tuning_learns_the_same(tiny, tmp_path, save):
    """Steps so small that rounding does not grow; a control with smaller batches."""
    config = replace(tiny, model=str(save(tmp_path / "model")), lr=1e-5)
    plain, chunked = run(config, progress=False), run(replace(config, chunk=3), progress=False)
    assert chunked.history.loss == pytest.approx(plain.history.loss, rel=1e-5)
    assert type(chunked.model) is type(plain.model)
    before = load_clip(config.model)[0].state_dict()
    for name, expected in plain.model.state_dict().items():
        torch.testing.assert_close(chunked.model.state_dict()[name], expected, rtol=0, atol=2e-5)
    assert any(not torch.equal(x, before[name]) for name, x in plain.model.state_dict().items())
    smaller = run(replace(config, batch_size=3), progress=False)
    assert smaller.history.loss[0] != pytest.approx(plain.history.loss[0], rel=1e-3)


def test_one_epoch_of_fine_tuning_lowers_the_loss_on_its_own_pairs(tiny, result):
    untrained, prepare = load_clip(tiny.model)
    pairs = one_row_per_caption(load_flickr30k(tiny.data, "train")).with_transform(prepare)
    (batch,) = loader(pairs, len(pairs))
    objective = _objective_of(untrained)
    with torch.no_grad():
        before, after = (objective(model(batch), batch) for model in (untrained, result.model))
    assert after < before - 0.1


def test_without_fine_tuning_nothing_is_trained_and_a_siglip_serves_as_well(tiny, tmp_path):
    siglip = save_siglip(tmp_path / "siglip")
    zero_shot = run(replace(tiny, model=str(siglip), fine_tune=False, images=5))
    assert set(zero_shot.metrics) == {"zero_shot"}
    assert zero_shot.metrics["zero_shot"]["images"] == 5
    assert zero_shot.history.loss == []
    fresh, _ = load_clip(siglip)
    for name, weight in fresh.state_dict().items():
        assert torch.equal(weight, zero_shot.model.state_dict()[name])


def test_zero_shot_does_not_depend_on_the_batch_size(tiny):
    model, prepare = load_clip(tiny.model)
    images = load_flickr30k(tiny.data, "test")
    scores = [
        retrieval_hub._similarities(model, prepare, images, replace(tiny, batch_size=size))[0]
        for size in (1, 5, 64)
    ]
    torch.testing.assert_close(scores[0], scores[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(scores[0], scores[2], atol=1e-5, rtol=0)


def test_any_of_an_image_s_captions_is_a_right_answer_and_the_control_is_near_chance(monkeypatch):
    count = 40
    image_group = torch.arange(count)
    text_group = image_group.repeat_interleave(5)
    scores = torch.rand(count, 5 * count, generator=torch.Generator().manual_seed(0))
    scores[image_group, 5 * image_group + 3] = 2.0  # only the fourth caption is found
    monkeypatch.setattr(
        retrieval_hub, "_similarities", lambda *_: (scores, image_group, text_group)
    )
    report = _evaluate(None, None, None, Config())
    assert report["image_to_text"]["recall_at_1"]["estimate"] == 1.0
    # one caption in five finds its image for sure, and the others only by chance
    assert 0.2 <= report["text_to_image"]["recall_at_1"]["estimate"] < 0.35
    assert report["image_to_text"]["chance"]["recall_at_1"] == pytest.approx(1 / count)
    assert report["image_to_text"]["shuffled"]["recall_at_1"] <= 3 / count


def test_the_objective_starts_where_the_checkpoint_ended(tiny, tmp_path):
    clip, _ = load_clip(tiny.model)
    assert _objective_of(clip).kind == "info_nce"
    assert _objective_of(clip).logit_scale.item() == pytest.approx(clip.logit_scale, rel=1e-5)
    siglip, _ = load_clip(save_siglip(tmp_path))
    torch.nn.init.constant_(siglip.model.logit_bias, -3.5)
    objective = _objective_of(siglip)
    assert objective.kind == "sigmoid"
    assert objective.bias.item() == -3.5
    assert objective.bias.requires_grad


def test_presets():
    assert not Config.preset("cpu").fine_tune
    assert Config.preset("h100").fine_tune
    with pytest.raises(ValueError, match="unknown preset 'huge': expected one of tiny, cpu"):
        Config.preset("huge")


def test_without_a_network_the_recipe_stops_with_one_sentence(monkeypatch, tiny):
    monkeypatch.setattr(checkpoint, "hub_reachable", lambda: False)
    with pytest.raises(
        HubUnreachableError, match=r"^nobody/clip could not be reached; pass a local"
    ):
        run(replace(tiny, model="nobody/clip"))


def test_captions_are_encoded_without_reading_any_picture(tiny, monkeypatch):
    model, prepare = load_clip(tiny.model)
    images = load_flickr30k(tiny.data, "test")
    pictures = []
    read = images.transform
    counted = lambda example: pictures.append(example["name"]) or read(example)  # noqa: E731
    images = Dataset(images.columns, counted)
    retrieval_hub._similarities(model, prepare, images, tiny)
    assert pictures == images.column("name")  # each picture once, for all of its captions
