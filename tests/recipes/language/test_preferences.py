"""The recipe of preferences: its world, its pairs, and a run at a size of seconds."""

from dataclasses import replace

import pytest
import torch

from mmtutor.recipes.language import chat, preferences
from mmtutor.recipes.language.chat import END, LENGTH, Request, Vocabulary
from mmtutor.recipes.language.preferences import Config

TINY = Config.preset("tiny")
WORDS = Vocabulary()
RED_RING = Request("red", "ring")


@pytest.fixture(scope="module")
def model():
    return preferences.build(TINY, WORDS).eval()


def test_every_text_of_the_world_has_its_words_and_fits():
    lines = chat.captions("test", 2_000, 0) + chat.asked_of_pictures("test", 2_000, 0)
    data = chat.laid_out([chat.prompt(RED_RING, WORDS)] * len(lines), lines, WORDS)
    tokens, answer = data.column("tokens"), data.column("answer")
    said = [WORDS.decode(row) for row in tokens.masked_fill(~answer, 0).tolist()]
    assert said == [" ".join(chat.words(line)) for line in lines]
    ends = tokens.eq(END).int().argmax(1)
    assert ends.max() < LENGTH
    assert answer[range(len(ends)), ends].all()


def test_a_request_is_met_by_a_caption_that_says_so():
    assert RED_RING.is_met("a large red ring is above a small blue star")
    assert not RED_RING.is_met("a red star left of a blue ring")


def test_careful_demonstrations_do_what_is_asked_and_careless_ones_any():
    def met(careful):
        data = chat.demonstrations(400, careful, 0.0, 0, WORDS)
        rows = [WORDS.decode(row).split() for row in data.column("tokens").tolist()]
        return sum(Request(*row[:2]).is_met(" ".join(row[2:])) for row in rows) / len(rows)

    assert met(1.0) == 1
    assert met(0.0) < 0.2
    assert 0.4 < met(0.5) < 0.7


def test_the_silent_share_asks_for_nothing():
    tokens = chat.demonstrations(400, 1.0, 0.3, 0, WORDS).column("tokens")
    assert 0.2 < (tokens[:, 2] == chat.ASSISTANT).float().mean() < 0.4


def test_the_rater_prefers_the_right_answer_the_longer_one_or_neither(model, monkeypatch):
    asked = [RED_RING] * 300
    said = iter(
        [["a small red ring"] * 300, ["a large blue star above a small green star"] * 300] * 3
    )
    monkeypatch.setattr(preferences, "answered", lambda *_: next(said))
    shares = {}
    for name, right, wordy in (("right", 9.0, 0.0), ("longer", 0.0, 2.0), ("coin", 0.0, 0.0)):
        pairs = preferences.compared(replace(TINY, right=right, wordy=wordy), model, asked, WORDS)
        shares[name] = pairs.column("right")[:, 0].float().mean().item()
        assert (pairs.column("right").sum(1) == 1).all()
        assert torch.equal(pairs.column("right")[:, 0], pairs.column("longer") < 0)
    assert shares["right"] > 0.99
    assert shares["longer"] < 0.01
    assert 0.4 < shares["coin"] < 0.6
    expected = chat.scored(model, {k: pairs.column(k)[:, 1] for k in ("tokens", "answer")})
    torch.testing.assert_close(pairs.column("reference")[:, 1], expected)


def test_batches_keep_the_two_answers_of_a_pair_together(model):
    asked = chat.requests("train", 8, 0)
    pairs = preferences.compared(TINY, model, asked, WORDS)
    for batch in preferences.paired(replace(TINY, batch_size=4), pairs):
        score = chat.scored(model, {k: batch[k] for k in ("tokens", "answer")})
        torch.testing.assert_close(score.view(-1, 2), batch["reference"])
        loss = preferences.dpo_loss(model({"tokens": batch["tokens"]}), batch, beta=0.5)
        assert loss.item() == pytest.approx(torch.tensor(2.0).log().item(), abs=1e-4)


def test_the_model_learns_which_of_two_answers_is_better(model):
    """Pairs in which colours alone tell the better from the worse."""
    config = replace(TINY, pairs=200, reward_epochs=3, rounds=1, prefer_lr=3e-3, batch_size=16)
    prompts = [chat.prompt(RED_RING, WORDS)] * 200
    sides = [
        chat.laid_out(prompts, [f"a small {colour} ring"] * 200, WORDS)
        for colour in ("red", "blue")
    ]
    columns = {k: torch.stack([s.column(k) for s in sides], 1) for k in ("tokens", "answer")}
    columns |= {"reference": chat.scored(model, columns), "longer": torch.zeros(200)}
    columns |= {"right": torch.tensor([[True, False]] * 200)}
    pairs = preferences.Dataset(columns)
    assert preferences.judged(preferences.rewarded(config, model, pairs), pairs)["right"] == 1
    (policy,) = preferences.preferred(config, model, pairs)
    lead = (chat.scored(policy, columns) - columns["reference"]).mean(0)
    assert lead[0] > lead[1] + 1


def test_a_run_has_all_raters_and_says_what_was_measured():
    result = preferences.run(replace(TINY, demonstrations=100), progress=False)
    assert set(result.metrics) == {"tuned", "honest", "coin", "wordy", "wordy, margin"}
    assert result.metrics["tuned"]["drift"].estimate == pytest.approx(0, abs=1e-6)
    for name in ("honest", "wordy"):
        path = result.metrics[name]["path"]
        assert len(path) == TINY.rounds
        assert set(path[0]) == {"right", "length", "drift", "reward"}
