"""SmolLM2, the real one: our class gives the logits and writes the words of `transformers`."""

import pytest
import torch

from mmtutor.models.generative import GPT, generate
from mmtutor.models.hub import load_smollm2

TEXTS = ["The capital of France is", "Once upon a time, there was a little", "北京是中国的"]


@pytest.fixture(scope="module")
def models():
    theirs, tokenizer = load_smollm2()
    return GPT.from_transformers(theirs), theirs, tokenizer


def batch_of(tokenizer) -> tuple[dict, dict]:
    """Padded on the right, as ours and as theirs."""
    found = tokenizer(TEXTS, padding=True, return_tensors="pt")
    tokens, mask = found["input_ids"], found["attention_mask"]
    return {"tokens": tokens, "tokens_mask": mask.bool()}, {
        "input_ids": tokens,
        "attention_mask": mask,
    }


def test_logits_are_equal(models):
    ours, theirs, tokenizer = models
    batch, theirs_batch = batch_of(tokenizer)
    with torch.no_grad():
        logits, expected = ours(batch).logits, theirs(**theirs_batch).logits
    real = batch["tokens_mask"]
    torch.testing.assert_close(logits[real], expected[real], rtol=0, atol=1e-4)
    assert expected.abs().max() > 10  # against which 1e-4 is little


def test_the_same_words_are_written(models):
    ours, theirs, tokenizer = models
    batch, _ = batch_of(tokenizer)
    found = generate(ours, batch, 16).tokens
    for i, text in enumerate(TEXTS):
        alone = tokenizer(text, return_tensors="pt")
        written = theirs.generate(**alone, max_new_tokens=16, do_sample=False, eos_token_id=None)
        assert found[i].tolist() == written[0, alone["input_ids"].shape[1] :].tolist()
