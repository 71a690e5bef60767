"""A classifier that selects before it reads: the question points at places of the picture.

Knows two encoders, one that asks and one that is looked at. Knows nothing of any modality, of
losses or of what the classes are.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import encode


class _GroundedOutput(NamedTuple):
    """What the model says, and where it looked.

    Attributes:
        logits: (B, C).
        gates: (B, heads, N), one logit for each token that is looked at: is it selected?
    """

    logits: Tensor
    gates: Tensor


class GroundedClassifier(nn.Module):
    """Select tokens by the question, add up what was selected, and read the sums by the question.

    Head h selects token x_n with g_hn = sigmoid(q_h . K_h x_n + b_h). What it found are the sum
    s_h = sum_n g_hn V_h x_n and the count c_h = sum_n g_hn; and the product of s_1 and s_2, for
    "the same as" is a comparison of the two. Two layers of FiLM (Perez et al. 2018) turn all this
    into the answer, each scaled and shifted as the question says.

    A sigmoid and a sum, not a softmax and a mean: a mean forgets how many there were (Zhang, Hare
    and Prügel-Bennett 2018).

    Args:
        image_encoder: of what is looked at, tokens (B, N, D).
        question_encoder: the mean of its tokens asks.
        classes: number C of answers.
        heads: how many selections, at least two.
        dim: size of q_h and V_h x.
        hidden: size of the layers that read.
        teacher_forcing: in training, read what the batch says was to be selected; see `forward`.
    """

    def __init__(
        self,
        image_encoder: nn.Module,
        question_encoder: nn.Module,
        classes: int,
        heads: int = 2,
        dim: int = 32,
        hidden: int = 128,
        teacher_forcing: bool = True,
    ) -> None:
        super().__init__()
        checks.at_least(1, classes=classes, dim=dim, hidden=hidden)
        checks.at_least(2, heads=heads)  # to compare
        self.image_encoder, self.question_encoder = image_encoder, question_encoder
        self.heads, self.teacher_forcing = heads, teacher_forcing
        self.query = nn.Linear(question_encoder.dim, heads * dim)
        self.key, self.value = (nn.Linear(image_encoder.dim, heads * dim) for _ in range(2))
        self.threshold = nn.Parameter(torch.full((heads,), -1.0))
        self.film_layers = nn.ModuleList(
            [nn.Linear(heads * (dim + 1) + dim, hidden), nn.Linear(hidden, hidden)]
        )
        self.modulate = nn.ModuleList(
            nn.Linear(question_encoder.dim, 2 * hidden) for _ in self.film_layers
        )
        self.answer = nn.Linear(hidden, classes)

    def forward(self, batch: dict[str, Tensor]) -> _GroundedOutput:
        """A batch with both modalities -> logits and gates. Raises KeyError naming one it lacks.

        The batch may hold `attention_target` (B, up to heads, N), what the first heads are to
        select: 1 or 0 for each token. With teacher forcing every other training example is read
        as if they had.
        """
        seen = encode(self.image_encoder, batch)
        asked = encode(self.question_encoder, batch).pooled()
        query, key, value = (
            x.unflatten(-1, (self.heads, -1))
            for x in (self.query(asked), self.key(seen.tokens), self.value(seen.tokens))
        )
        scores = torch.einsum("bhd,bnhd->bhn", query, key) * 2 / query.shape[-1] ** 0.5
        gates = scores + self.threshold[:, None]
        chosen = gates.sigmoid().masked_fill(~seen.mask.unsqueeze(1), 0)  # [B, heads, N]
        if self.training and self.teacher_forcing and "attention_target" in batch:
            chosen = teacher_forced(chosen, batch["attention_target"])
        sums = torch.einsum("bhn,bnhd->bhd", chosen, value)
        x = torch.cat([sums.flatten(1), chosen.sum(dim=2), sums[:, 0] * sums[:, 1]], dim=1)
        for layer, modulate in zip(self.film_layers, self.modulate, strict=True):
            scale, shift = modulate(asked).chunk(2, dim=-1)
            x = F.layer_norm(layer(x), layer.weight.shape[:1])
            x = ((1 + scale) * x + shift).relu()
        return _GroundedOutput(self.answer(x), gates)


def teacher_forced(chosen: Tensor, target: Tensor) -> Tensor:
    """`chosen` (B, heads, N), but in every other example the `target` (B, up to heads, N).

    Reading can then be learned before selecting is (teacher forcing, Williams and Zipser 1989);
    and as only half of the examples are given away, also from the model's own selections, which
    are all that it has in a test (Bengio et al. 2015).
    """
    checks.shaped(chosen=(chosen, "B H N"), target=(target, "B K N"))
    forced = torch.cat([target.to(chosen), chosen[:, target.shape[1] :]], dim=1)
    every_other = torch.arange(len(chosen), device=chosen.device) % 2 == 0
    return torch.where(every_other[:, None, None], forced, chosen)
