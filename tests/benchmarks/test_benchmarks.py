"""Every benchmark at toy size, its two ways checked against each other; and the results table."""

from __future__ import annotations

import json
import time

import pytest
from torch import nn

from benchmarks import (
    auroc,
    bootstrap,
    checkpoint,
    contrastive,
    encoders,
    fit_overhead,
    generation,
    gpt,
    harness,
    lora,
    picture_loading,
    retrieval,
    shapes_generation,
)
from benchmarks.__main__ import NAMES
from benchmarks.harness import Comparison, measure, record, with_peak_memory
from mmtutor.evaluation import efficiency

SMALL = {
    "auroc": lambda: auroc.comparisons(500),
    "bootstrap": bootstrap.comparisons,
    "contrastive": lambda: contrastive.comparisons(6, 16, 8, 64, 16),
    "checkpoint": lambda: checkpoint.comparisons(8, 1, 2, 0.01),
    "encoders": lambda: encoders.comparisons(batch=2),
    "fit_overhead": lambda: fit_overhead.comparisons(64, batch_size=16, dim=16, width=4),
    "generation": lambda: generation.comparisons(images=60),
    "picture_loading": lambda: picture_loading.photographs(5, 32, 96, 0),
    "gpt": lambda: gpt.comparisons(
        16, 12, 3, gpt.SMOLLM2 | {"num_hidden_layers": 1, "vocab_size": 90}
    ),
    "retrieval": lambda: retrieval.comparisons(images=200, dim=8),
    "shapes_generation": lambda: shapes_generation.comparisons(40),
    "lora": lambda: lora.comparisons(16, 1, 4, 5, 2),
}


def test_every_benchmark_is_tested_here():
    assert set(NAMES) == set(SMALL)


@pytest.mark.parametrize("name", SMALL)
def test_both_ways_agree_at_toy_size(name):
    for comparison in SMALL[name]():
        comparison.same(comparison.ours(), comparison.theirs())


@pytest.mark.usefixtures("stamps_cache")
def test_stamps_from_cache_equal_decoded_files():
    (comparison,) = [c.same(c.ours(), c.theirs()) or c for c in picture_loading.stamps(limit=4)]
    assert comparison.examples == 4


def compare(ours: float, theirs: float, **options) -> Comparison:
    """Two ways that take, in seconds, what is given."""
    ways = [lambda t=t: time.sleep(t) or t for t in (ours, theirs)]
    return Comparison("sleep", "a clock", *ways, lambda a, b: None, rounds=3, **options)


@pytest.fixture
def clock(monkeypatch):
    """A clock that only sleeping moves."""
    now = [0.0]
    monkeypatch.setattr(efficiency, "perf_counter", lambda: now[0])
    monkeypatch.setattr(time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))


@pytest.mark.usefixtures("clock")
def test_ratio_rate_and_bound():
    row = measure("name", compare(2, 8, at_most=0.3, examples=10))
    assert (row["ratio"], row["ratio_quartiles"]) == (0.25, [0.25, 0.25])
    assert (row["seconds"], row["peer_seconds"], row["examples_per_second"]) == (2, 8, 5)
    assert row["held"]
    assert not measure("name", compare(2, 8, at_most=0.2))["held"]
    assert measure("name", compare(2, 8))["held"]
    assert measure("name", compare(2, 8, share=0.1))["peer_seconds"] == pytest.approx(80)


@pytest.mark.parametrize(("quartile", "held"), [(False, True), (True, False)])
def test_a_bound_may_be_on_the_upper_quartile(monkeypatch, quartile, held):
    row = compare(0, 0, at_most=1.2, quartile=quartile)
    times = {row.ours: iter([1, 2, 1]), row.theirs: iter([1, 1, 1])}
    monkeypatch.setattr(harness, "once", lambda way: next(times[way]))
    assert measure("name", row)["held"] == held


def test_the_two_ways_take_turns_at_going_first():
    order = []
    ways = [lambda way=way: order.append(way) for way in "ab"]
    measure("name", Comparison("job", "peer", *ways, lambda a, b: None, rounds=3))
    assert "".join(order) == "ab" + "ab" + "ba" + "ab"


@pytest.mark.usefixtures("clock")
def test_a_memory_bound_that_fails_is_marked(monkeypatch):
    monkeypatch.setattr(harness, "with_peak_memory", lambda job: (job(), 1.5))
    assert not measure("name", compare(1, 8, at_most=1, memory_gib=1))["held"]
    assert measure("name", compare(1, 8, at_most=1, memory_gib=2))["held"]


def test_results_that_differ_are_not_timed():
    def differ(ours, theirs):
        raise AssertionError("not the same")

    with pytest.raises(AssertionError, match="not the same"):
        measure("name", Comparison("job", "peer", lambda: 1, lambda: 2, differ))


def test_peak_memory_counts_what_was_freed():
    size = 256 * 2**20
    result, extra = with_peak_memory(lambda: len(b"\1" * size))
    assert result == size
    assert extra is None or 0.2 < extra < 0.4


@pytest.mark.usefixtures("clock")
def test_models_have_a_table_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "peak_bytes", lambda job: 3 * 2**20)
    models = nn.Linear(999, 1000), nn.Linear(999, 2000)
    record([measure("models", compare(2, 8, examples=10, models=models))], tmp_path)
    table = (tmp_path / "results.md").read_text()
    cells = "| sleep | a clock | 1.00 M (2.00 M) | 5 | 1 | 0.25 (0.25–0.25) | 3 (3) |"
    assert cells in table
    assert "| Benchmark |" not in table


@pytest.mark.usefixtures("clock")
def test_memory_is_held_to_its_bound(tmp_path):
    peaks = {"peaks": (2**20, 4 * 2**20), "at_most": 1}
    row = measure("loss", compare(1, 2, peak_at_most=0.3, **peaks))
    assert row["held"]
    assert not measure("loss", compare(1, 2, peak_at_most=0.2, **peaks))["held"]
    record([row], tmp_path)
    cells = "| 1 s, 1 MiB | 2 s, 4 MiB | 0.5 (0.5–0.5) | ≤ 1, ≤ 30 % of the memory | yes |"
    assert cells in (tmp_path / "results.md").read_text()


@pytest.mark.usefixtures("clock")
def test_record_keeps_other_rows_of_the_same_machine(tmp_path):
    record([measure("one", compare(1, 2, at_most=1)), measure("two", compare(1, 1))], tmp_path)
    record([measure("two", compare(3, 1, at_most=1))], tmp_path)
    found = json.loads((tmp_path / "results.json").read_text())
    assert [(row["name"], row["ratio"]) for row in found["rows"]] == [("one", 0.5), ("two", 3)]
    table = (tmp_path / "results.md").read_text()
    assert "| `one` | sleep | a clock | 1 s | 2 s | 0.5 (0.5–0.5) | ≤ 1 | yes |" in table
    assert "| `two` | sleep | a clock | 3 s | 1 s | 3 (3–3) | ≤ 1 | NO |" in table
    assert found["versions"]["python"] in table
    found["hardware"]["cpu"] = "another"
    (tmp_path / "results.json").write_text(json.dumps(found))
    record([measure("two", compare(1, 1))], tmp_path)
    found = json.loads((tmp_path / "results.json").read_text())
    assert [row["name"] for row in found["rows"]] == ["two"]
