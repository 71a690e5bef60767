"""One encoder, several heads: hard parameter sharing (Caruana 1997).

Knows which parameters the tasks share and which are their own; knows nothing of losses, of how the
tasks are weighted, or of what they ask.
"""

from collections.abc import Mapping
from typing import NamedTuple

from torch import Tensor, nn

from mmtutor import checks
from mmtutor.encoders.base import encode


class _MultiTaskOutput(NamedTuple):
    """`tasks`: each task's prediction (B, C_task), in the order of the heads."""

    tasks: dict[str, Tensor]


class MultiTask(nn.Module):
    """One encoder, a trunk that all tasks read, and a head for each task.

    Args:
        encoder: an encoder with `modality`, `dim` and an `Encoded` output.
        heads: a module for each task, from what the trunk gives to the prediction (B, C_task).
        trunk: from the pooled code (B, encoder.dim) to what every head reads; None passes it on.
            A narrow one makes the tasks compete for room.

    Raises:
        ValueError: there is no head.
    """

    def __init__(
        self, encoder: nn.Module, heads: Mapping[str, nn.Module], trunk: nn.Module | None = None
    ) -> None:
        super().__init__()
        checks.instance(Mapping, heads=heads)
        checks.same_length(heads=heads)
        self.encoder = encoder
        self.trunk = nn.Identity() if trunk is None else trunk
        self.heads = nn.ModuleDict(heads)

    @property
    def shared(self) -> list[nn.Parameter]:
        """The trainable parameters that every task's gradient reaches."""
        both = nn.ModuleList([self.encoder, self.trunk])
        return [p for p in both.parameters() if p.requires_grad]

    def forward(self, batch: dict[str, Tensor]) -> _MultiTaskOutput:
        """A batch with the encoder's modality -> predictions by task. Raises KeyError without."""
        code = self.trunk(encode(self.encoder, batch).pooled())
        return _MultiTaskOutput({task: head(code) for task, head in self.heads.items()})
