"""Fine-tuning on texts, with a tiny Llama in the place of SmolLM2."""

from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mmtutor.data import Dataset
from mmtutor.evaluation.efficiency import parameters
from mmtutor.models.generative import GPT
from mmtutor.recipes.learning import fine_tuning_texts as recipe
from mmtutor.recipes.learning.fine_tuning_texts import WAYS, Config, UpperGPT

TINY = replace(Config.preset("tiny"), precision="fp32")


@pytest.fixture(autouse=True)
def standins(monkeypatch):
    """A random Llama, its words, and texts whose first word says the label."""
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["<eos>", "<unk>"], show_progress=False)
    words.train_from_iterator(["free money hello friend one two"], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<eos>")
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}
    size = {"vocab_size": len(tokenizer), "num_hidden_layers": 2, "num_key_value_heads": 2}
    config = LlamaConfig(**shape, **size, tie_word_embeddings=True, initializer_range=0.2)
    theirs = LlamaForCausalLM(config).eval()

    def load(split, kind):
        del kind
        label = torch.arange(40) % 2
        rows = [("hello friend", "free money")[y] + " one two" * (y % 2) for y in label.tolist()]
        return Dataset({"text": rows, "label": label}, name=split)

    monkeypatch.setattr(recipe, "load", load)
    monkeypatch.setattr(recipe, "load_smollm2", lambda: (theirs, tokenizer))
    return theirs, tokenizer


def test_a_run_judges_each_way():
    metrics = recipe.run(TINY, progress=False).metrics
    assert metrics["ways"].keys() == set(WAYS)
    for way, found in metrics["ways"].items():
        assert found["minus"].keys() == set(WAYS) - {way}
        assert 0 <= found["accuracy"]["low"] <= found["accuracy"]["high"] <= 1
    trained = {way: found["trained"] for way, found in metrics["ways"].items()}
    assert trained["probe"] < trained["prompt"] < trained["LoRA"] < trained["full"]


@pytest.mark.parametrize("way", WAYS[1:])
def test_each_way_learns_what_is_easy(standins, way):
    config = replace(TINY, texts=40, length=4, epochs=40, batch_size=10, lr=1e-2)
    read = recipe.states(config, *standins, recipe.texts(config, "train"))
    model, history = recipe.tuned(config, standins[0], way, read)
    assert history.loss[-1] < 0.3 * history.loss[0]
    assert recipe.predict(model, read).correct.double().mean() == 1


def test_both_halves_are_the_model(standins):
    theirs, tokenizer = standins
    read = recipe.states(TINY, theirs, tokenizer, recipe.texts(TINY, "train"))
    upper = UpperGPT(GPT.from_transformers(theirs), TINY.blocks).eval()
    halves = upper(read.column("states"), read.column("states_mask"))
    ids = tokenizer(recipe.texts(TINY, "train").column("text"), padding=False)["input_ids"]
    whole = GPT.from_transformers(theirs).eval()
    for row, tokens in enumerate(ids):
        tokens = torch.tensor([tokens[: TINY.length]])
        due = whole.states(whole.embedding(tokens))[0]
        torch.testing.assert_close(halves.tokens[row, : len(due)], due, rtol=1e-3, atol=1e-4)


def test_a_prompt_is_read_before_the_text_and_leaves_no_token(standins):
    read = recipe.states(TINY, *standins, recipe.texts(TINY, "train"))
    model = recipe.build(replace(TINY, prompt=2), standins[0], "prompt", read)
    x, mask = read.column("states"), read.column("states_mask")
    encoded = model.encoder(x, mask)
    assert encoded.tokens.shape == x.shape
    assert torch.equal(encoded.mask, mask)
    plain = recipe.build(TINY, standins[0], "probe", read).encoder(x, mask)
    assert not torch.allclose(encoded.tokens, plain.tokens)
    assert parameters(model.encoder) == 2 * 32
