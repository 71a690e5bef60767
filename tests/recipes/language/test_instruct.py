"""The recipe of instruction tuning, on a tiny Llama with a tokenizer of its own words."""

from dataclasses import replace

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from mmtutor.models.generative import GPT
from mmtutor.models.hub import load_smollm2
from mmtutor.recipes.language import instruct
from mmtutor.recipes.language.instruct import Chat, Config, questions

TINY = Config.preset("tiny")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }} {{ m.content }}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)


@pytest.fixture(scope="module")
def standin():
    """A random Llama and a tokenizer, one token a word, with SmolLM2's special ones."""
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<unk>"]
    trainer = trainers.WordLevelTrainer(special_tokens=special, show_progress=False)
    asked = questions(TINY, "train", 300, (0, 1, 2))
    lines = [f"{row['question']} {' '.join(row['options'])}" for row in asked]
    systems = [turn["content"] for turns in instruct.PROMPTS.values() for turn in turns]
    words.train_from_iterator([*lines, *systems, *instruct.NAMED], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<|im_end|>")
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    shape = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4}
    size = {"vocab_size": len(tokenizer), "num_hidden_layers": 2, "num_key_value_heads": 2}
    config = LlamaConfig(**shape, **size, tie_word_embeddings=True, initializer_range=0.2)
    return LlamaForCausalLM(config).eval(), tokenizer


@pytest.fixture
def chat(standin):
    model, tokenizer = standin
    return Chat(GPT.from_transformers(model).requires_grad_(False), tokenizer)


def pairs(text: str) -> set[tuple[str, ...]]:
    """Colour and shape of each thing that a question's text lists."""
    listed = text.split(". ")[0].replace(" and ", ", ").split(", ")
    return {tuple(thing.split()[-2:]) for thing in listed}


def test_answers_follow_from_what_is_listed():
    asked = questions(TINY, "train", 200)
    for row in asked:
        listed, question = row["question"].lower().split(". ")
        things = listed.removeprefix("the picture shows ").replace(" and ", ", ").split(", ")
        assert row["answer"] in row["options"]
        if row["form"] == "exist":
            words = question.split(" a ", 1)[-1].split(" an ", 1)[-1].rstrip("?").split()
            words = [w for w in words if w not in ("thing", "object", "in", "the", "picture")]
            there = any(set(words) <= set(thing.split()) for thing in things)
            assert there == (row["answer"] == "Yes"), row


def test_what_is_held_out_is_not_taught():
    config = replace(TINY, split="val")
    shown, new = questions(config, "train", 400), questions(config, "unseen", 100, instruct.NEW)
    assert not any("what is the number" in text.lower() for text in shown.column("question"))
    assert any("what is the number" in text.lower() for text in new.column("question"))
    there = {pair for text in shown.column("question") for pair in pairs(text)}
    for text in new.column("question"):
        assert pairs(text) - there


def test_the_loss_counts_the_answer_and_its_end(chat):
    asked = questions(TINY, "train", 20)
    data, everything = chat.laid_out(asked), chat.laid_out(asked, "all")
    tokens = data.column("tokens")
    assert torch.equal(tokens, everything.column("tokens"))
    for row, line in zip(asked, data, strict=True):
        said = chat.tokenizer.decode(line["tokens"][line["answer"]])
        assert said == f"{row['answer']} <|im_end|>"
        assert line["tokens"][: len(chat.prompt(row["question"]))].tolist() == chat.prompt(
            row["question"]
        )
    lengths = torch.tensor([len(chat.prompt(q)) + 2 for q in asked.column("question")])
    assert torch.equal(everything.column("answer").sum(1), lengths)


def test_adapters_learn_and_the_model_itself_stays(chat):
    config = replace(TINY, blocks=2, lr=0.02, epochs=30, rank=16, precision="fp32")
    asked = questions(config, "train", 16)
    before = {name: weight.clone() for name, weight in chat.model.state_dict().items()}
    taught, history = chat.taught(config, asked)
    assert history.loss[-1] < 0.3 * history.loss[0]
    assert chat.answered(asked)["written"].mean() < 0.2
    assert taught.answered(asked)["written"].mean() > 0.8
    assert all(torch.equal(chat.model.state_dict()[name], w) for name, w in before.items())
    alone = instruct._adapters_alone(taught.model).state_dict()
    assert {name.rpartition(".")[2] for name in alone} == {"A", "B"}
    assert len(alone) == 2 * 2 * len(instruct.LAYERS)


def test_shuffled_answers_are_those_of_the_same_form():
    asked = questions(TINY, "train", 200)
    dealt = instruct._shuffled(asked, 0)
    rows = [sorted(zip(d.column("form"), d.column("answer"), strict=True)) for d in (asked, dealt)]
    assert rows[0] == rows[1]
    same = [a == b for a, b in zip(asked.column("answer"), dealt.column("answer"), strict=True)]
    assert sum(same) < 0.6 * len(same)


def test_a_run_says_what_was_measured(standin, monkeypatch):
    monkeypatch.setattr(instruct, "load_smollm2", lambda: standin)
    result = instruct.run(TINY, progress=False)
    found = result.metrics["models"]
    assert set(result.metrics["chosen_on"]) == {*instruct.PROMPTS, "worked examples"}
    assert set(found) == {"untaught", "loss on all tokens", "answers shuffled", "taught"}
    assert found["untaught"]["text"]["change"]["estimate"] == 0
    assert found["taught"]["text"]["change"]["estimate"] != 0
    assert set(found["taught"]) == {"old", "new", "topics", "forms", "text"}
    assert result.metrics["trained"] == sum(p.numel() for p in result.model.parameters())
    assert result.metrics["trained"] < result.metrics["of"]


def test_smollm2_tells_the_answers_apart_by_their_first_tokens():
    tokenizer = load_smollm2()[1]
    for options in (*instruct.OPTIONS.values(), instruct.NAMED):
        first = [tokenizer(word.capitalize())["input_ids"][0] for word in options]
        assert len(set(first)) == len(options)
