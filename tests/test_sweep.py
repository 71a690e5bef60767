"""Every edge of every public function, and a control: a sweep that would find nothing is caught."""

import os
from collections.abc import Sequence

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from mmtutor import checks
from tests.sweep import entries as swept
from tests.sweep.entries import check_good, check_spoiled, entry, spoilings
from tests.sweep.kinds import floats, labels, masks, texts
from tests.sweep.registry import PARTS, entries, missing
from tests.sweep.run import report, sweep

SEED = int(os.environ.get("SWEEP_SEED", "0"))
ENTRIES = sorted(entries(), key=lambda e: e.name)
often = settings(
    max_examples=10,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_no_public_function_is_left_out():
    assert not missing()


@pytest.mark.parametrize("part", PARTS)
def test_no_edge_is_silent(part, capsys):
    counts = sweep([e for e in ENTRIES if e.name.startswith(f"mmtutor.{part}.")], SEED, 20)
    with capsys.disabled():
        print(f"\n{part}:", report(counts).splitlines()[-1])
    assert not counts.failures, report(counts)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name.removeprefix("mmtutor."))
@often
@given(random=st.randoms(use_true_random=False))
def test_properties(entry, random):
    """hypothesis draws good arguments, then spoils one: the value holds, the refusal is clear."""
    assert not check_good(entry, random)
    if ways := spoilings(entry):
        outcome, what = check_spoiled(entry, random, *random.choice(ways))
        assert outcome in ("clear", "right"), what


def letters(texts: Sequence[str]) -> int:
    return len(texts)


def rows(x: Tensor, label: Tensor, mask: Tensor) -> Tensor:
    return (x * label[:, None]).nansum()


def careful(x: Tensor, label: Tensor) -> Tensor:
    checks.shaped(x=(x, "N D"), label=(label, "N"))
    checks.finite(x=x)
    checks.indices(3, label=label)
    return x[label == 0].sum()


def test_the_sweep_finds_what_is_silent_or_unclear(monkeypatch):
    monkeypatch.setattr(swept, "PACKAGE", os.path.dirname(__file__))
    counts = sweep([entry(letters, texts=texts(), holds=lambda v, a: v > 0)], 0, 40)
    found = "\n".join(counts.failures)
    for label in ("one string", "None in it", "empty"):
        assert f"SILENT  tests.test_sweep.letters(texts: {label})" in found
    loose = entry(
        rows, x=floats("N D"), label=labels("N"), mask=masks("N D"), holds=lambda v, a: True
    )
    found = "\n".join(sweep([loose], 0, 100).failures)
    for label in ("x: NaN", "label: negative", "label: length", "mask: two", "mask: one axis more"):
        assert f"SILENT  tests.test_sweep.rows({label})" in found
    assert "UNCLEAR tests.test_sweep.rows(x: no tensor)" in found


def test_the_sweep_finds_nothing_where_nothing_is(monkeypatch):
    monkeypatch.setattr(swept, "PACKAGE", os.path.dirname(checks.__file__))
    tidy = entry(
        careful,
        x=floats("N D"),
        label=labels("N", below=3),
        holds=lambda v, a: torch.isclose(v, a.x[a.label == 0].sum()),
    )
    assert not sweep([tidy], 0, 100).failures
    untrue = entry(careful, x=floats("N D"), label=labels("N", 3), holds=lambda v, a: v > 1e9)
    assert "WRONG" in sweep([untrue], 0, 4).failures[0]
