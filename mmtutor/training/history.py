"""What a training run recorded.

Knows numbers and their meaning; knows nothing of the loop or of plots.
"""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class History:
    """The course of one training run, resumed parts included.

    Attributes:
        loss: mean loss of each optimiser step.
        learning_rate: learning rate of each optimiser step (of the first parameter group).
        epochs: one dict per epoch: `epoch`, `loss` and whatever `validate` returned.
        seconds: time spent in training steps, without validation and checkpoints.
        examples: examples seen, over all processes.
    """

    loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    epochs: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    examples: int = 0

    @property
    def examples_per_second(self) -> float:
        """Mean training throughput."""
        return self.examples / self.seconds if self.seconds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and numbers, ready for JSON."""
        return asdict(self) | {"examples_per_second": self.examples_per_second}
