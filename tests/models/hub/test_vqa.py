"""Hub checkpoints that answer questions say what `transformers` itself would have them say."""

import json
import re

import pytest
import torch

from mmtutor.data.hub.flickr30k import read_picture
from mmtutor.data.hub.preprocess import HubUnreachableError
from mmtutor.models.hub import checkpoint
from mmtutor.models.hub import vqa as hub_vqa
from mmtutor.models.hub.vqa import AnswerClassifier, _AnswerDecoder, _PromptedModel, load_vqa, short
from tests import vqa_standins
from tests.hub_standins import picture, save_bert
from tests.vqa_standins import ANSWERS, QUESTIONS, save_idefics3, save_vilt

KINDS = ["vilt", "blip", "idefics3", "qwen3_vl"]
PROMPTED = ["idefics3", "qwen3_vl"]
IMAGES = [read_picture(picture(row)) for row in range(7)]
ASKED = [QUESTIONS[3 * row % len(QUESTIONS)] for row in range(7)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vqa")
    return {kind: getattr(vqa_standins, f"save_{kind}")(folder / kind) for kind in KINDS}


@pytest.fixture(scope="module")
def models(folders):
    return {kind: load_vqa(folder) for kind, folder in folders.items()}


def pil(image):
    return hub_vqa._picture("image", image)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_the_same_alone_and_in_any_batch(kind, models):
    model = models[kind]
    together = model.answer(IMAGES, ASKED)
    alone = [model.answer([image], [text])[0] for image, text in zip(IMAGES, ASKED, strict=True)]
    assert together == alone
    assert model.answer(IMAGES[::-1], ASKED[::-1]) == together[::-1]
    assert len(set(together)) >= 3  # or the test could not fail


@pytest.mark.parametrize("kind", KINDS)
def test_answers_depend_on_the_picture_and_on_the_question(kind, models):
    model = models[kind]
    said = model.answer(IMAGES, ASKED)
    assert model.answer([torch.full_like(image, 127) for image in IMAGES], ASKED) != said
    assert model.answer(IMAGES, ASKED[1:] + ASKED[:1]) != said


def library_vilt(folder, image, question):
    from transformers import ViltForQuestionAnswering, ViltProcessor

    model = ViltForQuestionAnswering.from_pretrained(folder).eval()
    inputs = ViltProcessor.from_pretrained(folder)(pil(image), question, return_tensors="pt")
    with torch.no_grad():
        return model.config.id2label[model(**inputs).logits.argmax().item()]


def library_blip(folder, image, question):
    from transformers import BlipForQuestionAnswering, BlipProcessor

    model = BlipForQuestionAnswering.from_pretrained(folder).eval()
    processor = BlipProcessor.from_pretrained(folder)
    inputs = processor(pil(image), question, return_tensors="pt")
    return processor.decode(
        model.generate(**inputs, max_new_tokens=12)[0], skip_special_tokens=True
    )


def library_prompted(folder, image, question):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(folder).eval()
    processor = AutoProcessor.from_pretrained(folder)
    text = f"{question}\nAnswer the question using a single word or phrase."
    content = [{"type": "image", "image": pil(image)}, {"type": "text", "text": text}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    written = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    return processor.decode(written[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


LIBRARY = dict(zip(KINDS, (library_vilt, library_blip, *[library_prompted] * 2), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_answers_are_the_library_s_own(kind, folders, models):
    for row in (0, 1, 5):
        theirs = LIBRARY[kind](folders[kind], IMAGES[row], ASKED[row])
        assert models[kind].answer([IMAGES[row]], [ASKED[row]]) == [short(theirs)]


def test_each_checkpoint_gets_its_kind(models):
    kinds = [AnswerClassifier, _AnswerDecoder, _PromptedModel, _PromptedModel]
    assert [type(model) for model in models.values()] == kinds
    assert not any(model.model.training for model in models.values())


def test_a_vilt_says_only_what_it_was_trained_to_say(models):
    assert models["vilt"].answers == list(ANSWERS)
    assert set(models["vilt"].answer(IMAGES, ASKED)) <= set(ANSWERS)


def test_a_question_that_is_too_long_is_cut(models):
    endless = "is the square red " * 40
    for kind in ("vilt", "blip"):
        longer = [endless + "blue", endless + "green"]
        first, second = models[kind].answer([IMAGES[0]] * 2, longer)
        assert first == second


@pytest.mark.parametrize("kind", PROMPTED)
def test_prompts_are_padded_on_the_left(kind, models):
    model = models[kind]
    before = model.answer(IMAGES, ASKED)
    model.processor.tokenizer.padding_side = "right"
    try:
        assert model.answer(IMAGES, ASKED) != before
    finally:
        model.processor.tokenizer.padding_side = "left"


@pytest.mark.parametrize("kind", PROMPTED)
def test_the_prompt_asks_for_a_short_answer_and_may_be_changed(kind, folders, models):
    asked = models[kind].asked("is it red?")
    assert "is it red?\nAnswer the question using a single word or phrase." in asked
    other = load_vqa(folders[kind], prompt="question: {question} answer:")
    assert "question: is it red? answer:" in other.asked("is it red?")
    assert other.answer(IMAGES, ASKED) != models[kind].answer(IMAGES, ASKED)


def test_the_first_token_of_a_prompt_is_not_doubled(models):
    model = models["idefics3"]
    seen = []
    generate = model.model.generate
    model.model.generate = lambda **inputs: seen.append(inputs) or generate(**inputs)
    try:
        model.answer(IMAGES[:1], ASKED[:1])
    finally:
        del model.model.generate
    start = model.processor.tokenizer.bos_token_id
    assert (seen[0]["input_ids"] == start).sum() == 1


@pytest.mark.parametrize("kind", PROMPTED)
def test_the_sampling_that_a_checkpoint_recommends_is_not_followed(kind, models, tmp_path):
    folder = getattr(vqa_standins, f"save_{kind}")(tmp_path)
    file = folder / "generation_config.json"
    advice = {
        "do_sample": True,
        "num_beams": 3,
        "temperature": 9.0,
        "top_p": 0.9,
        "repetition_penalty": 5.0,
    }
    file.write_text(json.dumps(json.loads(file.read_text()) | advice))
    assert load_vqa(folder).answer(IMAGES, ASKED) == models[kind].answer(IMAGES, ASKED)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind, folders):
    model = load_vqa(folders[kind], dtype=torch.bfloat16)
    assert model.model.dtype == torch.bfloat16
    assert len(model.answer(IMAGES[:3], ASKED[:3])) == 3


def test_short_answers():
    assert short(" Yes.\nBecause it is red.") == "yes"
    assert short("2.5 m") == "2.5 m"
    assert short("") == short(" \n ") == ""


def test_what_cannot_be_answered_is_refused(models):
    model = models["vilt"]
    assert model.answer([], []) == []
    with pytest.raises(
        ValueError, match=r"images and questions must be as long as each other.*got 1 and 2"
    ):
        model.answer(IMAGES[:1], ASKED[:2])
    with pytest.raises(TypeError, match=r"images\[1\] must be uint8, .* got float32"):
        model.answer([IMAGES[0], IMAGES[1] / 255], ASKED[:2])
    with pytest.raises(ValueError, match=r"images\[0\] must be \(3, H, W\).*\(36, 40, 3\)"):
        model.answer([IMAGES[0].permute(1, 2, 0)], ASKED[:1])


@pytest.mark.parametrize("kind", ["vilt", "blip"])
def test_the_name_of_a_special_token_in_a_question_is_text(kind, models):
    model, seen = models[kind], []
    forward = model.model.forward if kind == "vilt" else model.model.generate
    name = "forward" if kind == "vilt" else "generate"
    setattr(model.model, name, lambda **inputs: seen.append(inputs) or forward(**inputs))
    try:
        model.answer(IMAGES[:1], ["is it [SEP] red?"])
    finally:
        delattr(model.model, name)
    end = model.processor.tokenizer.sep_token_id
    assert (seen[0]["input_ids"] == end).sum() == 1


@pytest.mark.parametrize(("kind", "mark"), [("idefics3", "<image>"), ("qwen3_vl", "<|im_end|>")])
def test_a_question_with_a_mark_of_the_template_is_refused(kind, mark, models):
    with pytest.raises(ValueError, match=rf"question must hold no mark .*{re.escape(mark)}"):
        models[kind].answer(IMAGES[:1], [f"is it {mark} red?"])
    assert models[kind].asked("is {it} {0} red?").count("{it} {0}") == 1


@pytest.mark.parametrize("prompt", ["", "answer:", "{answer}", "{} {0}"])
def test_a_prompt_without_a_place_for_the_question_is_refused(prompt, folders):
    with pytest.raises(ValueError, match=r"prompt must hold \{question\}"):
        load_vqa(folders["idefics3"], prompt=prompt)
    other = load_vqa(folders["idefics3"], prompt="{json} {question} {}")
    assert "{json} red? {}" in other.asked("red?")


@pytest.mark.parametrize("questions", ["what is it?", [None], [3], None])
def test_questions_that_are_no_list_of_strings_are_refused(questions, models):
    with pytest.raises(TypeError, match=r"questions.* must be a"):
        models["vilt"].answer(IMAGES[:1], questions)


def test_a_model_that_answers_no_questions_is_refused_before_its_weights_are_read(tmp_path):
    folder = save_bert(tmp_path)
    (folder / "model.safetensors").unlink()
    with pytest.raises(TypeError, match=r"is a bert model \(BertModel\) that does not answer"):
        load_vqa(folder)


def test_a_captioning_blip_is_no_question_answerer(tmp_path):
    folder = vqa_standins.save_blip(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["architectures"] = ["BlipForConditionalGeneration"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(TypeError, match=r"BlipForConditionalGeneration.*does not answer questions"):
        load_vqa(folder)


def test_a_model_without_a_chat_template_takes_no_prompts(tmp_path):
    with pytest.raises(ValueError, match="Idefics3ForConditionalGeneration has no chat template"):
        load_vqa(save_idefics3(tmp_path, template=None))


def test_pickled_weights_are_not_read(tmp_path):
    folder = save_vilt(tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(OSError, match="safetensors"):
        load_vqa(folder)


def test_code_that_comes_with_a_model_does_not_run(tmp_path):
    marker = tmp_path / "ran"
    code = f"open({str(marker)!r}, 'w')\nclass Config: pass\nclass Model: pass\n"
    (tmp_path / "own_code.py").write_text(code)
    auto_map = {"AutoConfig": "own_code.Config", "AutoModelForImageTextToText": "own_code.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "own", "auto_map": auto_map}))
    with pytest.raises(ValueError, match="trust_remote_code"):
        load_vqa(tmp_path)
    assert not marker.exists()


def test_without_a_network_the_error_is_one_sentence(monkeypatch):
    monkeypatch.setattr(checkpoint, "hub_reachable", lambda: False)
    with pytest.raises(HubUnreachableError) as caught:
        load_vqa("nobody/no-such-vilt")
    expected = "nobody/no-such-vilt could not be reached; pass a local folder, or try again with a"
    assert str(caught.value) == f"{expected} network"


def test_of_a_checkpoint_the_branch_with_safetensors_is_read(monkeypatch):
    import transformers

    asked = []

    def nothing_there(name, **options):
        asked.append((name, options["revision"], options["trust_remote_code"]))
        raise OSError("nothing there")

    monkeypatch.setattr(checkpoint, "hub_reachable", lambda: True)
    monkeypatch.setattr(transformers.AutoConfig, "from_pretrained", nothing_there)
    for name in ("dandelin/vilt-b32-finetuned-vqa", "Salesforce/blip-vqa-base"):
        with pytest.raises(OSError, match="nothing there"):
            load_vqa(name)
    assert [revision for _, revision, _ in asked] == ["refs/pr/9", "main"]
    assert not any(trusted for *_, trusted in asked)


def test_a_wrong_path_is_not_taken_for_a_hub_id():
    with pytest.raises(FileNotFoundError, match="neither a local folder nor a hub id"):
        load_vqa("./no/such/vilt")
