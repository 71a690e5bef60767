"""A small real language model learns to answer in a word, with LoRA; and what that makes it forget.

Knows one whole experiment: questions about things that a text lists, in SmolLM2's own chat
template. Their exact answers come from `shapes`. What was not taught is measured too.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from mmtutor.data import Dataset, load, loader
from mmtutor.data.shapes.captions import PHRASE
from mmtutor.data.shapes.questions.dataset import questions as sampled
from mmtutor.data.shapes.questions.forms import ANSWERS, FORMS, VALUES, evaluate
from mmtutor.data.shapes.questions.words import english
from mmtutor.evaluation.efficiency import parameters
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses import next_token
from mmtutor.models.generative import GPT
from mmtutor.models.hub import load_smollm2
from mmtutor.models.modes import evaluating
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import TEST_SEED_OFFSET, Count, Rate
from mmtutor.recipes.language.gpt import bits, bits_per_byte, cut
from mmtutor.training import History
from mmtutor.training.adapters import add_lora

THINGS = 3  # that a text lists, at most
OLD, NEW = (0, 1), (2,)  # of three ways to ask, those that demonstrations show, and the other
OPTIONS = {"exist": ("yes", "no"), "count": tuple(map(str, range(THINGS + 1)))}
OPTIONS |= {f"query {name}": values for name, values in VALUES.items()}
TOPICS = ("animals-nature", "food-drink", "travel-places", "objects")
NAMED = ("Animal", "Food", "Place", "Object")
LAYERS = ("attention.qkv", "attention.out", "mlp.up", "mlp.down")
SYSTEM = {
    "be brief": "Be brief.",
    "in one word": "Answer in one word.",
    "the answers there are": "Answer yes, no, a number, a size, a colour or a shape.",
}
PROMPTS = {name: [{"role": "system", "content": text}] for name, text in SYSTEM.items()}


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        demonstrations: questions with answers to learn from.
        test: questions of each of two kinds; half as many more choose the prompt.
        split: what is answered and read: "test", or "val" while settings are being chosen.
        shots: worked examples in the longest prompt.
        read: characters of each held-out address, which the model foresees.
        names: emoji of each of four topics, which are asked for, but not taught.
        blocks: the last so many get adapters.
        rank, alpha: of `add_lora`.
    """

    demonstrations: Count = 360
    test: Count = 80
    split: Literal["test", "val"] = "test"
    shots: Count = 4
    read: Count = 400
    names: Count = 12
    blocks: Count = 15
    rank: Count = 8
    alpha: Rate = 16.0
    batch_size: Count = 8
    lr: Rate = 2e-3
    precision: Literal["auto", "fp32", "fp16", "bf16"] = "bf16"


PRESETS = {
    "tiny": Config(demonstrations=16, test=12, shots=2, read=40, names=2, blocks=1),
    "cpu": Config(),  # minutes; the book keeps its results
    "t4": Config(demonstrations=10_000, test=1_000, names=40, blocks=30, precision="auto"),
}


class Chat(NamedTuple):
    """A model, its tokenizer, and the turns that stand before every question."""

    model: GPT
    tokenizer: Any
    before: Sequence[dict[str, str]] = PROMPTS["be brief"]

    def prompt(self, question: str) -> list[int]:
        """The tokens of a question in the template, up to where the answer begins."""
        turns = [*self.before, {"role": "user", "content": question}]
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        return self.tokenizer(text)["input_ids"]

    def laid_out(self, asked: Dataset, judged: str = "answer") -> Dataset:
        """Questions with answers: `tokens` (N, L) int64, padded on the right, and `answer` (N, L)
        bool, the tokens that a loss is to count: those of the answer with its end, or "all"."""
        tokens, answer = [], []
        for question, word in zip(asked.column("question"), asked.column("answer"), strict=True):
            before = self.prompt(question)
            after = [*self.tokenizer(word)["input_ids"], self.tokenizer.eos_token_id]
            tokens.append(torch.tensor(before + after))
            answer.append(torch.tensor([judged == "all"] * len(before) + [True] * len(after)))
        rows = {"tokens": tokens, "answer": answer}
        return Dataset({name: pad_sequence(row, batch_first=True) for name, row in rows.items()})

    def taught(
        self, config: Config, asked: Dataset, judged: str = "answer", progress: bool = False
    ) -> tuple[Chat, History]:
        """A chat with a copy of the model, whose adapters have learned the answers."""
        model = deepcopy(self.model)
        torch.manual_seed(config.seed)
        last = range(len(model.blocks))[-config.blocks :]
        layers = [f"blocks.{block}.{layer}" for block in last for layer in LAYERS]
        add_lora(model, config.rank, config.alpha, layers)
        history = train(config, model, next_token, self.laid_out(asked, judged), progress)
        return self._replace(model=model), history

    @torch.no_grad()
    def answered(self, asked: Dataset) -> dict[str, Tensor]:
        """Of each question (N,) float64: is the likeliest of its `options`, by their first tokens,
        the `right` answer; and is it `written`, if always the likeliest of all tokens is taken?"""
        model, right, written = self.model, [], []
        with evaluating(model):
            for batch in loader(self.laid_out(asked), 16):
                tokens, answer = batch["tokens"], batch["answer"]
                vectors = model.embedding(tokens.to(model.embedding.weight.device))
                states = model.states(vectors)[:, :-1][answer[:, 1:]]  # of which answers come
                logits, sizes = model.logits(states).cpu(), answer.sum(1).tolist()
                hits = logits.argmax(1) == tokens[answer]
                for scores, hit in zip(logits.split(sizes), hits.split(sizes), strict=True):
                    row = asked[len(right)]
                    first = [self.tokenizer(option)["input_ids"][0] for option in row["options"]]
                    right.append(row["options"][scores[0, first].argmax()] == row["answer"])
                    written.append(bool(hit.all()))
        return {"right": torch.tensor(right).double(), "written": torch.tensor(written).double()}


def run(config: Config, progress: bool = True) -> Result:
    """Choose a prompt, teach the model in three ways, and measure it before and after.

    Metrics: the share right that each prompt was `chosen_on`; of each model in `models` what
    `_summary` gives; and how many numbers were `trained`, `of` how many.
    """
    theirs, tokenizer = load_smollm2()
    base = Chat(GPT.from_transformers(theirs).requires_grad_(False), tokenizer)
    learned = questions(config, "train", config.demonstrations)
    prompts = PROMPTS | {"worked examples": _shots(learned.subset(range(config.shots)))}
    tried = questions(config, "val", config.test // 2)
    asking = {name: base._replace(before=turns) for name, turns in prompts.items()}
    chosen_on = {n: chat.answered(tried)["right"].mean().item() for n, chat in asking.items()}
    before = _found(config, asking[max(chosen_on, key=chosen_on.get)])
    found, taught, history = {"untaught": before}, base, History()
    for name, asked, judged in (
        ("loss on all tokens", learned, "all"),
        ("answers shuffled", _shuffled(learned, config.seed), "answer"),
        ("taught", learned, "answer"),
    ):
        taught, history = base.taught(config, asked, judged, progress)
        found[name] = _found(config, taught)
    metrics = {
        "chosen_on": chosen_on,
        "models": {name: _summary(config, values, before) for name, values in found.items()},
        "trained": parameters(taught.model),
        "of": sum(weight.numel() for weight in base.model.parameters()),
    }
    return Result(metrics, history, _adapters_alone(taught.model), config)


def questions(config: Config, split: str, count: int, ways: Sequence[int] = OLD) -> Dataset:
    """Questions about two or three things that are listed, asked in some of three ways.

    Columns: question, with the list before it, answer and form, each str; options, the answers
    that a question of this form can have. In split "unseen" colours and shapes stand together that
    do not elsewhere, and there are always three things.
    """
    seed = config.seed + TEST_SEED_OFFSET * (config.split == "test" and split != "train")
    asked, scene = sampled(split, 5 * count, seed, THINGS, ("exist", "count", "query"))
    label, said, rows = evaluate(asked, scene), english(asked), []
    for i in np.isin(asked.wording[:, 0] % 3, ways).nonzero()[0][:count]:
        *things, last = PHRASE[scene.object[i, : scene.count[i]]]
        text = f"The picture shows {', '.join(things)} and {last}. {said[i].capitalize()}"
        form = FORMS[asked.form[i]]
        options = tuple(word.capitalize() for word in OPTIONS[form])
        rows.append((text, ANSWERS[label[i]].capitalize(), form, options))
    return _asked(rows)


def _topics(config: Config) -> Dataset:
    """What is this, by the name of its emoji? Nobody teaches that here."""
    emoji = load("emoji", config.split, style="google")
    pairs = sorted(set(zip(emoji.column("category"), emoji.column("caption"), strict=True)))
    rows = []
    for topic, answer in zip(TOPICS, NAMED, strict=True):
        names = [name for category, name in pairs if category == topic]
        for i in np.random.default_rng(config.seed).permutation(len(names))[: config.names]:
            rows.append((f'What kind of thing is "{names[i]}"?', answer, "topic", NAMED))
    return _asked(rows)


def _asked(rows: Sequence[tuple[str, str, str, tuple[str, ...]]]) -> Dataset:
    names = ("question", "answer", "form", "options")
    return Dataset(dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)))


def _shuffled(asked: Dataset, seed: int) -> Dataset:
    """The control: each question with the answer to another one of its form."""
    form, answer = np.array(asked.column("form")), np.array(asked.column("answer"))
    for each in np.unique(form):
        rows = (form == each).nonzero()[0]
        answer[rows] = np.random.default_rng(seed).permutation(answer[rows])
    return asked.with_column("answer", answer.tolist())


def _shots(examples: Dataset) -> list[dict[str, str]]:
    """A prompt that shows how it is done: questions and answers as earlier turns of the chat."""
    turns = [PROMPTS["in one word"][0]]
    for row in examples:
        turns += [{"role": "user", "content": row["question"]}]
        turns += [{"role": "assistant", "content": row["answer"]}]
    return turns


def _addresses(config: Config) -> list[str]:
    """How each held-out address begins."""
    return [text[: config.read] for text in load("state-of-the-union", config.split).column("text")]


def _found(config: Config, chat: Chat) -> dict[str, Any]:
    """Question by question on the three tests, and the `bits` (N,) that each address takes."""
    asked = {
        "old": questions(config, config.split, config.test),
        "new": questions(config, "unseen", config.test, NEW),
    }
    found = {name: chat.answered(test) for name, test in asked.items()}
    found["topics"] = chat._replace(before=PROMPTS["be brief"]).answered(_topics(config))
    forms = np.array(asked["old"].column("form") + asked["new"].column("form"))
    right = torch.cat([found["old"]["right"], found["new"]["right"]])
    found["forms"] = {form: right[forms == form] for form in np.unique(forms).tolist()}
    documents = cut(_addresses(config), lambda text: chat.tokenizer(text)["input_ids"])
    return found | {"bits": bits(chat.model, documents)}


def _summary(config: Config, found: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    """Intervals: on each test the shares `right` and `written`, and of the former the `change` from
    `before`, paired; the share right by form; and bits per byte of the addresses, and the change.
    """
    texts, tests = _addresses(config), ("old", "new", "topics")
    changes = {test: found[test]["right"] - before[test]["right"] for test in tests}
    shares = {test: found[test] | {"change": changes[test]} for test in tests}
    shares["forms"] = found["forms"]
    summary = {
        name: {key: bootstrap_interval(value)._asdict() for key, value in values.items()}
        for name, values in shares.items()
    }
    judged = {"bits_per_byte": found["bits"], "change": found["bits"] - before["bits"]}
    return summary | {"text": {k: bits_per_byte(v, texts)._asdict() for k, v in judged.items()}}


def _adapters_alone(model: GPT) -> GPT:
    """The model without its frozen weights, so that its state is what was learned, and small."""
    for part in model.modules():
        for name, weight in list(part.named_parameters(recurse=False)):
            if not weight.requires_grad:
                setattr(part, name, None)
    return model
