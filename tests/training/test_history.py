"""A history as a table, read back as a spreadsheet would."""

import csv

import pytest

from mmtutor.training import History
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
