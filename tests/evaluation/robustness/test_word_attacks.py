from itertools import product

import pytest
import torch

from mmtutor.data.tokenizer import UNKNOWN, WordTokenizer
from mmtutor.evaluation.robustness.attacks import margins
from mmtutor.evaluation.robustness.word_attacks import (
    _embedding_gradient,
    greedy,
    hotflip,
    random_words,
    substitutes,
)
from tests.evaluation.small_models import Words

TEXTS = ["a small red circle", "the large red ring", "a tiny circle left"]
TABLE = {
    "small": ("tiny", "little"),
    "circle": ("disc",),
    "large": ("big", "huge"),
    "moon": ("sun",),
}
WORDS = ["tiny", "little", "disc", "big"]


@pytest.fixture
def tokenizer() -> WordTokenizer:
    return WordTokenizer.fit([*TEXTS, *WORDS])


@pytest.fixture
def model(tokenizer) -> Words:
    torch.manual_seed(0)
    return Words(torch.randn(tokenizer.size, 4)).eval()


@pytest.fixture
def batch(tokenizer):
    rows = [tokenizer.encode(text) for text in TEXTS]
    tokens = torch.zeros(3, 6, dtype=torch.int64)
    for row, ids in enumerate(rows):
        tokens[row, : len(ids)] = torch.tensor(ids)
    label = torch.tensor([0, 1, 2])
    return {"tokens": tokens, "tokens_mask": tokens != 0, "label": label}


def test_substitutes_by_hand(tokenizer):
    candidates = substitutes(tokenizer, TABLE)
    assert candidates.shape == (tokenizer.size, 2)
    (small,), (large,), (circle,) = (tokenizer.encode(w) for w in ("small", "large", "circle"))
    assert candidates[small].tolist() == tokenizer.encode("tiny little")
    assert candidates[circle].tolist() == [*tokenizer.encode("disc"), 0]
    assert candidates[large].tolist() == [*tokenizer.encode("big"), UNKNOWN]  # huge is not known
    others = torch.ones(tokenizer.size, dtype=torch.bool)
    others[[small, large, circle]] = False
    assert not candidates[others].any()


def worst(model, batch, candidates):
    """Margin (B,) of the worst text of all, tried one by one."""
    height = margins(model, batch)
    for place, choice in product(range(batch["tokens"].shape[1]), range(candidates.shape[1])):
        tokens = batch["tokens"].clone()
        tokens[:, place] = candidates[batch["tokens"][:, place], choice]
        allowed = (tokens[:, place] != 0) & batch["tokens_mask"][:, place]
        new = margins(model, {**batch, "tokens": tokens})
        height = torch.where(allowed, torch.maximum(height, new), height)
    return height


def test_the_attacks_find_the_worst_text_of_two_classes(model, batch, tokenizer):
    candidates = substitutes(tokenizer, TABLE)
    batch["label"] = torch.tensor([0, 1, 0])
    with torch.no_grad():
        model.embedding.weight[:, 2:] = -50.0  # two classes: the margin is linear in the words
    expected = worst(model, batch, candidates)
    for attacked in (
        greedy(model, batch, candidates),
        hotflip(model, batch, candidates, model.embedding),
    ):
        torch.testing.assert_close(margins(model, attacked), expected)
        changed = (attacked["tokens"] != batch["tokens"]).sum(dim=1)
        assert (changed <= 1).all()
        assert changed.any()
    chance = random_words(model, batch, candidates)
    assert (margins(model, chance) <= expected).all()
    assert (chance["tokens"] != batch["tokens"])[0].sum() == 1


def test_with_more_classes_one_greedy_flip_is_still_the_worst(model, batch, tokenizer):
    candidates = substitutes(tokenizer, TABLE)
    one = greedy(model, batch, candidates)
    torch.testing.assert_close(margins(model, one), worst(model, batch, candidates))
    flipped = hotflip(model, batch, candidates, model.embedding)
    assert (margins(model, flipped) <= margins(model, one)).all()
    assert (margins(model, flipped) >= margins(model, batch)).all()


def test_the_old_word_counts_as_well_as_the_new_one():
    # logits of class 1: words 2, 3 have 5 and 0, their substitutes 4, 5 have 6 and 4
    vectors = torch.zeros(6, 2)
    vectors[2:, 1] = torch.tensor([5.0, 0.0, 6.0, 4.0])
    model = Words(vectors).eval()
    tokens = torch.tensor([[2, 3]])
    batch = {"tokens": tokens, "tokens_mask": tokens > 0, "label": torch.tensor([0])}
    candidates = torch.tensor([[0], [0], [4], [5], [0], [0]])
    flipped = hotflip(model, batch, candidates, model.embedding)
    assert flipped["tokens"].tolist() == [[2, 5]]  # 4 gained there, 1 here


def test_padding_and_words_without_substitute_stay(model, batch, tokenizer):
    candidates = torch.full((tokenizer.size, 1), 3)  # everything may become word 3 …
    candidates[tokenizer.encode("red")] = 0  # … but red
    red = batch["tokens"] == tokenizer.encode("red")[0]
    for attacked in (
        greedy(model, batch, candidates),
        hotflip(model, batch, candidates, model.embedding),
        random_words(model, batch, candidates),
    ):
        assert (attacked["tokens"][~batch["tokens_mask"]] == 0).all()
        assert torch.equal(attacked["tokens"] == tokenizer.encode("red")[0], red)
    chance = random_words(model, batch, candidates)["tokens"]
    assert ((chance == 3) & (batch["tokens"] != 3)).sum(dim=1).tolist() == [1, 1, 1]


def test_the_gradient_is_of_the_words_and_the_model_is_left_alone(model, batch):
    gradient = _embedding_gradient(model, batch, model.embedding)
    error = model(batch).logits.softmax(dim=1) - torch.eye(4)[batch["label"]]
    expected = error.unsqueeze(1) * batch["tokens_mask"].unsqueeze(-1)
    torch.testing.assert_close(gradient, expected.detach())
    assert model.embedding.weight.grad is None
    assert not model.embedding._forward_hooks
    model.train()
    hotflip(model, batch, torch.full((20, 1), 3), model.embedding)
    assert model.training
    assert model.embedding.training


def test_what_makes_no_sense_is_refused(model, batch, tokenizer):
    with pytest.raises(ValueError, match="got none"):
        substitutes(tokenizer, {"moon": ("sun",)})
    with pytest.raises(ValueError, match="'bright red', which is 2"):
        substitutes(tokenizer, {"red": ("bright red",)})
    with pytest.raises(KeyError, match="lacks tokens"):
        greedy(model, {"label": batch["label"]}, torch.zeros(20, 1, dtype=torch.int64))


def test_words_that_are_one_to_the_tokenizer_share_their_substitutes(tokenizer):
    red, green, blue = tokenizer.vocabulary[:3]
    found = substitutes(tokenizer, {red: [green], red.upper(): [blue]})
    assert found[2].tolist() == [3, 4]
    with pytest.raises(ValueError, match="which is 2"):
        substitutes(tokenizer, {f"{red} {green}": [blue]})
