"""A small language model that is taught to answer, and then which answers are better.

Knows one whole experiment in the world of `chat.py`. The rater of the answers is simulated, and may
like long ones.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from mmtutor.data import Dataset, loader
from mmtutor.evaluation.statistics.bootstrap import bootstrap_interval
from mmtutor.losses import next_token
from mmtutor.losses.preferences import answer_log_probability, bradley_terry, dpo
from mmtutor.models.generative import GPT, GPTConfig
from mmtutor.models.generative.reward import RewardModel
from mmtutor.recipes.common import Result, TrainConfig, settings, train
from mmtutor.recipes.common.config import (
    TEST_SEED_OFFSET,
    Count,
    Rate,
    Share,
    Size,
    require_multiple,
)
from mmtutor.recipes.language.chat import (
    LENGTH,
    START,
    Request,
    Vocabulary,
    answered,
    asked_of_pictures,
    captions,
    demonstrations,
    laid_out,
    prompt,
    requests,
    scored,
    words,
)


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

    texts: Count = 12_000
    demonstrations: Count = 4_000
    careful: Share = 0.6
    silent: Share = 0.1
    pairs: Count = 6_000
    requests: Count = 400
    right: Size = 4.0
    wordy: Size = 0.2
    beta: Rate = 0.5
    rounds: Count = 3
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
    "cpu": Config(pairs=4_000, requests=300, rounds=2),
    "stored": Config(),  # minutes on a CPU; the book keeps its results
    "t4": Config(texts=100_000, pairs=20_000, dim=256, depth=6, lr=1e-3),
    "h100": Config(texts=400_000, pairs=100_000, dim=384, depth=8, heads=6, lr=1e-3),
}


def run(config: Config, progress: bool = True) -> Result:
    """Read, learn to answer, compare answers, and learn from the comparisons in several ways."""
    vocabulary = Vocabulary()
    base, asked = (
        build(config, vocabulary),
        requests("test", config.requests, config.seed + TEST_SEED_OFFSET),
    )
    history = train(config, base, next_token, texts(config, vocabulary), progress)
    tuned = instructed(config, base, vocabulary)
    held_out = compared(replace(config, wordy=0.0), tuned, asked, vocabulary)
    learned = requests("train", config.pairs, config.seed + 1)
    metrics: dict[str, Any] = {"tuned": measured(tuned, tuned, asked, vocabulary)}
    for name, changes, margin in (
        ("honest", {"wordy": 0.0}, 0.0),
        ("coin", {"wordy": 0.0, "right": 0.0}, 0.0),
        ("wordy", {}, 0.0),
        ("wordy, margin", {}, config.wordy),
    ):
        rater = replace(config, **changes)
        pairs = compared(rater, tuned, learned, vocabulary)
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


def texts(config: Config, vocabulary: Vocabulary) -> Dataset:
    """Captions and questions, half each, all of whose tokens are to be learned."""
    half = config.texts // 2
    lines = captions("train", half, config.seed) + asked_of_pictures("train", half, config.seed)
    return laid_out([[START]] * len(lines), lines, vocabulary)


def instructed(config: Config, base: GPT, vocabulary: Vocabulary) -> GPT:
    """A copy of the base model that has learned to answer as the demonstrations do."""
    tuned, shares = deepcopy(base), (config.careful, config.silent)
    shown = demonstrations(config.demonstrations, *shares, config.seed + 2, vocabulary)
    config = replace(config, epochs=config.tune_epochs, lr=config.tune_lr)
    train(config, tuned, next_token, shown)
    return tuned


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
    """Of one answer to each request, as intervals over requests: the share that is `right`, the
    `length` in tokens, and the `drift`, nats by which the model finds its own answers likelier than
    the reference does, an estimate of the KL divergence; with a reward model, the `reward`."""
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
