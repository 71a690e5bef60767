"""SmolLM2, the real one: our class gives the logits and writes the words of `transformers`."""

import pytest
import torch

from mmtutor.models.generative import GPT, Patches, VisionLanguageModel, generate
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


def test_a_picture_of_nothing_leaves_the_logits_as_they_are(models):
    ours, _, tokenizer = models
    batch, _ = batch_of(tokenizer)
    first = batch["tokens"][:, :1]
    picture = tokenizer.convert_tokens_to_ids("<file_sep>")
    seen = {
        "tokens": torch.cat([first, first.new_full((3, 1), picture), batch["tokens"][:, 1:]], 1),
        "tokens_mask": torch.cat(
            [batch["tokens_mask"][:, :1].expand(3, 2), batch["tokens_mask"][:, 1:]], 1
        ),
        "image": torch.rand(3, 3, 16, 16),
        "image_mask": torch.zeros(3, 4, dtype=torch.bool),
    }
    model = VisionLanguageModel(ours, Patches(8), picture)
    real = batch["tokens_mask"]
    with torch.no_grad():
        expected, found = ours(batch).logits, model(seen).logits
        shown = model(seen | {"image_mask": torch.ones(3, 4, dtype=torch.bool)}).logits
    words = [0, *range(2, found.shape[1])]
    torch.testing.assert_close(found[:, words][real], expected[real], rtol=0, atol=1e-4)
    assert (shown[:, words] - expected)[:, 1:][real[:, 1:]].abs().amax(-1).min() > 0.1
