"""Pictures drawn from captions, at a size of seconds."""

from dataclasses import replace

import pytest
import torch

from mmtutor.recipes.learning import drawing
from mmtutor.recipes.learning.drawing import Artist, Config
from mmtutor.recipes.learning.judge import ASKED

TINY = Config.preset("tiny")


@pytest.fixture(scope="module")
def result():
    return drawing.run(TINY, progress=False)


@pytest.fixture
def artist():
    words = drawing.vocabulary()
    return Artist(drawing.build_autoencoder(TINY).eval(), drawing.build_gpt(TINY, words), words)


def test_a_run_judges_what_was_drawn_beside_its_controls(result):
    found = result.metrics["agreement"]
    assert found.keys() == {"test", "unseen"}
    for each in found.values():
        assert each.keys() == {"true", "through codes", "drawn", "permuted"}
        assert all(one.keys() == {*ASKED, "all"} for one in each.values())
    assert 0 < result.metrics["nats"] < 10
    assert 1 <= result.metrics["perplexity"] <= result.metrics["codes"] <= TINY.codes


def test_stored_weights_give_the_same_artist(result):
    artist = drawing.restored(TINY, result.model.state_dict())
    captions = ["a large red star in the middle"] * 2
    made = Artist(result.model["autoencoder"], result.model["gpt"], drawing.vocabulary())
    torch.testing.assert_close(drawing.draw(artist, captions), drawing.draw(made, captions))


def test_a_text_is_a_caption_of_fixed_length_and_the_numbers_of_its_picture(artist):
    pictures = drawing.data(TINY).subset(range(5))
    found = drawing.texts(artist, pictures)
    tokens, answer = found.column("tokens"), found.column("answer")
    assert tokens.shape == answer.shape == (5, drawing.WORDS + 16)
    assert answer.sum(dim=1).tolist() == [16] * 5
    said = [artist.words.decode(row[: drawing.WORDS].tolist()) for row in tokens]
    assert said == pictures.column("caption")
    numbers = drawing.indices(artist.autoencoder, pictures.column("image"))
    assert torch.equal(tokens[answer].view(5, 16), numbers + artist.words.size)


def test_all_captions_of_all_splits_fit_and_have_no_unknown_word():
    words = drawing.vocabulary()
    for split in ("train", "test", "unseen"):
        captions = drawing.data(replace(TINY, train=2_000, test=2_000), split).column("caption")
        assert drawing.written(words, captions).count_nonzero(dim=1).min() > 5


@pytest.mark.parametrize("caption", ["a large red elephant", "a " * 14])
def test_a_caption_that_cannot_be_read_is_refused(caption):
    with pytest.raises(ValueError, match="caption must be"):
        drawing.written(drawing.vocabulary(), [caption])


def test_drawings_follow_the_seed(artist):
    captions = ["a large red star in the middle"] * 3
    one, same, other = (drawing.draw(artist, captions, seed=s) for s in (0, 0, 1))
    assert one.shape == (3, 3, 32, 32)
    assert 0 <= one.min() <= one.max() <= 1
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_artist_never_meets_the_new_combinations():
    one, new = (
        {
            8 * s + c
            for s, c in zip(*(x.column(k)[:, 0].tolist() for k in ("shape", "colour")), strict=True)
        }
        for x in (drawing.data(TINY), drawing.data(TINY, "unseen"))
    )
    assert not one & new


def test_a_side_that_does_not_fit_is_refused():
    for side in (36, 24):
        with pytest.raises(ValueError, match="side"):
            replace(TINY, side=side)
