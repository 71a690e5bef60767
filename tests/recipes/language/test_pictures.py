"""The recipe of SmolLM2 that sees, with a tiny Llama in its place and few pictures."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data import Dataset, collate
from mmtutor.data.fetch import located
from mmtutor.encoders.base import Encoded
from mmtutor.losses import next_token
from mmtutor.recipes.common.result import Result, write_result
from mmtutor.recipes.common.stored import store_weights
from mmtutor.recipes.language import pictures, sighted
from mmtutor.recipes.language.pictures import Config
from mmtutor.recipes.language.sighted import Sighted

TINY = Config.preset("tiny")
NAMES = ["a red square", "blue circle", "green leaf", "an old clock"]


@pytest.fixture(autouse=True)
def words(monkeypatch):
    """SmolLM2's tokenizer, with a Llama of two small blocks that has read nothing."""
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(located("smollm2"), local_files_only=True)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        tie_word_embeddings=True,
    )

    def load():
        torch.manual_seed(0)
        model = LlamaForCausalLM(config)
        model.model.embed_tokens.weight.data *= 10  # words far from each other, as they are
        return model.eval(), tokenizer

    monkeypatch.setattr(sighted, "load_smollm2", load)
    return tokenizer


def four() -> Dataset:
    """Four pictures that have nothing in common."""
    image = torch.zeros(4, 1, 1280)
    for i in range(4):
        image[i, 0, i * 320 : (i + 1) * 320] = 1
    keywords = [["red", "square"], ["blue"], ["green", "plant"], ["time"]]
    return Dataset({"image": image, "caption": NAMES, "keywords": keywords})


def test_a_run_measures_what_it_says_and_keeps_what_was_learned(tmp_path, monkeypatch):
    result = pictures.run(TINY, progress=False)
    for stage in ("aligned", "instructed"):
        parts = result.metrics[stage]
        assert parts.keys() == {"held_out", "both", "style"}
        for part in parts.values():
            assert {"seen", "permuted", "blind", "examples"} <= part.keys()
    assert result.metrics["pope"].keys() == {"random", "popular", "adversarial"}
    assert all(0 <= each["accuracy"] <= 1 for each in result.metrics["pope"].values())
    assert all("project" in key or key.endswith(("/A", "/B")) for key in result.model)

    write_result(result, tmp_path, "", "tiny", pictures.__name__)
    store_weights("pictures", tmp_path, tmp_path)
    real = sighted.load_weights
    monkeypatch.setattr(sighted, "load_weights", lambda name: real(name, tmp_path))
    found = Sighted.restored()
    for key, kept in found.learned().items():
        torch.testing.assert_close(kept, result.model[key], atol=1e-3, rtol=1e-3)
    assert len(found.answer(torch.rand(2, 3, 64, 64), pictures.WHAT)) == 2


def test_what_is_aligned_names_its_pictures_and_not_permuted_ones():
    config = replace(TINY, epochs=150, lr=1e-2, batch_size=4)
    made, shown = Sighted(), pictures._captions(four())
    gpt = made.model.gpt
    frozen = {k: p.clone() for k, p in gpt.named_parameters()}
    made.learn(replace(config, epochs=2), shown)
    assert all(torch.equal(p, frozen[k]) for k, p in gpt.named_parameters())
    gpt.requires_grad_(True)  # a Llama that has read nothing has to learn to speak
    made.learn(config, shown)
    image = shown.column("image")
    assert made.answer(image) == NAMES
    assert made.answer(image.flip(0)) == NAMES[::-1]


def test_nearest_words_are_those_whose_vectors_are_shown(monkeypatch):
    made = Sighted()
    ids = torch.tensor([[made.words.encode(f" {name}")[-1]] for name in NAMES])
    with torch.no_grad():
        made.model.gpt.embedding.weight[ids] *= 5
    shown = Encoded(made.model.gpt.embedding(ids), None)
    monkeypatch.setattr(made.model, "look", lambda batch: shown)
    near = made.nearest_words(four().column("image"), 1)
    assert near == [[[name.split()[-1]]] for name in NAMES]


def test_scores_at_answers_are_those_of_the_whole_model():
    made = Sighted()
    asked = {"question": [pictures.WHAT, "", "Why?", ""], "answer": NAMES}
    texts = made.texts(Dataset({"image": four().column("image")} | asked))
    batch = collate([*texts])
    small = sighted._Answers(made.model)
    place = torch.arange(batch["tokens"].shape[1])
    judged = batch["tokens_mask"] & (place >= batch["begins"].unsqueeze(1))
    expected = next_token(made.model(batch), {**batch, "answer": judged})
    torch.testing.assert_close(sighted._objective(small(batch), batch), expected)
    assert judged.sum() == sum(len(made.words.encode(f" {name}")) + 1 for name in NAMES)


def test_questions_follow_the_truth_and_do_not_tell_it():
    shown = four()
    asked = pictures.questions(shown, 3_000, seed=0)
    for image, question, said in zip(*asked.columns.values(), strict=True):
        row = (shown.column("image") == image).all((1, 2)).nonzero().item()
        there = [NAMES[row], *shown.column("keywords")[row]]
        if question == pictures.WHAT:
            assert said == NAMES[row]
        elif question == pictures.WORDS:
            assert set(said.split(", ")) <= set(there)
        else:
            assert said == ("yes" if any(f" {name} in" in question for name in there) else "no")
    truth = [said for said in asked.column("answer") if said in ("yes", "no")]
    assert len(truth) == 1_000
    assert 0.5 < truth.count("yes") / 1_000 < 0.75  # another picture may be the same, of four


def test_cells_of_a_picture_are_the_same_before_and_within_the_model():
    encoder = sighted.Cells(2).eval()
    image = torch.rand(3, 3, 64, 64)
    cells = encoder.cells(image)
    assert cells.shape == (3, 4, 1280)
    assert cells.min() >= 0
    torch.testing.assert_close(encoder(image).tokens, encoder(cells).tokens)
    image[:, :, 32:, 32:] = 0
    changed = (encoder.cells(image) - cells).abs().mean((0, 2))
    assert changed.argmax() == 3, "cells stand row by row"


def test_stamps_begin_with_stored_weights_and_are_learned_in_folds(monkeypatch):
    made = Sighted()
    made.adapt(TINY.rank)
    start = {key: p.detach().clone() for key, p in made.learned().items()}
    monkeypatch.setattr(pictures, "load_weights", lambda name: start)
    result = pictures.run(replace(TINY, pictures="stamps"), progress=False)
    assert isinstance(result, Result)
    assert result.metrics.keys() == {
        "seen",
        "permuted",
        "blind",
        "nearest",
        "more",
        "examples",
    }
    assert result.metrics["nearest"]["estimate"] >= 0
