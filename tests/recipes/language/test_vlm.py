"""The recipe of a vision-language model, at a size of seconds."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data import collate
from mmtutor.evaluation.efficiency import parameters
from mmtutor.losses import next_token
from mmtutor.models.generative.gpt import GPTOutput
from mmtutor.models.grid_detector import GridDetector
from mmtutor.recipes.common.controls import shuffle_column
from mmtutor.recipes.common.stored import load_stored, load_weights
from mmtutor.recipes.language import vlm
from mmtutor.recipes.language.vlm import BLOCKS, Config

TINY = Config.preset("tiny")


@pytest.mark.parametrize("way", ["two-layer", "stream"])
def test_a_run_answers_every_type_with_and_without_its_pictures(way):
    config = replace(TINY, way=way, train=128, test=90, types=("exist", "query", "count"), lr=1e-3)
    config = replace(config, pictures=64)
    result = vlm.run(config, progress=False)
    for name in ("by_type", "permuted", "prior"):
        assert result.metrics[name].keys() == {"exist", "query", "count"}
    assert result.metrics["vectors"] == {"two-layer": 9, "stream": 36}[way]
    assert result.history.epochs[-1]["loss"] < result.history.epochs[0]["loss"] < 6


def test_colours_are_seen_within_seconds_and_not_in_permuted_pictures():
    """Two answers, one picture each: whoever looks knows."""
    config = replace(TINY, train=256, types=("exist",), dim=32, lr=5e-3, epochs=12)
    asked = vlm.questions(config, "train")
    words = vlm.tokenizer(asked)
    image = torch.zeros(256, 3, 48, 48, dtype=torch.uint8)
    image[torch.tensor([said == "yes" for said in asked.column("answer")])] = 255
    asked = asked.with_column("image", image)
    model = vlm.build(config, words)
    vlm.train(config, model, vlm.objective(config), vlm.data(asked, words))
    assert vlm.answer(model, asked, words).correct.double().mean() > 0.95
    blind = vlm.answer(model, asked.with_column("image", image.flip(0)), words).correct
    assert blind.double().mean() < 0.7


def test_the_ways_have_about_as_many_parameters():
    config = Config.preset("stored")
    words = vlm.tokenizer(vlm.questions(replace(config, train=300), "train"))
    models = [vlm.build(replace(config, way=way), words) for way in BLOCKS]
    sizes = [parameters(model) for model in models]
    assert max(sizes) < 1.17 * min(sizes), "of patches, which no CNN has seen"
    beside = [
        size - parameters(model.image_encoder) for size, model in zip(sizes, models, strict=True)
    ]
    assert max(beside) < 1.04 * min(beside)


def test_the_answer_alone_is_judged():
    config = replace(TINY, train=20)
    asked = vlm.questions(config, "train")
    words = vlm.tokenizer(asked)
    batch = collate([*vlm.data(asked, words)])
    assert batch["tokens_mask"].sum(1).unique().numel() > 1, "texts of several lengths"
    ids = [words.encode(said) for said in asked.column("answer")]
    lengths = batch["tokens_mask"].sum(1)
    found = batch["tokens"][torch.arange(20), lengths - 1]
    assert found.tolist() == [one for [one] in ids]
    assert (batch["tokens"][:, 0] == words.size).all()
    logits = torch.zeros(*batch["tokens"].shape, words.size + 1)
    logits[torch.arange(20), lengths - 2, found] = 50.0  # the last word foresees the answer
    assert vlm.objective(config)(GPTOutput(logits), batch) < 1e-6
    assert next_token(GPTOutput(logits), batch) > 1
    without = collate([*vlm.data(asked, words, answers=False)])
    assert (without["tokens_mask"].sum(1) == lengths - 1).all()


def test_a_cnn_that_has_learned_to_see_is_frozen():
    config = replace(TINY, train=20, dim=16, pictures=64)
    words = vlm.tokenizer(asked := vlm.questions(config, "train"))
    eyes = vlm.detector(config)
    model = vlm.build(config, words, eyes)
    batch = collate([*vlm.data(asked, words)])
    output = model(batch)
    vlm.objective(config)(output, batch).backward()
    learned = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert "project.0.weight" in learned
    assert not any(name.startswith("image_encoder") for name in learned)
    batch["image"] = eyes.tokens(asked.column("image"))  # seen once, beforehand
    model.eval()
    torch.testing.assert_close(model(batch).logits, output.logits)
    assert vlm.detector(replace(config, pictures=0)) is None
    assert vlm.detector(replace(config, way="stream")) is None


def test_the_first_weights_keep_the_size_of_a_vector():
    config = replace(TINY, dim=96)
    words = vlm.tokenizer(vlm.questions(replace(config, train=20), "train"))
    for gain in (1.0, 0.2):
        matrix = vlm.build(replace(config, gain=gain), words).gpt.blocks[0].attention.qkv.weight
        lengths = (torch.randn(500, 96) @ matrix.T).std()
        assert lengths.item() == pytest.approx(gain, rel=0.1)


def test_who_does_not_look_says_what_was_most_often_true():
    learned = vlm.questions(replace(TINY, train=5_000), "train")
    often = [("yes" if "red" in q else "no") for q in learned.column("question")]
    learned = learned.with_column("answer", often)
    asked = vlm.questions(replace(TINY, test=200), "test")
    said = vlm.prior(learned, asked)
    assert said.said == ["yes" if "red" in q else "no" for q in asked.column("question")]
    true = zip(said.said, asked.column("answer"), strict=True)
    assert said.correct.tolist() == [one == other for one, other in true]
    one = learned.subset([0])
    assert set(vlm.prior(one, asked).said) == {often[0]}, "of a question never asked, its form"


def test_the_stored_model_answers_by_what_it_sees():
    config = Config(**load_stored("vlm")[0]["config"])
    words = vlm.tokenizer(vlm.questions(replace(config, train=5_000), "train"))
    model = vlm.build(config, words, GridDetector(config.dim, config.width))
    model.load_state_dict(load_weights("vlm"))
    asked = vlm.questions(replace(config, test=400, seed=7), "test")
    assert vlm.answer(model, asked, words).correct.double().mean() > 0.93
    blind = shuffle_column(asked, "image", 0)
    assert vlm.answer(model, blind, words).correct.double().mean() < 0.45


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="pairs is 1: expected at least 2 with way 'queries'"):
        Config(way="queries", pairs=1)
    with pytest.raises(ValueError, match="way"):
        Config(way="telepathy")
