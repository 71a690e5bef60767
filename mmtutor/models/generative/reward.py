"""A reward model: a GPT that has read a request and an answer, and says how good the answer is.

Knows states of tokens. Does not know what makes an answer good.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.models.generative.gpt import GPT


class RewardOutput(NamedTuple):
    """`reward` (B,): one number a text, of which only differences mean something."""

    reward: Tensor


class RewardModel(nn.Module):
    """A GPT without its last layer, and a linear one that reads the mean state of the answer.

    Ouyang et al. (2022) read the state at its end; the mean learns from fewer pairs.

    Args:
        gpt: usually a copy of the model that is to be taught; it is trained too.
    """

    def __init__(self, gpt: GPT) -> None:
        super().__init__()
        checks.instance(GPT, gpt=gpt)
        self.gpt = gpt
        self.head = nn.Linear(gpt.config.dim, 1)

    def forward(self, batch: dict[str, Tensor]) -> RewardOutput:
        """A batch with `tokens` (B, L) and `answer` (B, L) bool, at least one of each text."""
        require(batch, "tokens", "answer")
        states = self.gpt.states(self.gpt.embedding(batch["tokens"]))  # [B, L, D]
        answer = batch["answer"].unsqueeze(2)
        mean = (states * answer).sum(dim=1) / answer.sum(dim=1)
        return RewardOutput(self.head(mean).squeeze(1))
