"""A small language model that is taught to answer, and then which answers are better.

Knows one whole experiment in a world where the truth is known: captions of `shapes` are what there
is to read, "red ring" is a request, and an answer is right if it says that there is one. The rater
of the answers is simulated, and may like long ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mmtutor.data import Dataset, loader
from mmtutor.data.shapes import COLOURS, SHAPES, english, scenes
from mmtutor.data.shapes.questions.dataset import questions
from mmtutor.data.shapes.questions.words import english as question_words
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses.preferences import answer_log_probability, bradley_terry, dpo
from mmtutor.models.generative import GPT, GPTConfig, generate
from mmtutor.models.generative.reward import RewardModel
from mmtutor.models.modes import evaluating
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import (
    TEST_SEED_OFFSET,
    Count,
    Rate,
    Share,
    Size,
    require_multiple,
)

SPECIAL = ("<pad>", "<start>", "<user>", "<assistant>", "<end>")
PAD, START, USER, ASSISTANT, END = range(len(SPECIAL))
ANSWER = 23  # tokens of the longest answer, its end included
LENGTH = ANSWER + 5  # and those of a request before it


@settings
class Config(TrainConfig):
    """What one run does; `preset` gives the ones the book uses.

    Attributes:
        texts: captions and questions that the base model reads.
        demonstrations: requests with an answer, for instruction tuning.
        careful: share of the demonstrations that do what was asked; the others are any caption.
        silent: share of the demonstrations whose request is left out, for guidance.
        pairs: pairs of answers that the rater compares.
        requests: of the test, each answered once.
        right: the rater's logits for an answer that does what was asked, against one that does not.
        wordy: the rater's logits for each token that an answer is longer by.
        beta: of `losses.preferences.dpo`.
        rounds: passes over the pairs, after each of which the policy is measured.
        tune_epochs: passes over the demonstrations.
        tune_lr: the rate of instruction tuning and of the reward model.
        reward_epochs: passes of the reward model over the pairs.
        prefer_lr: the rate of DPO.
        dim, depth, heads: of `GPTConfig`.
    """

    texts: Count = 20_000
    demonstrations: Count = 8_000
    careful: Share = 0.6
    silent: Share = 0.1
    pairs: Count = 8_000
    requests: Count = 400
    right: Size = 4.0
    wordy: Size = 0.2
    beta: Rate = 0.5
    rounds: Count = 4
    lr: Rate = 3e-3
    tune_epochs: Count = 3
    tune_lr: Rate = 3e-3
    reward_epochs: Count = 4
    prefer_lr: Rate = 1e-3
    dim: Count = 64
    depth: Count = 2
    heads: Count = 4

    def _check(self) -> None:
        require_multiple(self, "dim", "heads")


PRESETS = {
    "tiny": Config(
        texts=400,
        demonstrations=200,
        pairs=60,
        requests=40,
        rounds=2,
        dim=32,
        depth=1,
        tune_epochs=1,
        reward_epochs=1,
    ),
    "cpu": Config(texts=12_000, demonstrations=4_000, pairs=4_000, requests=300, rounds=2),
    "stored": Config(),  # minutes on a CPU; the book keeps its results
    "t4": Config(texts=100_000, pairs=20_000, dim=256, depth=6, lr=1e-3),
    "h100": Config(texts=400_000, pairs=100_000, dim=384, depth=8, heads=6, lr=1e-3),
}


class Vocabulary:
    """The words of the captions, after the tokens that no text can contain."""

    def __init__(self) -> None:
        lines = [*english(scenes(n=2_000, max_objects=3)), *question_words(questions(n=2_000)[0])]
        said = {word for line in lines for word in words(line)}
        self.tokens = [*SPECIAL, *sorted(said)]
        self.ids = {token: i for i, token in enumerate(self.tokens)}

    def encode(self, text: str) -> list[int]:
        """The words of a text as ids. Raises KeyError for a word that no caption has."""
        return [self.ids[word] for word in words(text)]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, without special tokens."""
        return " ".join(self.tokens[i] for i in ids if i >= len(SPECIAL))


def words(text: str) -> list[str]:
    """Words in small letters, commas and question marks."""
    return re.findall("[a-z]+|[,?]", text)


class Request(NamedTuple):
    """What is asked for: an object of this colour and shape."""

    colour: str
    shape: str

    def is_met(self, caption: str) -> bool:
        """Whether the caption says that there is one."""
        return f"{self.colour} {self.shape}" in caption


def run(config: Config, progress: bool = True) -> Result:
    """Read, learn to answer, compare answers, and learn from the comparisons in several ways."""
    vocabulary = Vocabulary()
    base, asked = build(config, vocabulary), requests(config, "test", config.requests)
    history = train(config, base, answers_only, texts(config, vocabulary), progress)
    tuned = instructed(config, base, vocabulary)
    held_out = compared(replace(config, wordy=0.0), tuned, asked, vocabulary)
    metrics: dict[str, Any] = {"tuned": measured(tuned, tuned, asked, vocabulary)}
    for name, changes, margin in (
        ("honest", {"wordy": 0.0}, 0.0),
        ("coin", {"wordy": 0.0, "right": 0.0}, 0.0),
        ("wordy", {}, 0.0),
        ("wordy, margin", {}, config.wordy),
    ):
        rater = replace(config, **changes)
        pairs = compared(rater, tuned, requests(config, "train", config.pairs), vocabulary)
        reward = rewarded(rater, tuned, pairs)
        path = [
            measured(policy, tuned, asked, vocabulary, reward)
            for policy in preferred(rater, tuned, pairs, margin)
        ]
        metrics[name] = {"path": path, "reward": judged(reward, held_out)}
    return Result(metrics=metrics, history=history, model=tuned, config=config)


def build(config: Config, vocabulary: Vocabulary) -> GPT:
    """An untrained model."""
    torch.manual_seed(config.seed)
    shape = {"dim": config.dim, "depth": config.depth, "heads": config.heads}
    return GPT(GPTConfig(len(vocabulary.tokens), max_length=LENGTH, positions="rotary", **shape))


def requests(config: Config, split: str, count: int) -> list[Request]:
    """What is asked for, drawn evenly from what captions can say."""
    seed = config.seed + (TEST_SEED_OFFSET if split == "test" else 1)
    scene = scenes(split, count, seed, max_objects=1)
    names = zip(scene.colour[:, 0], scene.shape[:, 0], strict=True)
    return [Request(COLOURS[colour], SHAPES[shape]) for colour, shape in names]


def texts(config: Config, vocabulary: Vocabulary) -> Dataset:
    """Captions and questions alone, all of whose tokens are to be learned."""
    lines = [*captions("train", config), *asked_of_pictures("train", config)]
    return laid_out([[START]] * len(lines), lines, vocabulary)


def captions(split: str, config: Config) -> list[str]:
    """Half of what there is to read."""
    return english(scenes(split, config.texts // 2, config.seed, max_objects=3))


def asked_of_pictures(split: str, config: Config) -> list[str]:
    """The other half: questions, of which nothing is learned later."""
    return question_words(questions(split, config.texts // 2, config.seed)[0])


def demonstrations(config: Config, vocabulary: Vocabulary) -> Dataset:
    """Requests with answers, of which a share is careful and the rest is any caption."""
    scene = scenes("train", 2 * config.demonstrations, config.seed + 2, max_objects=3)
    lines, generator = english(scene), torch.Generator().manual_seed(config.seed)
    draws = torch.rand(2, config.demonstrations, generator=generator)
    careful, silent = draws[0] < config.careful, draws[1] < config.silent
    prompts, answers = [], []
    for i in range(config.demonstrations):
        asked = Request(COLOURS[scene.colour[2 * i, 0]], SHAPES[scene.shape[2 * i, 0]])
        prompts.append(prompt(None if silent[i] else asked, vocabulary))
        answers.append(lines[2 * i if careful[i] else 2 * i + 1])
    return laid_out(prompts, answers, vocabulary)


def prompt(asked: Request | None, vocabulary: Vocabulary) -> list[int]:
    """A request, or none, in the template of a chat, up to where the answer begins."""
    return [START, USER, *vocabulary.encode(" ".join(asked or ())), ASSISTANT]


def laid_out(
    prompts: Sequence[list[int]], answers: Sequence[str], vocabulary: Vocabulary
) -> Dataset:
    """`tokens` (N, LENGTH) int64, padded on the right, and `answer` (N, LENGTH) bool, the end
    token included."""
    tokens = torch.full((len(prompts), LENGTH), PAD)
    answer = torch.zeros(tokens.shape, dtype=torch.bool)
    for row, (before, text) in enumerate(zip(prompts, answers, strict=True)):
        ids = [*before, *vocabulary.encode(text), END]
        tokens[row, : len(ids)] = torch.tensor(ids)
        answer[row, len(before) : len(ids)] = True
    return Dataset({"tokens": tokens, "answer": answer})


def answers_only(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Mean surprise at the tokens of the answers, in nats: those of the request are not learned."""
    log_p = answer_log_probability(output.logits, batch["tokens"], batch["answer"])
    return -log_p.sum() / batch["answer"].sum()


def instructed(config: Config, base: GPT, vocabulary: Vocabulary) -> GPT:
    """A copy of the base model that has learned to answer as the demonstrations do."""
    tuned = deepcopy(base)
    train(
        replace(config, epochs=config.tune_epochs, lr=config.tune_lr),
        tuned,
        answers_only,
        demonstrations(config, vocabulary),
    )
    return tuned


def answered(
    model: GPT, asked: Sequence[Request], vocabulary: Vocabulary, seed: int = 0
) -> list[str]:
    """An answer to each request, drawn from the model."""
    prompts = torch.tensor([prompt(each, vocabulary) for each in asked])
    prompts = prompts.to(model.embedding.weight.device)
    generator = torch.Generator(prompts.device).manual_seed(seed)
    options = {"temperature": 1.0, "stop": END, "generator": generator}
    written = generate(model, {"tokens": prompts}, ANSWER - 1, **options).tokens
    return [vocabulary.decode(row) for row in written.tolist()]


def compared(
    config: Config, model: GPT, asked: Sequence[Request], vocabulary: Vocabulary
) -> Dataset:
    """Two answers to each request, the one that the rater prefers first.

    Columns: tokens and answer (N, 2, LENGTH) as in `laid_out`; reference (N, 2) float32, the
    log-probabilities that `model` gives them; longer (N,) float32, tokens of the first less those
    of the second; right (N, 2) bool.
    """
    answers = [answered(model, asked, vocabulary, seed) for seed in (config.seed, config.seed + 1)]
    right = torch.tensor(
        [[r.is_met(a) for r, a in zip(asked, row, strict=True)] for row in answers]
    )
    count = torch.tensor([[len(words(a)) for a in row] for row in answers])  # [2, N]
    pull = config.right * right.float() + config.wordy * count
    generator = torch.Generator().manual_seed(config.seed)
    first = torch.rand(len(asked), generator=generator) < (pull[0] - pull[1]).sigmoid()
    order = torch.stack([~first, first], dim=1).long()  # [N, 2] which of the two stands where
    prompts = [prompt(each, vocabulary) for each in asked]
    sides = [laid_out(prompts, row, vocabulary) for row in answers]
    rows = torch.arange(len(asked)).unsqueeze(1)
    columns = {
        k: torch.stack([s.column(k) for s in sides])[order, rows] for k in ("tokens", "answer")
    }
    count = count.T.gather(1, order).float()
    longer = count[:, 0] - count[:, 1]
    met = right.T.gather(1, order)
    return Dataset(columns | {"reference": scored(model, columns), "longer": longer, "right": met})


@torch.no_grad()
def scored(model: GPT, columns: dict[str, Tensor]) -> Tensor:
    """The log-probabilities (...) of answers (..., LENGTH)."""
    with evaluating(model):
        device, shape = model.embedding.weight.device, columns["answer"].shape[:-1]
        flat = [columns[k].flatten(0, -2).split(512) for k in ("tokens", "answer")]
        parts = [(t.to(device), a.to(device)) for t, a in zip(*flat, strict=True)]
        found = [answer_log_probability(model({"tokens": t}).logits, t, a) for t, a in parts]
        return torch.cat(found).cpu().view(shape)


def paired(config: Config, pairs: Dataset) -> DataLoader:
    """Batches in which the two answers of a pair stand one after the other, in one column."""
    batches = loader(pairs, config.batch_size, shuffle=True, seed=config.seed)
    batches.collate_fn = _side_by_side
    return batches


def _side_by_side(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    batch = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    return batch | {name: batch[name].flatten(0, 1) for name in ("tokens", "answer")}


def rewarded(config: Config, tuned: GPT, pairs: Dataset) -> RewardModel:
    """A reward model that has learned from the pairs."""
    torch.manual_seed(config.seed)
    model = RewardModel(deepcopy(tuned))
    config = replace(config, epochs=config.reward_epochs, lr=config.tune_lr)
    train(config, model, reward_loss, paired(config, pairs))
    return model


def reward_loss(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """That of Bradley and Terry."""
    better, worse = output.reward.view(-1, 2).T
    return bradley_terry(better, worse)


def judged(reward: RewardModel, pairs: Dataset) -> dict[str, float]:
    """How often the reward model prefers the `right` one of two answers, where one is, and the
    `longer` one, where both are or neither is; NaN where there is no such pair."""
    columns = {name: pairs.column(name).flatten(0, 1) for name in ("tokens", "answer")}
    with torch.no_grad():
        score = reward(columns).reward.view(-1, 2)
    right, longer = pairs.column("right"), pairs.column("longer")
    first, differ = score[:, 0] > score[:, 1], right[:, 0] != right[:, 1]
    found = {
        "right": (first == right[:, 0])[differ],
        "longer": (first == (longer > 0))[~differ & (longer != 0)],
    }
    return {name: values.double().mean().item() for name, values in found.items()}


def preferred(config: Config, tuned: GPT, pairs: Dataset, margin: float = 0.0) -> Iterator[GPT]:
    """The policy after each round of DPO; `margin` is what length is worth, a token."""
    policy = deepcopy(tuned)
    loss = partial(dpo_loss, beta=config.beta, margin=margin)
    for turn in range(config.rounds):
        one = replace(config, epochs=1, lr=config.prefer_lr, seed=config.seed + turn)
        train(one, policy, loss, paired(one, pairs))
        yield policy


def dpo_loss(
    output: NamedTuple, batch: dict[str, Tensor], beta: float, margin: float = 0.0
) -> Tensor:
    """DPO on a batch of `paired`."""
    policy = answer_log_probability(output.logits, batch["tokens"], batch["answer"]).view(-1, 2)
    return dpo(policy, batch["reference"], beta, margin * batch["longer"])


def measured(
    model: GPT,
    reference: GPT,
    asked: Sequence[Request],
    vocabulary: Vocabulary,
    reward: RewardModel | None = None,
) -> dict[str, Any]:
    """Of one answer to each request: the share that is `right`, `length` in tokens, and `drift`, nats
    by which the model finds its own answers likelier than the reference does, an estimate of the KL
    divergence. Each is an interval over requests."""
    answers = answered(model, asked, vocabulary)
    columns = laid_out([prompt(each, vocabulary) for each in asked], answers, vocabulary)
    columns = {name: columns.column(name) for name in ("tokens", "answer")}
    right = torch.tensor([r.is_met(a) for r, a in zip(asked, answers, strict=True)])
    found = {
        "right": right.double(),
        "length": torch.tensor([len(words(a)) for a in answers]).double(),
        "drift": (scored(model, columns) - scored(reference, columns)).double(),
    }
    if reward is not None:
        with torch.no_grad():
            found["reward"] = reward(columns).reward.double()
    return {name: bootstrap_interval(values, resamples=2_000) for name, values in found.items()}
