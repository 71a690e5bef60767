"""The recipe of a language model, at a size of seconds."""

import math
from dataclasses import replace

import pytest
import torch

from mmtutor.data.tokenizer import PAD, SubwordTokenizer
from mmtutor.models.generative import GPT, GPTConfig, NGram
from mmtutor.recipes.language import gpt
from mmtutor.recipes.language.gpt import Config

TINY = Config.preset("tiny")


@pytest.mark.parametrize("corpus", ["state-of-the-union", "tang-poems"])
def test_it_learns_and_its_score_is_below_that_of_an_untrained_model(corpus):
    config = replace(TINY, corpus=corpus, epochs=3)
    result = gpt.run(config, progress=False)
    learned = gpt.texts(config, "train")
    assert 0 <= config.train - sum(len(text.encode()) for text in learned) < 3
    tokenizer = SubwordTokenizer.fit(learned, config.vocabulary, exact=True)
    held_out = gpt.texts(config, "test")
    assert all(tokenizer.decode(tokenizer.encode(text)) == text for text in held_out)
    documents = [torch.tensor([PAD, *tokenizer.encode(text)]) for text in held_out]
    untrained = gpt.bits_per_byte(gpt.bits(gpt.build(config, tokenizer), documents), held_out)
    score = result.metrics["bits_per_byte"]
    assert score["estimate"] < 0.9 * untrained.estimate
    assert score["low"] <= score["estimate"] <= score["high"]
    assert not set(learned) & set(held_out)
    grams, programs = result.metrics["ngrams"], result.metrics["programs"]
    best = grams["bytes" if corpus == "tang-poems" else "tokens"]
    paired = result.metrics["gpt_minus_ngram"]
    assert best["estimate"] == min(gram["estimate"] for gram in grams.values())
    assert paired["estimate"] == pytest.approx(score["estimate"] - best["estimate"])
    assert min(programs.values()) > best["estimate"] > 1


def test_the_order_of_an_ngram_is_the_one_that_is_best_on_val():
    learned, held_out = gpt.texts(TINY, "train"), gpt.texts(TINY, "test")
    tokenizer = SubwordTokenizer.fit(learned, TINY.vocabulary, exact=True)
    found = gpt.ngrams(TINY, learned, tokenizer, held_out)
    validation = gpt.texts(TINY, "val")
    tokens = [gpt.cut(part, tokenizer.encode) for part in (learned, validation, held_out)]
    models = [NGram(torch.cat(tokens[0]), n, tokenizer.size) for n in range(1, 6)]
    val = [gpt.bits(model, tokens[1]).sum().item() for model in models]
    assert found["tokens"]["order"] == 1 + val.index(min(val))
    assert torch.equal(found["tokens"]["bits"], gpt.bits(models[val.index(min(val))], tokens[2]))


def test_lzma_has_read_the_training_texts():
    text = bytes(range(32, 127)).decode() * 3
    before = "".join(chr(33 + 7 * i * i % 89) for i in range(5_000))
    assert gpt.programs([before, text], [text])["lzma, training texts read"] < 1
    assert gpt.programs([before], [text])["lzma, training texts read"] > 2


def test_each_token_is_judged_once_with_what_stands_before_it():
    torch.manual_seed(0)
    model = GPT(GPTConfig(30, 16, 1, 2, max_length=8)).eval()
    documents = [torch.randint(1, 30, (n,)) for n in (2, 7, 8, 9, 12, 13, 21)]
    found = gpt.bits(model, documents)
    for document, bits in zip(documents, found.tolist(), strict=True):
        expected = 0.0
        for t in range(1, len(document)):
            start = 0 if t < 8 else (t - 8) // 4 * 4 + 4
            before = document[None, start:t]
            log_p = model({"tokens": before}).logits[0, -1].log_softmax(-1)[document[t]]
            expected -= log_p.item() / math.log(2)
        assert bits == pytest.approx(expected, rel=1e-4)


def test_a_model_that_counts_is_scored_by_the_same_function():
    gram = NGram(torch.tensor([0, 1, 2, 1, 2, 1]), 2, 3)
    documents = [torch.tensor([0, 1, 2]), torch.tensor([0, 2])]
    expected = [
        sum(-math.log2(gram.next_probabilities(d[:i])[d[i]]) for i in range(1, len(d)))
        for d in documents
    ]
    assert gpt.bits(gram, documents).tolist() == pytest.approx(expected)


def test_batches_hold_every_whole_piece_once_and_no_padding():
    tokenizer = SubwordTokenizer.fit(["abc"], 257, exact=True)
    texts = ["Abc é", "déf"]
    batches = list(gpt.data(replace(TINY, length=4, batch_size=2), texts, tokenizer))
    assert all(batch.keys() == {"tokens"} for batch in batches)
    row = [PAD, *tokenizer.encode(texts[0]), PAD, *tokenizer.encode(texts[1])]
    pieces = sorted(piece for batch in batches for piece in batch["tokens"].tolist())
    assert pieces == sorted([row[:4], row[4:8], row[8:12]])


def test_muon_learns_more_in_as_many_steps():
    config = replace(TINY, train=100_000)
    learned = gpt.texts(config, "train")
    tokenizer = SubwordTokenizer.fit(learned, config.vocabulary, exact=True)
    batches, last = gpt.data(config, learned, tokenizer), {}
    for optimizer, lr in (("adamw", 3e-3), ("muon", 1e-2)):
        changed = replace(config, optimizer=optimizer, lr=lr)
        last[optimizer] = gpt.fitted(changed, gpt.build(config, tokenizer), batches, False).loss[-1]
    assert last["muon"] < last["adamw"] - 0.1


def test_the_options_of_history_are_settings():
    tokenizer = SubwordTokenizer.fit(["abc"], 257)
    changes = {"norm": "rms", "positions": "rotary", "kv_heads": 2, "activation": "swiglu"}
    model = gpt.build(replace(TINY, **changes, bias=False, tied=False, norm_first=False), tokenizer)
    config = model.config
    assert {name: getattr(config, name) for name in changes} == changes
    assert (config.bias, config.tied, config.norm_first) == (False, False, False)
    assert (config.vocab_size, config.max_length, config.dim) == (257, TINY.length, TINY.dim)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"vocabulary": 256}, "vocabulary is 256: expected at least 257"),
        ({"length": 1}, "length is 1: expected at least 2"),
        ({"heads": 5}, "dim is 32: expected a multiple of heads"),
        ({"kv_heads": 3}, "heads is 4: expected a multiple of kv_heads"),
        ({"heads": 32, "positions": "rotary"}, "dim is 32: expected a multiple of 64"),
        ({"corpus": "tang"}, "corpus is 'tang': expected"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes, named):
    with pytest.raises(ValueError, match=named):
        replace(TINY, **changes)
