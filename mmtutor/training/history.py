"""What a training run recorded, and who else is told while it does.

Knows numbers and their meaning; knows nothing of the loop or of plots.
"""

import csv
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from accelerate.tracking import TensorBoardTracker, WandBTracker

from mmtutor import checks
from mmtutor.files import atomic_file

TRACKERS = {
    "tensorboard": lambda folder: TensorBoardTracker("tensorboard", folder),
    "wandb": lambda folder: WandBTracker("mmtutor", dir=folder, mode="offline"),
}


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

    def to_csv(self, path: str | Path, rows: str = "epochs") -> None:
        """Write a table for a spreadsheet: one line an epoch, or one a step.

        Epochs have what `epochs` has, and an empty cell where one of them lacks it; steps have
        `step`, `loss` and `learning_rate`. Raises ValueError for another kind of `rows`.
        """
        checks.instance((str, Path), path=path)
        checks.one_of(["epochs", "steps"], rows=rows)
        lines = self.epochs if rows == "epochs" else self._steps()
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, list(dict.fromkeys(key for line in lines for key in line)))
        table.writeheader()
        table.writerows(lines)
        with atomic_file(path) as file:
            file.write(text.getvalue().encode())

    def _steps(self) -> list[dict[str, float]]:
        pairs = enumerate(zip(self.loss, self.learning_rate, strict=True))
        return [{"step": i, "loss": loss, "learning_rate": rate} for i, (loss, rate) in pairs]


@dataclass(frozen=True)
class Track:
    """Rows of a history, shown by a program of others while a run trains; nothing leaves `folder`.

    Attributes:
        name: "tensorboard", or "wandb", which is then Weights & Biases offline.
        folder: gets a folder of this name.

    Raises:
        ImportError: the package is not installed.
        ValueError: another name.
    """

    name: str
    folder: Path

    def __post_init__(self) -> None:
        checks.one_of(TRACKERS, track=self.name)
        checks.instance(Path, folder=self.folder)
        if getattr(find_spec(self.name), "origin", None) is None:  # a mere folder has none
            found = f"track is {self.name!r}, whose package is not installed"
            raise ImportError(f"{found}: pip install mmtutor[watch]")

    @contextmanager
    def writing(self) -> Iterator[Callable[..., None]]:
        """Within the block, the function that takes a row, numbers by name, and its `step`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        tracker = TRACKERS[self.name](str(self.folder))
        getattr(tracker, "start", bool)()  # older ones have begun when they are made
        try:
            yield tracker.log
        finally:
            tracker.finish()
