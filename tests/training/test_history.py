"""A history as a table, read back as a spreadsheet would."""

import csv
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mmtutor.training import History
from mmtutor.training.history import Track
from tests.training.problem import data, model, run


def read(path):
    with open(path, newline="") as file:
        return [
            {key: float(cell) if cell else None for key, cell in row.items()}
            for row in csv.DictReader(file)
        ]


def test_both_tables_hold_what_the_run_recorded(tmp_path):
    history = run(model(), data(), epochs=2, validate=lambda net: {"accuracy": 0.1})
    history.to_csv(tmp_path / "epochs.csv")
    assert read(tmp_path / "epochs.csv") == history.epochs
    history.to_csv(tmp_path / "steps.csv", "steps")
    rows = read(tmp_path / "steps.csv")
    assert [row["step"] for row in rows] == list(range(8))
    assert [row["loss"] for row in rows] == history.loss
    assert [row["learning_rate"] for row in rows] == history.learning_rate


def test_an_epoch_without_a_number_has_an_empty_cell(tmp_path):
    history = History(epochs=[{"epoch": 0, "loss": 2.0}, {"epoch": 1, "loss": 1.0, "a, b": 0.5}])
    history.to_csv(tmp_path / "table.csv")
    first, second = read(tmp_path / "table.csv")
    assert first == {"epoch": 0, "loss": 2.0, "a, b": None}
    assert second == history.epochs[1]


def test_other_rows_are_refused(tmp_path):
    with pytest.raises(ValueError, match="rows must be 'epochs' or 'steps', got 'step'"):
        History().to_csv(tmp_path / "table.csv", "step")
    assert not list(tmp_path.iterdir())


def read_events(folder):
    events = EventAccumulator(str(folder)).Reload()
    return {
        tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


@pytest.mark.parametrize("accumulate", [1, 2])
def test_tensorboard_has_every_step_and_every_epoch(tmp_path, accumulate):
    batches, track = data(n=18, batch_size=4), Track("tensorboard", tmp_path / "new")
    options = {"validate": lambda net: {"recall": 0.5}, "accumulate": accumulate, "track": track}
    history = run(model(), batches, epochs=2, **options)
    found = read_events(tmp_path / "new" / "tensorboard")
    steps = {1: 5, 2: 3}[accumulate]
    rows = {
        "step/loss": enumerate(history.loss),
        "step/learning_rate": enumerate(history.learning_rate),
        "epoch/loss": zip((steps, 2 * steps), [row["loss"] for row in history.epochs], strict=True),
        "epoch/recall": [(steps, 0.5), (2 * steps, 0.5)],
    }
    assert found.keys() == rows.keys()
    for name, expected in rows.items():
        assert found[name] == [(step, pytest.approx(value)) for step, value in expected], name


def test_a_resumed_run_tells_of_its_new_steps(tmp_path):
    options = {"schedule": "constant", "warmup": 0.0, "checkpoint": tmp_path / "saved"}
    run(model(), data(), epochs=1, **options)
    run(model(), data(), epochs=2, track=Track("tensorboard", tmp_path), **options)
    found = read_events(tmp_path / "tensorboard")
    assert [step for step, _ in found["step/loss"]] == [4, 5, 6, 7]
    assert [step for step, _ in found["epoch/loss"]] == [8]


class Wandb(ModuleType):
    """Stands for the package: what it is told."""

    def __init__(self):
        super().__init__("wandb")
        self.__spec__ = ModuleSpec("wandb", None, origin="here")
        self.said = []

    def init(self, **options):
        self.said.append(options)
        return self

    def log(self, values, step):
        self.said.append((step, *values))

    def finish(self):
        self.said.append("finished")


def test_wandb_is_offline_and_finished_even_if_the_run_fails(tmp_path, monkeypatch):
    wandb = Wandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)

    def fails(net):
        raise FloatingPointError("pulled")

    with pytest.raises(FloatingPointError, match="pulled"):
        run(model(), data(), validate=fails, track=Track("wandb", tmp_path))
    started, *rows, finished = wandb.said
    assert started == {"project": "mmtutor", "dir": str(tmp_path), "mode": "offline"}
    assert rows == [(step, "step/loss", "step/learning_rate") for step in range(4)]
    assert finished == "finished"


def test_what_cannot_be_watched_is_said_in_one_sentence(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"track must be 'tensorboard' or 'wandb', got 'tensor'"):
        Track("tensor", tmp_path)
    monkeypatch.setattr("mmtutor.training.history.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"'wandb'.* not installed: pip install mmtutor\[watch\]"):
        Track("wandb", tmp_path)
