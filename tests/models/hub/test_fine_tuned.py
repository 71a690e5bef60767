"""LoRA on models of the hub's own classes: what is learned from, what changes, and what is kept."""

import re

import pytest
import torch
from torch.utils.data import DataLoader

from mmtutor.data.hub.flickr30k import read_picture
from mmtutor.losses import next_token
from mmtutor.models.hub import vqa as hub_vqa
from mmtutor.models.hub.fine_tuned import LAYERS, FineTuned
from mmtutor.models.hub.vqa import load_vqa
from mmtutor.recipes.common import TrainConfig, train
from mmtutor.training.checkpoint import CheckpointError, load_model, save_model
from tests import vqa_standins
from tests.hub_standins import picture
from tests.vqa_standins import QUESTIONS, save_vilt

KINDS = {"idefics3": "<end_of_utterance>", "qwen3_vl": "<|im_end|>"}
ANSWERS = ("red", "yes", "left right")
EXAMPLES = [
    {
        "image": read_picture(picture(row)),
        "question": QUESTIONS[3 * row % len(QUESTIONS)],
        "answer": ANSWERS[row % 3],
    }
    for row in range(6)
]
IMAGES, ASKED, TRUTH = ([each[key] for each in EXAMPLES] for key in EXAMPLES[0])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vlm")
    return {kind: getattr(vqa_standins, f"save_{kind}")(folder / kind) for kind in KINDS}


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def model(folders, kind):
    torch.manual_seed(0)
    return FineTuned(load_vqa(folders[kind]), rank=4)


def texts(model, rows):
    return model.answerer.processor.tokenizer.batch_decode(rows)


def learn(model, epochs):
    batches = DataLoader(EXAMPLES, 6, collate_fn=model.collate)
    return train(TrainConfig(epochs=epochs, lr=1e-2), model, next_token, batches).loss


def test_what_is_judged_is_the_answer_and_its_end(model, kind):
    batch = model.collate(EXAMPLES)
    judged = [row[mask] for row, mask in zip(batch["tokens"], batch["answer"], strict=True)]
    assert texts(model, judged) == [f"{answer} {KINDS[kind]}" for answer in TRUTH]
    assert not (batch["answer"] & ~batch["tokens_mask"]).any()


def test_what_stands_before_is_what_the_model_is_asked(model, kind):
    """And the whole is what the library makes of the whole chat, but for what follows the end."""
    batch = model.collate(EXAMPLES)
    before = batch["tokens_mask"] & ~batch["answer"]
    asked = model.answerer.read([hub_vqa._picture("image", image) for image in IMAGES], ASKED)
    for i, example in enumerate(EXAMPLES):
        prompt = asked["input_ids"][i][asked["attention_mask"][i].bool()]
        assert torch.equal(batch["tokens"][i][before[i]], prompt)
        chat = model.answerer.asked(example["question"], example["answer"])
        whole = model.answerer.processor(
            text=[chat],
            images=[[hub_vqa._picture("image", example["image"])]],
            add_special_tokens=False,
        )["input_ids"][0]
        assert batch["tokens"][i][batch["tokens_mask"][i]].tolist() == whole


def test_logits_do_not_depend_on_what_else_is_in_the_batch(model):
    together = model.collate(EXAMPLES)
    logits = model.eval()(together).logits
    assert logits.shape[:2] == together["tokens"].shape
    for i, example in enumerate(EXAMPLES):
        alone = model.collate([example])
        mine = logits[i][together["tokens_mask"][i]]
        torch.testing.assert_close(model(alone).logits[0], mine, rtol=1e-4, atol=1e-4)


def test_the_loss_is_that_of_the_library(model):
    batch = model.collate(EXAMPLES)
    label = batch["tokens"].masked_fill(~batch["answer"], -100)
    read = {name: x for name, x in batch.items() if name not in ("tokens", "tokens_mask", "answer")}
    theirs = model.model(
        input_ids=batch["tokens"], attention_mask=batch["tokens_mask"].long(), labels=label, **read
    ).loss
    torch.testing.assert_close(next_token(model(batch), batch), theirs)


def test_it_learns_to_answer_in_words_and_lora_alone_changes(model):
    before = {name: x.clone() for name, x in model.named_parameters()}
    said = model.answerer.answer(IMAGES, ASKED)
    loss = learn(model, 25)
    assert loss[-1] < 0.5 < 2 < loss[0]
    assert model.answerer.answer(IMAGES, ASKED) == TRUTH != said
    changed = {name for name, x in model.named_parameters() if not torch.equal(x, before[name])}
    assert changed == {name for name in before if ".lora_" in name}
    assert len(changed) == 2 * 2 * 7  # A and B, two layers, seven projections
    assert all("text_model" in name or "language_model" in name for name in changed)


def test_untrained_adapters_change_no_answer(folders, kind, model):
    plain = load_vqa(folders[kind])
    if kind == "idefics3":
        plain.processor.image_processor.do_image_splitting = False
    assert model.answerer.answer(IMAGES, ASKED) == plain.answer(IMAGES, ASKED)


def test_adapters_alone_are_saved_and_read(folders, kind, model, tmp_path):
    plain = model.answerer.answer(IMAGES, ASKED)
    learn(model, 5)
    said, file = model.answerer.answer(IMAGES, ASKED), tmp_path / "model.safetensors"
    save_model(model, file)
    assert all(".lora_" in name for name in model.state_dict())
    assert file.stat().st_size < 100_000
    other = FineTuned(load_vqa(folders[kind]), rank=4)
    load_model(other, file)
    assert other.answerer.answer(IMAGES, ASKED) == said != plain
    with pytest.raises(CheckpointError, match="lora_A"):
        load_model(FineTuned(load_vqa(folders[kind]), rank=2), file)


@pytest.mark.parametrize(
    "name", ["Idefics3", "SmolVLM", "Qwen2VL", "Qwen2_5_VL", "Qwen3VL", "Gemma3"]
)
def test_the_language_model_s_projections_are_found_and_no_others(name):
    import transformers

    config = getattr(transformers, f"{name}Config")()
    with torch.device("meta"):
        net = getattr(transformers, f"{name}ForConditionalGeneration")(config)
    found = [layer for layer, _ in net.named_modules() if re.fullmatch(LAYERS, layer)]
    assert len(found) == 7 * config.get_text_config().num_hidden_layers
    assert not any("vis" in layer for layer in found)


def test_a_model_that_takes_no_prompts_is_refused(tmp_path):
    with pytest.raises(TypeError, match="answerer must be a _PromptedModel, got"):
        FineTuned(load_vqa(save_vilt(tmp_path)))


def test_examples_that_cannot_be_learned_from_are_refused(model, kind):
    good = EXAMPLES[0]
    for wrong, error, words in (
        ({"answer": " "}, ValueError, "answer must hold a word"),
        ({"answer": f"red {KINDS[kind]}"}, ValueError, "answer must hold no mark"),
        ({"question": f"{KINDS[kind]}?"}, ValueError, "question must hold no mark"),
        ({"answer": 3}, TypeError, "answer must be a"),
        ({"image": good["image"] / 255}, TypeError, r"images\[1\] must be uint8"),
    ):
        with pytest.raises(error, match=words):
            model.collate([good, good | wrong])
    with pytest.raises(KeyError, match="answer"):
        model.collate([{key: good[key] for key in ("image", "question")}])
    with pytest.raises(ValueError, match="examples"):
        model.collate([])


def test_a_template_whose_answers_do_not_follow_its_prompts_is_refused(folders, kind, model):
    model.answerer.processor.chat_template = "{{ messages | length }}<image>"
    with pytest.raises(
        ValueError, match="an answer must follow '1<image>' in the template, got '2"
    ):
        model._end("is it red?", "yes")


def test_four_bits_need_a_gpu(folders, kind, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="four_bits must be False where there is no CUDA GPU"):
        load_vqa(folders[kind], four_bits=True)


def test_four_bits_are_asked_of_the_library(folders, kind, monkeypatch):
    """As far as can be seen without a GPU: normal quantiles, doubly quantised, arithmetic given."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    how = hub_vqa._four_bits(torch.float16)["quantization_config"]
    assert (how.load_in_4bit, how.bnb_4bit_quant_type) == (True, "nf4")
    assert (how.bnb_4bit_use_double_quant, how.bnb_4bit_compute_dtype) == (True, torch.float16)
    asked = {}

    def load(source, kind, dtype, **options):
        asked.update(options)
        raise OSError("far enough")

    monkeypatch.setattr(hub_vqa, "load_checkpoint", load)
    with pytest.raises(OSError, match="far enough"):
        load_vqa(folders[kind], four_bits=True)
    assert asked["quantization_config"].load_in_4bit
