"""SmolLM2: the real one, from its wheel, as `transformers` loads it."""

import pytest
import torch

from mmtutor.data.fetch import FetchError
from mmtutor.data.hub.smollm2 import FILE, _renamed, prepare
from mmtutor.models.hub import load_smollm2
from tests.data.ggufs import gguf


@pytest.fixture(scope="module")
def smollm2():
    return load_smollm2()


def test_it_answers_a_question(smollm2):
    model, tokenizer = smollm2
    asked = [{"role": "user", "content": "What is the capital of France?"}]
    batch = tokenizer.apply_chat_template(
        asked, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    written = model.generate(**batch, max_new_tokens=12, do_sample=False)[0]
    assert "Paris" in tokenizer.decode(written[batch["input_ids"].shape[1] :])
    assert written[-1] == tokenizer.eos_token_id


def test_it_expects_english_more_than_the_same_words_in_another_order(smollm2):
    model, tokenizer = smollm2
    text = "Paris is the capital of France, and Berlin is the capital of Germany."
    words = text.split()
    loss = []
    for line in (text, " ".join(words[::2] + words[1::2])):
        ids = tokenizer(line, return_tensors="pt").input_ids
        with torch.no_grad():
            loss.append(model(ids, labels=ids).loss.item())
    assert loss[0] < 3 < 4 < loss[1]


def test_its_tokens_are_reversible_and_digits_stand_alone(smollm2):
    tokenizer = smollm2[1]
    text = "It's 2024: cafés,\n\n 中文\t<|im_start|>"
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert {"2", "0", "4"} <= set(tokenizer.convert_ids_to_tokens(ids))
    assert tokenizer.convert_ids_to_tokens(ids)[-1] == "<|im_start|>"
    assert len(tokenizer) == smollm2[0].config.vocab_size


@pytest.mark.parametrize(("part", "heads"), [("q", 2), ("k", 1)])
def test_rows_that_rope_turns_together_stand_half_a_head_apart(part, heads):
    """llama.cpp keeps them as neighbours: rows 0, 1 and 2, 3 of a head of four."""
    config = {"num_attention_heads": 2, "num_key_value_heads": 1}
    rows = torch.arange(4 * heads)[:, None]
    name, found = _renamed(f"blk.7.attn_{part}.weight", rows, config)
    assert name == f"model.layers.7.self_attn.{part}_proj.weight"
    assert found[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7][: 4 * heads]


def test_precision_can_be_chosen_and_nothing_is_printed(capfd):
    model, _ = load_smollm2(torch.bfloat16)
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not model.training
    assert capfd.readouterr().err == ""


def test_what_is_missing_or_wrong_is_said(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"dtype must be torch\.float32, .* got torch\.int8"):
        load_smollm2(torch.int8)
    monkeypatch.setenv("MMTUTOR_CACHE", str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"`mmtutor fetch smollm2`"):
        load_smollm2()
    with pytest.raises(FetchError, match=f"{FILE} is not in the package"):
        prepare(tmp_path, tmp_path)
    (tmp_path / FILE).write_bytes(gguf({"general.architecture": "llama"}, {}))
    with pytest.raises(FetchError, match=f"{FILE} is not the known model"):
        prepare(tmp_path, tmp_path)
