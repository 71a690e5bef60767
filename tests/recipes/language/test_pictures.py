"""The recipe of SmolLM2 that sees, with a tiny Llama in its place and few pictures."""

from dataclasses import replace

import pytest
import torch

from mmtutor.data import Dataset, collate
from mmtutor.encoders.base import Encoded
from mmtutor.losses import next_token
from mmtutor.recipes.language import pictures, sighted
from mmtutor.recipes.language.pictures import Config
from mmtutor.recipes.language.sighted import Sighted

pytestmark = pytest.mark.usefixtures("small_llama")
TINY = Config.preset("tiny")
NAMES = ["a red square", "blue circle", "green leaf", "an old clock"]


def four() -> Dataset:
    """Four pictures that have nothing in common."""
    image = torch.zeros(4, 1, 1280)
    for i in range(4):
        image[i, 0, i * 320 : (i + 1) * 320] = 1
    return Dataset({"image": image, "question": [""] * 4, "answer": NAMES})


def test_a_run_measures_what_it_says_and_keeps_what_was_learned():
    result = pictures.run(TINY, progress=False)
    assert result.metrics.keys() == {"held_out", "both", "style"}
    for part in result.metrics.values():
        assert part.keys() == {"seen", "permuted", "blind", "nearest", "more", "examples"}
    assert result.model.keys()
    assert all("project" in key for key in result.model)


def test_what_is_aligned_names_its_pictures_and_not_permuted_ones():
    config = replace(TINY, epochs=150, lr=1e-2, batch_size=4)
    made, shown = Sighted(), four()
    gpt = made.model.gpt
    frozen = {k: p.clone() for k, p in gpt.named_parameters()}
    made.learn(replace(config, epochs=2), shown)
    assert all(torch.equal(p, frozen[k]) for k, p in gpt.named_parameters())
    gpt.requires_grad_(True)  # a Llama that has read nothing has to learn to speak
    made.learn(config, shown)
    image = shown.column("image")
    assert made.answer(image) == NAMES
    assert made.answer(image.flip(0)) == NAMES[::-1]


def test_words_that_suit_are_learned_without_the_language_model():
    made, shown = Sighted(), four()
    learned = Dataset({"image": shown.column("image"), "words": NAMES})
    frozen = made.model.gpt.embedding.weight.clone()
    config = replace(TINY, epochs=100, lr=1e-2, batch_size=4, precision="fp32")
    losses = made.learn_words(config, learned).loss
    assert losses[-1] < losses[0] / 2
    table = made.model.gpt.embedding.weight
    assert torch.equal(table, frozen)
    tokens = made.model.eval().look({"image": shown.column("image")}).tokens
    length = table.norm(dim=1).mean()
    torch.testing.assert_close(tokens.norm(dim=2).mean(), length, rtol=1e-4, atol=0)
    ids = [made.words.encode(f" {name}")[-1] for name in NAMES]
    assert (tokens.mean(1) @ table[ids].T).argmax(1).tolist() == [0, 1, 2, 3]


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
    asked = {"question": ["What is it?", "", "Why?", ""], "answer": NAMES}
    texts = made.texts(Dataset({"image": four().column("image")} | asked))
    batch = collate([*texts])
    small = sighted._Answers(made.model)
    place = torch.arange(batch["tokens"].shape[1])
    judged = batch["tokens_mask"] & (place >= batch["begins"].unsqueeze(1))
    expected = next_token(made.model(batch), {**batch, "answer": judged})
    torch.testing.assert_close(sighted._objective(small(batch), batch), expected)
    assert judged.sum() == sum(len(made.words.encode(f" {name}")) + 1 for name in NAMES)


def test_cells_of_a_picture_are_the_same_before_and_within_the_model():
    encoder = sighted._Cells(2).eval()
    image = torch.rand(3, 3, 64, 64)
    cells = encoder.cells(image)
    assert cells.shape == (3, 4, 1280)
    assert cells.min() >= 0
    torch.testing.assert_close(encoder(image).tokens, encoder(cells).tokens)
    image[:, :, 32:, 32:] = 0
    changed = (encoder.cells(image) - cells).abs().mean((0, 2))
    assert changed.argmax() == 3, "cells stand row by row"
