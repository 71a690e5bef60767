"""The loss of a language model: how well each token was foreseen.

Knows logits, tokens and padding. Knows nothing of models or words.
"""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

from mmtutor import checks
from mmtutor.data.batch import require
from mmtutor.encoders.base import real, wide
from mmtutor.losses.classification import NONE_IGNORED


def next_token(output: NamedTuple, batch: dict[str, Tensor]) -> Tensor:
    """Mean negative log-probability, in nats, of each token given those before it: a scalar.

    The logits at one token are judged by the next one. The first token of a text is not judged,
    nor is padding, on whichever side.

    Args:
        output: `logits` (B, L, V), as a `GPT` returns them.
        batch: `tokens` (B, L) int64 in [0, V), and `tokens_mask` (B, L) where some pad; with
            `answer` (B, L) bool, only those tokens are judged.

    Raises:
        KeyError: the batch has no `tokens`.
        TypeError, ValueError: shapes or types do not fit, an id is no token, or no text has two,
            of which one is to be judged.
    """
    require(batch, "tokens")
    logits, tokens = output.logits, batch["tokens"]
    size = checks.shaped(logits=(logits, "B L V"), tokens=(tokens, "B L"))
    checks.floating(logits=logits)
    mask = real(tokens, batch.get("tokens_mask"), "tokens_mask")
    on_cpu = tokens.device.type == "cpu"  # a GPU would have to be waited for
    checks.indices(size["V"], tokens=tokens if on_cpu else tokens[:0])
    judged = mask & mask.roll(-1, dims=1)
    judged[:, -1] = False
    if "answer" in batch:
        judged &= real(tokens, batch["answer"], "answer").roll(-1, dims=1)
    if size["L"] < 2 or (on_cpu and not judged.any()):
        raise ValueError(f"tokens must hold a text of at least two, got {tuple(tokens.shape)}")
    label = tokens.long().roll(-1, dims=1).masked_fill(~judged, NONE_IGNORED)
    return F.cross_entropy(wide(logits).flatten(0, 1), label.flatten(), ignore_index=NONE_IGNORED)
