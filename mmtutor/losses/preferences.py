"""Losses of a model that is taught by which of two answers is better.

Knows scores and log-probabilities of pairs. Knows nothing of words, models, or who preferred what.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.encoders.base import wide


def answer_log_probability(logits: Tensor, tokens: Tensor, answer: Tensor) -> Tensor:
    """The log-probability of each answer, given what stands before it: (B,), in nats.

    Args:
        logits: (B, L, V), as a `GPT` returns them: those at one token foresee the next.
        tokens: (B, L) int64 in [0, V).
        answer: (B, L) bool, which tokens are the answer. The first of a text is foreseen by none,
            and does not count.
    """
    size = checks.shaped(logits=(logits, "B L V"), tokens=(tokens, "B L"), answer=(answer, "B L"))
    checks.floating(logits=logits)
    answer = checks.as_mask(answer=answer)
    on_cpu = tokens.device.type == "cpu"  # a GPU would have to be waited for
    checks.indices(size["V"], tokens=tokens if on_cpu else tokens[:0])
    log_p = wide(logits[:, :-1]).log_softmax(dim=-1)
    log_p = log_p.gather(2, tokens[:, 1:].long().unsqueeze(2)).squeeze(2)  # [B, L - 1]
    return log_p.masked_fill(~answer[:, 1:], 0).sum(dim=1)


def bradley_terry(better: Tensor, worse: Tensor, margin: Tensor | None = None) -> Tensor:
    """Mean of -log sigmoid(better - worse + margin) over pairs: a scalar.

    The probability that the model of Bradley and Terry (1952) gives to what was preferred.

    Args:
        better, worse: (N,) scores of the answers that were preferred, and of the others.
        margin: (N,) by how much something that the scores are not to learn, such as length, spoke
            for the better one; None is 0.
    """
    checks.shaped(better=(better, "N"), worse=(worse, "N"), margin=(margin, "N | None"))
    checks.floating(better=better, worse=worse, margin=margin)
    lead = wide(better) - wide(worse)
    return -F.logsigmoid(lead if margin is None else lead + margin).mean()


def dpo(
    policy: Tensor, reference: Tensor, beta: float = 0.1, margin: Tensor | None = None
) -> Tensor:
    """Direct preference optimisation (Rafailov et al. 2023, equation 7): a scalar.

    The reward of an answer is beta times how much likelier the policy finds it than the reference
    does, so that no reward model is needed.

    Args:
        policy, reference: (N, 2) log-probabilities of the preferred answer and of the other one,
            by the model that is trained and by the one that it started from.
        beta: what a drift of one nat costs, in units of reward.
        margin: as in `bradley_terry`.
    """
    checks.shaped(policy=(policy, "N 2"), reference=(reference, "N 2"))
    checks.floating(policy=policy, reference=reference)
    checks.within("(0, inf)", beta=beta)
    reward = beta * (policy - reference)
    return bradley_terry(reward[:, 0], reward[:, 1], margin)
